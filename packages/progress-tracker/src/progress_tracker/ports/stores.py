"""The store: it keeps operations."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar, Self

from ..models import Page
from .backplanes import Backplane
from .capabilities import Capabilities
from .records import (
    Beat,
    Created,
    Filters,
    Overdue,
    Position,
    Record,
    Write,
    Written,
)


class ProgressStore(ABC):
    """Keeps operations. Every method is one atomic step.

    Constructors do no I/O: the first call connects, ``aclose`` disconnects. Safe for concurrent
    use within one event loop.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()

    @abstractmethod
    async def create(self, record: Record) -> Created:
        """Store a new operation and count it in its parent.

        The parent's ``kids`` gain its weight, its share and one child, by
        :func:`progress_tracker.rules.percent.changed`; the parent becomes what
        :func:`progress_tracker.rules.percent.with_kids` makes of it, and likewise those above, up
        to the root. A stored record with the same token is ``created``.

        Raises:
            BackendError: The store could not be reached or refused the call.
        """

    @abstractmethod
    async def write(self, writes: Sequence[Write]) -> Sequence[Written]:
        """Replace own states, each if its stored ``revision`` is still that of the record.

        In the same step ``revision`` and ``version`` rise by one, ``units`` are made anew from
        status, state and the stored ``kids`` (:func:`progress_tracker.rules.percent.units_of`), and
        the difference reaches every ancestor as with ``create``: one that was pending begins to
        process, one that has ended keeps its units and version. A status of ``pending`` leaves a
        stored ``processing`` of the same epoch as it is. A write that was refused does not touch
        the others; one whose token is stored is applied.

        Raises:
            BackendError: The store could not be reached; nothing or everything was written.
        """

    @abstractmethod
    async def get_many(self, ids: Collection[str]) -> Mapping[str, Record]:
        """Return those of ``ids`` that exist."""

    async def get(self, id: str) -> Record | None:
        """Return one operation; override to save work."""
        return (await self.get_many([id])).get(id)

    async def positions(self, ids: Collection[str]) -> Mapping[str, Position]:
        """Return epoch and version of those of ``ids`` that exist; override to read less."""
        return {id: record.position for id, record in (await self.get_many(ids)).items()}

    @abstractmethod
    async def touch(self, beats: Sequence[Beat]) -> Sequence[bool | None]:
        """Set ``stale_at`` where epoch and writer are still those of the beat.

        Returns:
            For each: whether a cancellation is requested; None where the operation has ended, was
            taken over or deleted. No version rises.
        """

    @abstractmethod
    async def list_records(self, filters: Filters, limit: int, cursor: str | None) -> Page[Record]:
        """Return operations, newest first by ``created_at`` and id: a ``Page.of`` them.

        Raises:
            ConfigurationError: The cursor is not one of ours.
        """

    @abstractmethod
    async def delete(self, id: str) -> Sequence[str]:
        """Delete an operation with all its descendants, and take it out of its ancestors' sums.

        Returns:
            The ids that were deleted.
        """

    @abstractmethod
    async def overdue(
        self, now: float, completed_before: float, failed_before: float, limit: int
    ) -> Overdue:
        """Return what is processing with ``stale_at`` before ``now``, and ended roots to delete.

        Completed and cancelled roots are due when they ended before ``completed_before``, failed
        ones ``failed_before``. A child goes with its root.
        """

    def bells(self) -> "Backplane | None":
        """Return a new backplane that this store's own writes ring, in the same step as the write.

        Its ``publish`` has nothing to do. None where writes ring nothing: then whoever writes
        publishes, or watchers poll.
        """
        return None

    @abstractmethod
    def twin(self) -> "ProgressStore":
        """Return another adapter to the same data, for another event loop."""

    async def setup(self) -> None:
        """Create or upgrade the tables (servers; embedded stores do it by themselves)."""

    def schema_sql(self) -> str:
        """Return the schema as SQL; empty where there is none."""
        return ""

    async def aclose(self) -> None:
        """Disconnect; a later call connects again."""

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""

    async def __aenter__(self) -> Self:
        """Return the store itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the store."""
        await self.aclose()
