"""What users of the queue handle: jobs, options, filters, figures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Generic, Literal, TypedDict, TypeVar

from ..errors import ConfigurationError

T = TypeVar("T")
RunIn = Literal["loop", "thread", "process"]
OnDuplicate = Literal["raise", "return"]
OnParentFailure = Literal["fail", "skip", "run"]


class JobStatus(StrEnum):
    """Where a job is; right at every moment and from any process."""

    PENDING = "pending"
    DELAYED = "delayed"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether the job will not change any more by itself."""
        return self in {JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED}


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it was stored when it was read. All times are aware UTC datetimes.

    Attributes:
        id: Unguessable unless chosen by the caller.
        name: The name of the handler.
        status: Where the job is.
        data: What was enqueued.
        priority: -1000 to 1000; higher runs first.
        attempts: How often a worker began to run it.
        max_attempts: After so many the job is failed (dead letter).
        created_at: When it was enqueued.
        started_at: When the last attempt began.
        completed_at: When it completed, or was cancelled.
        result: What the handler returned.
        error: Why the last attempt failed: type and message.
        failed_at: When it failed for good.
        queue: The queue that it waits in.
        scheduled_at: When a delayed job is due.
        progress: 0 to 100, as the handler reported.
        headers: Correlation id, trace context and the like.
        depends_on: Ids of the jobs that must complete first.
        worker: Id of the worker that runs it.
    """

    id: str
    name: str
    status: JobStatus
    data: Any
    priority: int
    attempts: int
    max_attempts: int
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    result: Any = None
    error: str | None = None
    failed_at: datetime | None = None
    queue: str = "default"
    scheduled_at: datetime | None = None
    progress: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    depends_on: Sequence[str] = ()
    worker: str | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """How long to wait before the next attempt.

    ``exponential`` waits a random time between 0 and ``min(cap, base * factor ** (attempt - 1))``:
    "full jitter", M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Attributes:
        kind: ``"exponential"`` or ``"fixed"`` (always ``base``).
        base: Seconds.
        factor: Growth per attempt.
        cap: The longest wait, in seconds.
    """

    kind: Literal["fixed", "exponential"] = "exponential"
    base: float = 2.0
    factor: float = 2.0
    cap: float = 3600.0

    def __post_init__(self) -> None:
        """Refuse waits that are negative, endless or not a number."""
        if self.kind not in ("fixed", "exponential"):  # a tuple: it may be unhashable
            raise ConfigurationError(f"backoff must be 'fixed' or 'exponential', not {self.kind!r}")
        numbers = (self.base, self.factor, self.cap)
        if not all(isinstance(each, int | float) for each in numbers) or not (
            0 <= self.base < 1e9 and 1 <= self.factor <= 1e3 and 0 <= self.cap < 1e9
        ):
            raise ConfigurationError(
                "base and cap of a Retry are seconds from 0 to 1e9, factor is from 1 to 1000, not "
                f"{numbers!r:.60}"
            )

    def ceiling(self, attempt: int) -> float:
        """Return the longest wait after ``attempt`` (1 is the first), in seconds."""
        if self.kind == "fixed":
            return self.base
        # 64 doublings pass every cap; a larger power would overflow
        return min(self.cap, self.base * self.factor ** min(max(attempt, 1) - 1, 64))


Backoff = Retry | Literal["fixed", "exponential"] | Callable[[int], float]


class EnqueueOptions(TypedDict, total=False):
    """The keywords of ``enqueue`` beyond the users' specification."""

    id: str | None
    queue: str | None
    timeout: float | timedelta | None
    backoff: Retry | Literal["fixed", "exponential"] | None
    unique_key: str | None
    on_duplicate: OnDuplicate
    result_ttl: float | timedelta | None
    headers: Mapping[str, str] | None
    depends_on: str | Job | Sequence[str | Job]
    on_parent_failure: OnParentFailure
    limit_key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """The options of one ``enqueue`` as an object; None leaves it to the handler and settings.

    Attributes:
        priority: -1000 to 1000.
        delay: Seconds until the job is due.
        max_attempts: At least 1.
        id: Chosen by the caller, for idempotency: 1 to 200 printable characters.
        queue: The queue to wait in.
        timeout: Seconds that one attempt may run.
        backoff: ``Retry``, ``"fixed"`` or ``"exponential"``.
        unique_key: Held until the job ends; a second job with it is a duplicate.
        on_duplicate: ``"raise"`` ``DuplicateJob``, or ``"return"`` the job that is there.
        result_ttl: Seconds that the completed or cancelled job is kept; 0 deletes it at once. Dead
            letters stay until they are retried or purged.
        headers: Strings that travel with the job.
        depends_on: Jobs or their ids (at most 1,000) that must complete first; they must exist.
        on_parent_failure: When one of them fails or is cancelled: ``"fail"`` this job too,
            ``"skip"`` (cancel) it, or ``"run"`` it all the same once all have ended.
        limit_key: What the handler's ``rate_limit`` and ``concurrency`` count apart: a user, say.
    """

    priority: int | None = None
    delay: float | timedelta | None = None
    max_attempts: int | None = None
    id: str | None = None
    queue: str | None = None
    timeout: float | timedelta | None = None
    backoff: Retry | Literal["fixed", "exponential"] | None = None
    unique_key: str | None = None
    on_duplicate: OnDuplicate = "raise"
    result_ttl: float | timedelta | None = None
    headers: Mapping[str, str] | None = None
    depends_on: str | Job | Sequence[str | Job] = ()
    on_parent_failure: OnParentFailure = "fail"
    limit_key: str | None = None


@dataclass(frozen=True, slots=True)
class JobFilters:
    """Which jobs to list; None and empty mean any."""

    name: str | None = None
    queue: str | None = None
    status: JobStatus | Sequence[JobStatus] | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None

    @property
    def statuses(self) -> tuple[JobStatus, ...]:
        """The statuses asked for; empty for any."""
        if self.status is None:
            return ()
        many = (self.status,) if isinstance(self.status, str) else self.status
        return tuple(JobStatus(each) for each in many)


@dataclass(frozen=True, slots=True)
class QueueStats:
    """How a queue, or all of them, stand.

    Attributes:
        pending: Due and waiting.
        delayed: Waiting for their time or their next attempt.
        processing: Leased by a worker.
        completed: Ended well and still kept.
        failed: Dead letters.
        cancelled: Cancelled and still kept.
        workers: Workers that were alive within the last lease.
        oldest_pending_age: Seconds that the oldest pending job has waited; None without one.
        throughput: Jobs completed a second over the last minute.
    """

    pending: int = 0
    delayed: int = 0
    processing: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    workers: int = 0
    oldest_pending_age: float | None = None
    throughput: float = 0.0


@dataclass(frozen=True, slots=True)
class Latencies:
    """How long recent jobs waited and ran, in seconds; None where there is nothing to say.

    Attributes:
        count: How many jobs were looked at.
        wait_p50: Half of them began at most so long after they were due.
        wait_p95: 95 % of them did.
        run_p50: Half of their last attempts ran at most so long.
        run_p95: 95 % of them did.
    """

    count: int = 0
    wait_p50: float | None = None
    wait_p95: float | None = None
    run_p50: float | None = None
    run_p95: float | None = None


class Page(list[T], Generic[T]):
    """A list with the cursor of the next page (None at the end)."""

    next_cursor: str | None = None

    @classmethod
    def of(cls, items: Sequence[T], next_cursor: str | None = None) -> "Page[T]":
        """Return ``items`` as a page."""
        page = cls(items)
        page.next_cursor = next_cursor
        return page
