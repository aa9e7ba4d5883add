"""The port of embedders, and of caches of what they say."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

from .values import (
    Matrix,
    Vector,
)


class Embedder(ABC):
    """Turns texts into vectors. Called in threads, from one at a time.

    Attributes:
        model_id: Names model and version; an index refuses vectors of another one.
        dimension: The length of the vectors.
        alpha: What ``SearchQuery.alpha`` is where a query does not say: less than half for a model
            that is worse than words alone.
    """

    alpha: float = 0.5

    @property
    @abstractmethod
    def model_id(self) -> str:
        """The name of the model."""

    @property
    @abstractmethod
    def dimension(self) -> int:
        """The length of the vectors."""

    def load(self) -> None:
        """Get ready: called in a thread before the first text, again after :meth:`close`.

        Raises:
            EmbeddingError: The model is missing or unfit.
        """

    def close(self) -> None:
        """Give back what is held; a later call gets ready again."""

    @abstractmethod
    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        """Return one vector per text, in order; they need not have unit length.

        Raises:
            EmbeddingError: The model is missing or failed.
        """

    def embed_query(self, text: str) -> Vector:
        """Return the vector of a query; by default as for a document."""
        vector: Vector = self.embed_documents([text])[0]
        return vector


class EmbeddingCache(Protocol):
    """Keeps vectors as bytes: any object with ``get`` and ``set``, plain or coroutine functions.

    With ``get_many(keys) -> mapping`` and ``set_many(mapping)`` a batch is one call. What it raises
    is logged and costs an embedding. Keys are 64 hexadecimal digits that stand for model, dimension
    and text; values carry a checksum, and what fails it counts as absent.
    """

    def get(self, key: str, /) -> Any:
        """Return the bytes under ``key``, or None."""

    def set(self, key: str, value: bytes, /) -> Any:
        """Keep ``value``."""
