"""Rerankers without a server: any function, and cross-encoders on this machine."""

import asyncio
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from .._common.extras import require
from ..errors import BackendError
from ..ports import Reranker
from .model_folders import fetched


class CallableReranker(Reranker):
    """Any function ``(query, texts) -> scores``; a plain one runs in a thread."""

    def __init__(self, function: Callable[[str, Sequence[str]], Any]) -> None:
        """Use ``function``, which may be a coroutine function."""
        self._function = function

    async def rerank(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        try:
            if inspect.iscoroutinefunction(self._function):
                scores: Any = await self._function(query, texts)
            else:
                scores = await asyncio.to_thread(self._function, query, texts)
            return [float(score) for score in scores]
        except BackendError:
            raise
        except Exception as exc:
            raise BackendError(f"the reranker failed: {type(exc).__name__}") from exc


class CrossEncoderReranker(Reranker):
    """A cross-encoder of sentence-transformers (extra ``local``), without code of models."""

    def __init__(self, model: str = "cross-encoder/ms-marco-MiniLM-L6-v2", **options: Any) -> None:
        """Name the model; it is loaded, in a thread, by the first call.

        Args:
            model: A folder, or a name of the Hugging Face hub.
            options: Further arguments of ``sentence_transformers.CrossEncoder``, as ``device``.
        """
        self._model, self._options = model, options
        self._loaded: Any = None
        self._alone: asyncio.Lock | None = None

    async def rerank(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        self._alone = self._alone or asyncio.Lock()
        async with self._alone:
            return await asyncio.to_thread(self._scores, query, texts)

    def detach(self) -> None:
        self._alone = None

    def _scores(self, query: str, texts: Sequence[str]) -> list[float]:
        try:
            if self._loaded is None:
                library: Any = require("sentence_transformers", dist="semsearch", extra="local")
                self._loaded = library.CrossEncoder(
                    str(fetched(self._model)),
                    trust_remote_code=False,
                    model_kwargs={"use_safetensors": True},
                    **self._options,
                )
            made = self._loaded.predict([(query, text) for text in texts])
            return [float(score) for score in made]
        except ImportError:
            raise
        except Exception as exc:
            raise BackendError(f"the cross-encoder failed: {type(exc).__name__}: {exc}") from exc
