"""The ports behind the tracker: a store keeps operations, a backplane rings a bell."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import msgspec

from .models import Page, ProgressStatus

FORMAT = 1
WHOLE = 100_000_000
"""100 percent in the integer units in which percents are added up."""

Position = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an adapter can do beyond its port.

    Attributes:
        durable: What it keeps survives the end of every process.
        shared: Other processes see the same.
        rings: Its writes ring a bell by themselves, in the same step (unless an option says no).
    """

    durable: bool = False
    shared: bool = False
    rings: bool = False


class Stage(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stage as it is stored: ``weight`` in thousandths, times in seconds since the epoch.

    ``epoch`` is that of the last write to it: within one epoch it never runs backwards.
    """

    name: str
    weight: int = 1000
    status: ProgressStatus = ProgressStatus.PENDING
    percent: float = 0.0
    current: int | float | None = None
    total: int | float | None = None
    started_at: float | None = None
    completed_at: float | None = None
    epoch: int = 1
    skipped: bool = False


class Pace(msgspec.Struct, frozen=True, omit_defaults=True):
    """A smoothed speed: where it was measured last, and the sums of which it is the quotient."""

    at: float
    done: float
    since: float
    value: float = 0.0
    mass: float = 0.0


class Line(msgspec.Struct, frozen=True, array_like=True):
    """A log line as it is stored."""

    at: float
    level: str
    message: str
    stage: str | None = None


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """What only an operation's own writes change; stores keep it as one JSON document.

    ``percent`` counts where there are neither stages nor children; ``mark`` is the epoch of its
    last write. ``sequence`` is the number of the writer's last report, ``prior`` the seconds that
    earlier operations of its kind took. ``looped`` names the stages (``""`` is the whole) whose
    totals are the lengths of the worker's loops: whoever begins anew has loops of their own.
    """

    percent: float = 0.0
    mark: int = 1
    current: int | float | None = None
    total: int | float | None = None
    stage: str | None = None
    stages: tuple[Stage, ...] = ()
    message: str | None = None
    logs: tuple[Line, ...] = ()
    result: Any = None
    error: str | None = None
    error_type: str | None = None
    reason: Literal["stalled"] | None = None
    started_at: float | None = None
    sequence: int = 0
    pace: Pace | None = None
    flow: Pace | None = None
    prior: float | None = None
    looped: tuple[str, ...] = ()


class Kids(msgspec.Struct, frozen=True):
    """What an operation keeps of its direct children, so that nobody needs to look at them.

    Attributes:
        weight: The sum of their weights, in thousandths.
        done: The sum of weight times units done.
        total: How many they are.
        completed: How many ended well.
        failed: How many failed.
        cancelled: How many were cancelled.
    """

    weight: int = 0
    done: int = 0
    total: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """An operation as stores keep it: times in seconds since the epoch, metadata as JSON.

    The store makes ``version`` (every change, children's included), ``revision`` (own writes
    only), ``kids`` and ``units``; all else it takes from the writer. ``token`` names the last own
    write. ``ancestors`` lead from the parent to the root. ``format`` is the version of the record,
    so that releases can read each other's.
    """

    id: str
    epoch: int = 1
    version: int = 1
    revision: int = 1
    token: str = ""
    status: ProgressStatus = ProgressStatus.PENDING
    user_id: str | None = None
    parent_id: str | None = None
    ancestors: tuple[str, ...] = ()
    kind: str | None = None
    weight: int = 1000
    metadata: bytes = b"{}"
    created_at: float = 0.0
    updated_at: float = 0.0
    completed_at: float | None = None
    stale_after: float = 3600.0
    stale_at: float | None = None
    writer: str | None = None
    cancel_requested: bool = False
    state: State = State()
    kids: Kids = Kids()
    units: int = 0
    format: int = FORMAT

    @property
    def position(self) -> Position:
        """``(epoch, version)``."""
        return (self.epoch, self.version)


class Created(msgspec.Struct, frozen=True):
    """What became of a creation.

    Attributes:
        reason: ``created``; ``exists``: the id is taken; ``no_parent``: the parent is gone.
        record: The stored one: the new one, or the one that was there before.
    """

    reason: Literal["created", "exists", "no_parent"]
    record: Record | None


class Write(msgspec.Struct, frozen=True):
    """A new own state, for the revision that ``record`` still names.

    Attributes:
        record: What is to be stored.
        was: The status that it replaces, for the parent's counts.
    """

    record: Record
    was: ProgressStatus


class Written(msgspec.Struct, frozen=True):
    """What became of a write.

    Attributes:
        applied: Whether it was stored, now or by an earlier try with the same token.
        record: What is stored; None if there is no such operation.
    """

    applied: bool
    record: Record | None


class Beat(msgspec.Struct, frozen=True):
    """A sign of life: the epoch ``epoch`` of ``id``, written by ``writer``, lives on.

    ``stale_at`` is when it will have stalled.
    """

    id: str
    epoch: int
    writer: str
    stale_at: float


@dataclass(frozen=True, slots=True)
class Filters:
    """Which operations to list; None and empty mean any."""

    user_id: str | None = None
    statuses: tuple[ProgressStatus, ...] = ()
    parent_id: str | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Overdue:
    """What a sweep has to do: ids of stalled operations and of old roots to delete."""

    stalled: Sequence[str]
    expired: Sequence[str]


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


Ring = Callable[[Collection[str] | None], None]


class Backplane(ABC):
    """Tells watchers, also of other processes, that operations changed. Carries ids, never data.

    Constructors do no I/O. Safe for concurrent use within one event loop.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()

    @abstractmethod
    async def publish(self, ids: Collection[str]) -> None:
        """Ring every listener's bell for ``ids``.

        Raises:
            BackendError: The backplane could not be reached; watchers poll meanwhile.
        """

    @abstractmethod
    async def listen(self, ring: Ring, wanted: Callable[[], Collection[str]]) -> None:
        """Begin to call ``ring``; one listener for each adapter object, a second replaces it.

        When this returns, every later change of an id in ``wanted()`` rings, on this event loop.
        After a lost connection ``ring(None)`` says that anything may have changed.

        Args:
            ring: Called with the ids that changed; does not block.
            wanted: The ids that somebody watches now.
        """

    @abstractmethod
    def twin(self) -> "Backplane":
        """Return another adapter to the same backplane, for another event loop."""

    async def aclose(self) -> None:
        """Stop listening and disconnect; a later call connects again."""

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""

    async def __aenter__(self) -> Self:
        """Return the backplane itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the backplane."""
        await self.aclose()
