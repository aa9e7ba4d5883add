"""Embeddings by sentence-transformers on this machine (extra ``local``, which brings torch)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._common.extras import require
from ..errors import ConfigurationError, EmbeddingError
from ..ports import Embedder, Matrix, Vector
from .model_folders import fetched, fingerprint

_LETTERS, _WINDOW = 50, 8192
"""Characters of a token that leave room for long words and spaces; tokens of unknown windows."""


class SentenceTransformerEmbedder(Embedder):
    """A model of sentence-transformers: safetensors only, no code of the model's own.

    Loading takes seconds and is done in a thread, at the first call of the service.
    """

    def __init__(
        self,
        *,
        model: str = "sentence-transformers/all-MiniLM-L6-v2",
        revision: str | None = None,
        dimension: int | None = None,
        batch_size: int = 32,
        **options: Any,
    ) -> None:
        """Name the model.

        Args:
            model: A folder, or a name of the Hugging Face hub; see ``HF_HUB_OFFLINE``.
            revision: Commit of the hub, so that the weights never change underneath an index.
            dimension: Shortens the vectors of a Matryoshka model.
            batch_size: Texts per pass of the model, 1 to 10,000.
            options: Further arguments of ``SentenceTransformer``, as ``device``.
        """
        if not 1 <= batch_size <= 10_000:
            raise ConfigurationError(f"batch_size must be 1 to 10000, not {batch_size!r}")
        if "trust_remote_code" in options or "model_kwargs" in options:
            raise ConfigurationError("models never run code of their own here")
        self._name, self._revision = model, revision
        self._asks, self._batch, self._options = dimension, batch_size, options
        self._model: Any = None
        self._print = ""

    def load(self) -> None:
        if self._model is not None:
            return
        library: Any = require("sentence_transformers", dist="semsearch", extra="local")
        folder = fetched(self._name, self._revision)
        try:
            self._model = library.SentenceTransformer(
                str(folder),
                trust_remote_code=False,
                truncate_dim=self._asks,
                model_kwargs={"use_safetensors": True},
                **self._options,
            )
        except Exception as exc:
            raise EmbeddingError(f"{self._name!r} cannot be loaded: {type(exc).__name__}") from exc
        self._print = fingerprint(folder)

    def _loaded(self) -> Any:
        self.load()
        return self._model

    @property
    def model_id(self) -> str:
        self.load()
        name = Path(self._name).name if Path(self._name).expanduser().is_dir() else self._name
        return f"local:{name}@{self._print}:{self.dimension}"

    @property
    def dimension(self) -> int:
        model = self._loaded()
        # the older name goes on working, but warns in newer releases
        ask = (
            getattr(model, "get_embedding_dimension", None)
            or model.get_sentence_embedding_dimension
        )
        return int(ask())

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        model = self._loaded()
        return self._made(getattr(model, "encode_document", model.encode), list(texts))

    def embed_query(self, text: str) -> Vector:
        model = self._loaded()
        vector: Vector = self._made(getattr(model, "encode_query", model.encode), [text])[0]
        return vector

    def _made(self, encode: Any, texts: list[str]) -> Matrix:
        # what is past the model's window is cut off anyway, after splitting all of it into tokens
        longest = _LETTERS * int(getattr(self._model, "max_seq_length", None) or _WINDOW)
        texts = [text[:longest] for text in texts]
        rows = encode(texts, batch_size=self._batch, convert_to_numpy=True, show_progress_bar=False)
        made: Matrix = np.asarray(rows, np.float32)
        return made

    def close(self) -> None:
        self._model = None
