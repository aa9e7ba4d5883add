"""The ports: vector store, keyword index, embedder, reranker, query expander."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from ..errors import UnsupportedOperationError
from ..filters import Filter
from ..models import Facet
from .values import (
    Capabilities,
    Changes,
    Chunk,
    KeywordCapabilities,
    Matrix,
    Nearest,
    Position,
    Scored,
    Span,
    Stored,
    Vector,
    version,
)

__all__ = [
    "Capabilities",
    "Changes",
    "Chunk",
    "Embedder",
    "EmbeddingCache",
    "Expanded",
    "Feedback",
    "KeywordCapabilities",
    "KeywordIndex",
    "Matrix",
    "Nearest",
    "Position",
    "QueryExpander",
    "Reranker",
    "Scored",
    "Span",
    "Stored",
    "Vector",
    "VectorStore",
    "version",
]


class VectorStore(ABC):
    """Keeps documents with their vectors and finds the nearest ones: the source of truth.

    Constructors do no I/O. Safe for concurrent use within one event loop; long computations leave
    the loop free. Every method may raise ``BackendError``.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()

    @abstractmethod
    async def open(self, model_id: str, dimension: int, *, create: bool) -> None:
        """Prepare an index for vectors of a model; idempotent.

        Raises:
            ConfigurationError: It was made with another model, or is missing and may not be made.
        """

    @abstractmethod
    async def refresh(self, since: Position = None) -> Changes:
        """Learn what others wrote; return what changed since a position, by us or by them.

        The reader keeps its position: asked again from the same one, the changes come again. A
        call that is cancelled or fails loses none of them.

        Args:
            since: ``position`` of the changes taken over last; None for all documents.
        """

    @abstractmethod
    async def upsert(self, documents: Sequence[Stored]) -> None:
        """Store documents, all or none; those with the same ids are replaced."""

    @abstractmethod
    async def delete(self, ids: Sequence[str]) -> Sequence[str]:
        """Delete documents; return the ids that were there."""

    @abstractmethod
    async def get(self, ids: Sequence[str]) -> Mapping[str, Stored]:
        """Return the documents that are there."""

    @abstractmethod
    async def search(self, vector: Vector, limit: int, filter: Filter | None) -> Sequence[Scored]:
        """Return the nearest documents that pass the filter: (id, cosine), ties by id."""

    async def nearest(self, vector: Vector, limit: int, filter: Filter | None) -> Nearest:
        """Return what :meth:`search` does, and the best parts of long documents."""
        return Nearest(await self.search(vector, limit, filter))

    def spans(self, document_id: str) -> Sequence[Span]:  # noqa: ARG002  for adapters
        """Return the parts that a document has."""
        return ()

    @abstractmethod
    async def select(self, filter: Filter | None, limit: int | None = None) -> Sequence[str]:
        """Return the ids of the documents that pass the filter, in their order."""

    @abstractmethod
    async def facets(self, names: Sequence[str], filter: Filter | None) -> Mapping[str, Facet]:
        """Count the values of ``names`` over the documents that pass the filter."""

    @abstractmethod
    async def count(self, filter: Filter | None) -> int:
        """Return how many documents pass the filter."""

    async def settle(self) -> None:
        """Make ready for searches what many writes left for later; called when they are over."""

    def place_for_words(self) -> str | None:
        """Return the path of a file that a keyword index in memory may have; None for none."""
        return None

    def beside(self) -> "VectorStore":
        """Return an empty store that can take this one's place: see :meth:`supersede`.

        Raises:
            UnsupportedOperationError: ``capabilities.reindex`` is false.
        """
        raise UnsupportedOperationError(
            f"{type(self).__name__} cannot be reindexed in place: make another index"
        )

    async def supersede(self, other: "VectorStore", since: Position) -> bool:  # noqa: ARG002  for adapters
        """Let ``other``, which came from :meth:`beside`, take this store's place for everybody.

        From then on writes to this one are refused, here and in other processes.

        Args:
            other: Holds the documents that this one had at ``since``.
            since: Where the caller has followed this store to.

        Returns:
            False, and nothing is changed, if there were writes after ``since``.
        """
        raise UnsupportedOperationError(f"{type(self).__name__} cannot be reindexed in place")

    async def aclose(self) -> None:
        """Disconnect; a later call connects again."""

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""


class KeywordIndex(ABC):
    """Finds documents by their words. Safe for concurrent use within one event loop.

    Attributes:
        exact: After any changes it ranks as one built anew.
        capabilities: What it can do.
        position: The changes of the store up to here are taken over; kept by the service.
    """

    exact: ClassVar[bool] = True
    capabilities: ClassVar[KeywordCapabilities] = KeywordCapabilities()
    position: Position = None

    @abstractmethod
    async def apply(self, changes: Changes) -> None:
        """Take over changes of the store; idempotent, and repeated if it failed."""

    @abstractmethod
    async def search(
        self,
        terms: Mapping[str, float],
        limit: int,
        filter: Filter | None,
    ) -> Sequence[Scored]:
        """Return the best documents that pass the filter: (id, score over 0), ties by id.

        Args:
            terms: Stems and their weights, as :meth:`terms` makes them.
            limit: At most so many.
            filter: Applied before ranking.
        """

    @abstractmethod
    def terms(self, text: str) -> Mapping[str, float]:
        """Return the weighted stems of a query."""

    @abstractmethod
    async def documents(self) -> Mapping[str, str]:
        """Return the digests of all documents by id, for :meth:`SearchService.repair`."""

    @abstractmethod
    async def salient(self, ids: Sequence[str], limit: int) -> Mapping[str, float]:
        """Return the terms that tell these documents from others, weights adding up to 1."""

    def keep_in(self, path: str) -> None:
        """Remember words in a file between processes, if this index is in memory; once, first."""

    async def aclose(self) -> None:
        """Release what is held."""

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""


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


class Reranker(ABC):
    """Orders the best hits anew. What it raises costs the reranking, and degrades the answer."""

    @abstractmethod
    async def rerank(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """Return a score for each text, higher is better."""

    async def aclose(self) -> None:
        """Disconnect; a later call connects again."""

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What an expander may look at.

    Attributes:
        ids: The best documents of a first search.
        vectors: Their vectors.
        salient: ``await salient(ids, limit)`` gives the telling terms of documents.
        text: The query as it was asked.
        terms: Gives the weighted stems of a text.
        embed: ``await embed(text)`` gives the unit vector of a text.
    """

    ids: Sequence[str]
    vectors: Matrix
    salient: Callable[..., Any]
    text: str = ""
    terms: Callable[[str], Mapping[str, float]] = lambda _: {}
    embed: Callable[[str], Any] | None = None


@dataclass(frozen=True, slots=True)
class Expanded:
    """A query with more to say.

    Attributes:
        terms: For the keyword side.
        vector: For the vector side.
    """

    terms: Mapping[str, float] = field(default_factory=dict)
    vector: "Vector | None" = None


class QueryExpander(ABC):
    """Adds to a query what its author did not say.

    What it raises costs the expansion, and degrades the answer.
    """

    @abstractmethod
    async def expand(
        self, terms: Mapping[str, float], vector: Vector, feedback: Feedback
    ) -> Expanded:
        """Return the query to search with instead."""

    async def aclose(self) -> None:
        """Disconnect; a later call connects again."""

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""
