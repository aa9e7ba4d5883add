"""The port of vector stores."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from ..errors import UnsupportedOperationError
from ..filters import Filter
from ..models import Facet
from .values import (
    Capabilities,
    Changes,
    Nearest,
    Position,
    Scored,
    Span,
    Stored,
    Vector,
)


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

        Documents that are told may be ``unread``: who needs their text asks :meth:`get`.

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

    async def vectors(self, ids: Sequence[str]) -> Mapping[str, Vector]:
        """Return the vectors of documents that are there; override to read no texts."""
        return {name: each.vector for name, each in (await self.get(ids)).items()}

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
