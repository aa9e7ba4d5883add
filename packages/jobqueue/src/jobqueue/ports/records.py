"""What brokers store, and what workers tell and ask them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec

from ..models import JobStatus

if TYPE_CHECKING:
    pass

FORMAT = 1


class Record(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A job as brokers store it: times in seconds since the epoch, payloads as JSON bytes.

    ``fence`` grows with every claim; whoever holds an older one has lost the job. ``delay`` only
    travels to the broker, which makes ``run_at`` of it by its own clock. ``version`` is the format
    of the record, so that releases can read each other's: what a default means does not change
    within one, since encoded records leave it out.

    ``aging`` is how many seconds of waiting outweigh one point of priority: 0 for strict priority,
    else the order is by ``created_at - priority * aging``. A job with ``depends_on`` is ``delayed``
    (without ``run_at``) until each of those has ended.
    """

    id: str
    name: str
    queue: str
    data: bytes
    priority: int = 0
    status: JobStatus = JobStatus.PENDING
    attempts: int = 0
    max_attempts: int = 3
    fence: int = 0
    created_at: float = 0.0
    delay: float = 0.0
    run_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    lease_until: float | None = None
    worker: str | None = None
    timeout: float | None = None
    backoff: str | None = None
    unique_key: str | None = None
    result: bytes | None = None
    result_ttl: float | None = None
    error: str | None = None
    progress: float = 0.0
    headers: str = "{}"
    version: int = FORMAT
    aging: float = 0.0
    depends_on: tuple[str, ...] = ()
    on_parent_failure: str = "fail"
    limit_key: str | None = None


class Enqueued(msgspec.Struct, frozen=True):
    """What became of one enqueued job.

    Attributes:
        record: The stored job: the new one, or the one that was there before.
        reason: ``"created"``; ``"same_id"`` or ``"same_key"`` if ``record`` was there before;
            ``"no_parent"`` if it was not stored because a job that it depends on is unknown.
    """

    record: Record
    reason: Literal["created", "same_id", "same_key", "no_parent"]


@dataclass(slots=True)
class Lease:
    """A worker's hold on a job it runs.

    Attributes:
        id: The job.
        fence: The claim; an outcome with an older fence is refused.
        progress: What the handler reported last, 0 to 100.
    """

    id: str
    fence: int
    progress: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        lease: The claim under which it ran.
        kind: ``completed``; ``retry`` after ``delay``; ``failed`` for good; ``released`` unrun (the
            attempt is given back).
        result: The handler's value as JSON, when completed.
        error: Type and message, when it failed.
        delay: Seconds until the next attempt.
    """

    lease: Lease
    kind: Literal["completed", "retry", "failed", "released"]
    result: bytes | None = None
    error: str | None = None
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """What a worker learns from one step.

    Attributes:
        claimed: Leased jobs to run now, best first.
        refused: Ids of outcomes that came too late: the lease was lost before.
        lost: Ids among the worker's other leases that it holds no more (cancelled or expired).
        next_due: Seconds until the next delayed job or expiring lease; None if there is none.
    """

    claimed: Sequence[Record] = ()
    refused: Sequence[str] = ()
    lost: Sequence[str] = ()
    next_due: float | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """What jobs of one name and ``limit_key`` may do together, over all workers.

    Attributes:
        concurrency: How many run at once; None for any number.
        starts: How many begin within any ``period``; None for any number.
        period: Seconds.
    """

    concurrency: int | None = None
    starts: int | None = None
    period: float = 1.0


@dataclass(frozen=True, slots=True)
class WorkerCall:
    """What a worker asks for in one step.

    Attributes:
        worker: Its id.
        lease: Seconds that new and renewed leases hold.
        slots: How many jobs of which queue it can take.
        outcomes: What ended since the last step.
        held: Leases that go on.
        limits: By the jobs' name.
        reclaims: Whether leases that ran out are taken back, and counted in ``next_due``. A worker
            that has just found the broker again leaves their holders time to renew them.
    """

    worker: str
    lease: float
    slots: Mapping[str, int] = field(default_factory=dict)
    outcomes: Sequence[Outcome] = ()
    held: Sequence[Lease] = ()
    limits: Mapping[str, Limit] = field(default_factory=dict)
    reclaims: bool = True
