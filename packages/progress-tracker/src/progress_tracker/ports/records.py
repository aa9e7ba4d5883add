"""What stores keep of an operation, and what becomes of a write."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from ..models import ProgressStatus

FORMAT = 1
WHOLE = 100_000_000
"""100 percent in the integer units in which percents are added up."""
Position = tuple[int, int]


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
