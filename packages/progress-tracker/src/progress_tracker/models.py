"""What users of the tracker handle: operations, stages, options, figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")
LogLevel = Literal["debug", "info", "warning", "error"]
_NEVER = datetime.fromtimestamp(0, UTC)


class ProgressStatus(StrEnum):
    """Where an operation or a stage is."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing but a restart changes it any more."""
        return self in _FINAL


_FINAL = frozenset({ProgressStatus.COMPLETED, ProgressStatus.FAILED, ProgressStatus.CANCELLED})


@dataclass(frozen=True, slots=True)
class ProgressStage:
    """A stage as it was stored. All times are aware UTC datetimes.

    Attributes:
        name: Unique within the operation.
        status: Where the stage is.
        progress: 0 to 100.
        started_at: When it was named first.
        completed_at: When it ended.
        weight: Its part of the whole, beside the other stages' and children's; 1.
        current: Units done, where units are counted.
        total: Units in all, where that is known.
        skipped: Whether it was left out, and so has no part of the whole.
    """

    name: str
    status: ProgressStatus
    progress: float
    started_at: datetime | None = None
    completed_at: datetime | None = None
    weight: float = 1.0
    current: int | float | None = None
    total: int | float | None = None
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that the worker logged.

    Attributes:
        at: When.
        level: ``debug``, ``info``, ``warning`` or ``error``.
        message: The text.
        stage: The stage that ran, if any.
    """

    at: datetime
    level: str
    message: str
    stage: str | None = None


@dataclass(frozen=True, slots=True)
class ChildCounts:
    """How the direct children of an operation stand.

    Attributes:
        total: All of them.
        completed: Ended well.
        failed: Failed, or stalled.
        cancelled: Cancelled.
    """

    total: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def active(self) -> int:
        """How many have not ended."""
        return self.total - self.completed - self.failed - self.cancelled


@dataclass(frozen=True, slots=True)
class Progress:
    """An operation as it was stored when it was read. All times are aware UTC datetimes.

    Attributes:
        id: Unguessable unless chosen by the caller.
        status: Where the operation is.
        progress: 0 to 100, to six decimals. With stages or children the weighted mean of them.
        stage: The stage that runs, or ran last.
        stages: All stages in order; None without.
        error: Why it failed, without traceback.
        metadata: What its creator attached.
        created_at: When it was created.
        updated_at: When it or a child was written last.
        completed_at: When it ended, however it did.
        version: Rises with every stored change.
        epoch: Rises when the operation is restarted or taken over by another worker.
        kind: What sort of operation it is.
        user_id: Whose it is.
        parent_id: The operation that it is part of.
        current: Units done (of the running stage, where there are stages).
        total: Units in all; None where unknown.
        message: What the worker said last.
        result: What it was completed with.
        error_type: The class of the exception that failed it.
        rate: Units (percent where none are counted) a second; None until it means something.
        eta: Seconds left; None until it means something. At the beginning by what earlier
            operations of its ``kind`` took, then more and more by its own speed.
        reason: ``"stalled"`` if it failed because its worker fell silent.
        started_at: When its epoch's first write came.
        cancel_requested: Whether somebody asked to cancel it.
        children: How its children stand; None without.
        logs: The last lines that its worker logged.
    """

    id: str
    status: ProgressStatus
    progress: float
    stage: str | None = None
    stages: tuple[ProgressStage, ...] | None = None
    error: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime = _NEVER
    updated_at: datetime = _NEVER
    completed_at: datetime | None = None
    version: int = 1
    epoch: int = 1
    kind: str | None = None
    user_id: str | None = None
    parent_id: str | None = None
    current: int | float | None = None
    total: int | float | None = None
    message: str | None = None
    result: Any = None
    error_type: str | None = None
    rate: float | None = None
    eta: float | None = None
    reason: Literal["stalled"] | None = None
    started_at: datetime | None = None
    cancel_requested: bool = False
    children: ChildCounts | None = None
    logs: tuple[LogLine, ...] = ()

    @property
    def is_final(self) -> bool:
        """Whether nothing but a restart changes it any more."""
        return self.status.is_final

    @property
    def position(self) -> tuple[int, int]:
        """``(epoch, version)``: rises with every change; what ``watch(since=…)`` takes."""
        return (self.epoch, self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressOptions:
    """The options of ``create`` as an object.

    Attributes:
        id: 1 to 200 printable characters; unguessable if None.
        stages: Names of the stages in order.
        metadata: JSON of at most 64 KiB.
        user_id: Whose operation it is.
        weights: Of the stages, by name or in their order, 0.001 to 1000; 1 each.
        total: Units in all, for ``advance``; None where unknown.
        parent_id: The operation that this one is part of.
        kind: What sort of operation it is.
        weight: Its part of the parent, 0.001 to 1000; 1.
    """

    id: str | None = None
    stages: Sequence[str] | None = None
    metadata: Mapping[str, Any] | None = None
    user_id: str | None = None
    weights: Mapping[str, float] | Sequence[float] | None = None
    total: int | float | None = None
    parent_id: str | None = None
    kind: str | None = None
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep did.

    Attributes:
        stalled: Operations that it failed because nobody wrote to them any more.
        deleted: Operations, children included, that it deleted because they were old.
    """

    stalled: int = 0
    deleted: int = 0


@dataclass(frozen=True, slots=True)
class TrackerStats:
    """Figures of one tracker in this process since it was made.

    Attributes:
        operations: Operations created.
        active: Handles in use.
        completed: Operations that ended well here.
        failed: Operations that failed here, stalled ones included.
        cancelled: Operations cancelled here.
        writes: Stored writes.
        write_seconds: Seconds spent on them: divided by ``writes`` the mean latency.
        store_errors: Calls that the store failed.
        watchers: Watches open now.
    """

    operations: int = 0
    active: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    writes: int = 0
    write_seconds: float = 0.0
    store_errors: int = 0
    watchers: int = 0


class Page(list[T], Generic[T]):
    """A list with the cursor of the next page (None at the end)."""

    next_cursor: str | None = None

    @classmethod
    def of(cls, items: Sequence[T], next_cursor: str | None = None) -> "Page[T]":
        """Return ``items`` as a page."""
        page = cls(items)
        page.next_cursor = next_cursor
        return page
