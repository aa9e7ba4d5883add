"""Embeddings and reranking by Cohere's API, version 2 (extra ``hosted``)."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import BackendError, ConfigurationError, EmbeddingError
from ..ports import Embedder, Matrix, Reranker, Vector
from .hosted import HostedModel

_URL = "https://api.cohere.com/v2"
_DIMENSIONS = {
    "embed-v4.0": 1536,
    "embed-english-v3.0": 1024,
    "embed-multilingual-v3.0": 1024,
    "embed-english-light-v3.0": 384,
    "embed-multilingual-light-v3.0": 384,
}
_CHOICES = {"embed-v4.0": (256, 512, 1024, 1536)}
_MOST_TEXTS = 96
_MOST_DOCUMENTS = 1000
_EMPTY = " "


class CohereEmbedder(Embedder):
    """``POST /embed``: documents and queries are told apart."""

    def __init__(
        self,
        *,
        model: str = "embed-v4.0",
        api_key: str | None = None,
        url: str = _URL,
        dimension: int | None = None,
        **http: Any,
    ) -> None:
        """Name the model; the first text calls it.

        Args:
            model: A model of the API.
            api_key: The key.
            url: Of the API, up to ``/v2``.
            dimension: The length of the vectors where the model has several; needed for models
                that this release does not know.
            http: As for :class:`.hosted.HostedModel`.

        Raises:
            ConfigurationError: The key is missing, or the length is not one of the model's.
        """
        if not api_key:
            raise ConfigurationError("embeddings.api_key is missing: Cohere needs one")
        known = _DIMENSIONS.get(model)
        if dimension is None and known is None:
            raise ConfigurationError(f"embeddings.dimension is needed for the model {model!r}")
        allowed = _CHOICES.get(model, (known,))
        if known is not None and dimension is not None and dimension not in allowed:
            raise ConfigurationError(f"{model!r} makes vectors of {allowed}, not of {dimension}")
        self._model, self._dimension = model, dimension or known or 0
        self._asks = dimension if model in _CHOICES else None
        self._http = HostedModel(url, api_key, **http)

    @property
    def model_id(self) -> str:
        return f"cohere:{self._model}:{self._dimension}"

    @property
    def dimension(self) -> int:
        return self._dimension

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        return self._embed(texts, "search_document")

    def embed_query(self, text: str) -> Vector:
        vector: Vector = self._embed([text], "search_query")[0]
        return vector

    def _embed(self, texts: Sequence[str], kind: str) -> Matrix:
        rows: list[Any] = []
        for start in range(0, len(texts), _MOST_TEXTS):
            part = [text or _EMPTY for text in texts[start : start + _MOST_TEXTS]]
            body: dict[str, Any] = {
                "model": self._model,
                "texts": part,
                "input_type": kind,
                "embedding_types": ["float"],
            }
            if self._asks is not None:
                body["output_dimension"] = self._asks
            rows += self._rows(self._http.post("/embed", body), len(part))
        made: Matrix = np.array(rows, np.float32).reshape(len(texts), self._dimension)
        return made

    def _rows(self, answer: Any, count: int) -> list[Any]:
        try:
            rows = list(answer["embeddings"]["float"])
            sizes = {len(row) for row in rows}
        except (KeyError, TypeError) as exc:
            raise EmbeddingError("the answer holds no vectors") from exc
        if len(rows) != count or sizes != {self._dimension}:
            raise EmbeddingError(
                f"{count} texts were sent, {len(rows)} vectors of {sorted(sizes)} came, "
                f"{self._dimension} was expected"
            )
        return rows

    def close(self) -> None:
        self._http.close()


class CohereReranker(Reranker):
    """``POST /rerank``."""

    def __init__(
        self,
        *,
        model: str = "rerank-v3.5",
        api_key: str | None = None,
        url: str = _URL,
        **http: Any,
    ) -> None:
        """Name the model; see :class:`CohereEmbedder` for the rest.

        Raises:
            ConfigurationError: The key is missing.
        """
        if not api_key:
            raise ConfigurationError("api_key is missing: Cohere needs one")
        options: dict[str, Any] = {"attempts": 2, **http}
        self._model, self._http = model, HostedModel(url, api_key, **options)

    async def rerank(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        return await asyncio.to_thread(self._scores, query, texts)

    async def aclose(self) -> None:
        await asyncio.to_thread(self._http.close)

    def _scores(self, query: str, texts: Sequence[str]) -> list[float]:
        if len(texts) > _MOST_DOCUMENTS:
            raise BackendError(f"at most {_MOST_DOCUMENTS} texts, not {len(texts)}")
        body = {
            "model": self._model,
            "query": query,
            "documents": [each or _EMPTY for each in texts],
        }
        try:
            results = self._http.post("/rerank", body)["results"]
            found = {int(each["index"]): float(each["relevance_score"]) for each in results}
        except EmbeddingError as exc:
            raise BackendError(str(exc), retryable=True) from exc
        except (KeyError, TypeError, ValueError) as exc:
            raise BackendError("the reranker's answer holds no scores") from exc
        if found.keys() != set(range(len(texts))):
            raise BackendError(f"{len(texts)} texts were sent, scores came for {len(found)}")
        return [found[number] for number in range(len(texts))]
