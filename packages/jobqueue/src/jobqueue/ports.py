"""The port behind the queue: a broker stores jobs and hands them to workers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec

from .errors import UnsupportedOperationError
from .models import JobFilters, JobStatus, Page, QueueStats

if TYPE_CHECKING:
    from sqlalchemy import Connection

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a broker can do beyond the port.

    Attributes:
        durable: Jobs survive the end of every process.
        shared: Workers in other processes see the jobs.
        distributed: Those processes may be on other machines.
        transactional: ``insert`` can join a transaction of the caller.
        push: An idle worker in another process is woken at once; else it polls.
        server_clock: A server's clock decides leases and delays, not the worker's.
    """

    durable: bool = False
    shared: bool = False
    distributed: bool = False
    transactional: bool = False
    push: bool = False
    server_clock: bool = False


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


class Broker(ABC):
    """Stores jobs and hands each to one worker at a time, under a lease.

    The broker's clock alone decides leases and delays. Constructors do no I/O: the first call
    connects, ``aclose`` disconnects. Safe for concurrent use within one event loop; ``twin`` serves
    another one. Every method may raise ``BackendError``.
    """

    capabilities: Capabilities = Capabilities()
    """Of the class, or of an instance that wraps another broker."""

    @abstractmethod
    async def enqueue(self, records: Sequence[Record]) -> Sequence[Enqueued]:
        """Store ``records`` atomically, all or none, and return what became of each.

        A record is not stored where its id is taken, or its ``unique_key`` belongs to an unfinished
        job: the job that is there is returned instead; nor where a job that it depends on is
        neither stored nor earlier in ``records``. The broker sets ``created_at``, and ``run_at``
        from ``delay`` where it is None, in ``records`` themselves or in copies. A parent that
        failed or was cancelled before counts as if it did so now.

        Raises:
            QueueFull: There is no room; nothing was stored.
        """

    def insert(self, connection: "Connection", records: Sequence[Record]) -> Sequence[Enqueued]:
        """Do what ``enqueue`` does, within the transaction of a SQLAlchemy connection.

        Called on the caller's thread; neither commits nor rolls back.

        Raises:
            UnsupportedOperationError: The broker is not ``transactional``.
        """
        raise UnsupportedOperationError(f"{type(self).__name__} cannot join a transaction")

    @abstractmethod
    async def step(self, call: WorkerCall) -> Step:
        """Finish, promote what is due, take back expired leases and claim, in one transaction.

        A claim raises ``attempts`` and ``fence`` before the job runs. An expired job of no
        attempts left is failed, others become pending again. A completed job whose ``result_ttl``
        is 0 is deleted.

        A job that ends lets go of those that depend on it: a completed one counts down what they
        wait for, one that failed or was cancelled does to them what their ``on_parent_failure``
        says (``fail``: failed with the error ``ParentFailed: …``; ``skip``: cancelled; both end
        their own dependants in turn; ``run``: counted like a completed one).

        A job of a name in ``call.limits`` is claimed only within the limit; what is held back
        costs no attempt, no slot and no time of later claims, and is let go as soon as there is
        room: at the end of another one, or when the period allows (it is ``delayed`` until then, or
        pending behind one that is).
        """

    @abstractmethod
    async def extend(self, call: WorkerCall) -> Sequence[str]:
        """Renew ``call.held`` and note that the worker lives; return the ids that are lost."""

    @abstractmethod
    async def wait(self, timeout: float) -> None:
        """Return when there may be something to do, after ``timeout`` seconds at the latest."""

    @abstractmethod
    async def get(self, job_id: str) -> Record | None:
        """Return a job, or None."""

    @abstractmethod
    async def list_jobs(self, filters: JobFilters, limit: int, cursor: str | None) -> Page[Record]:
        """Return jobs, newest first."""

    @abstractmethod
    async def change(self, job_id: str, to: JobStatus) -> bool:
        """Set an unfinished job ``cancelled``, or a failed or cancelled one ``pending``.

        Cancelling revokes the lease of a running job, so that it cannot complete. Retrying keeps
        the id and starts counting attempts anew. Returns whether anything changed.
        """

    async def change_many(self, job_ids: Sequence[str], to: JobStatus) -> int:
        """Do ``change`` for many; return how many changed. Override to save round trips."""
        return sum([await self.change(job_id, to) for job_id in job_ids])

    @abstractmethod
    async def remove(self, job_ids: Sequence[str]) -> int:
        """Delete jobs that no worker holds; return how many.

        To those that depend on it, an unfinished job that is removed was cancelled.
        """

    @abstractmethod
    async def purge(self, statuses: Sequence[JobStatus], before: float, limit: int) -> int:
        """Delete up to ``limit`` final jobs and return how many.

        Those of ``statuses`` that ended before ``before``; and completed and cancelled ones whose
        ``result_ttl`` is over.
        """

    @abstractmethod
    async def tick(self, name: str, at: float, records: Sequence[Record]) -> bool:
        """Move the cron entry ``name`` forward to ``at`` and enqueue ``records``, atomically.

        Returns False, without enqueueing, if another scheduler has come that far already. Empty
        ``records`` only set the entry.
        """

    @abstractmethod
    async def last_tick(self, name: str) -> float | None:
        """Return how far the cron entry ``name`` has come, in seconds since the epoch."""

    @abstractmethod
    async def set_paused(self, queue: str, *, paused: bool) -> None:
        """Stop or resume handing out the jobs of ``queue``, for all workers."""

    @abstractmethod
    async def queues(self) -> Mapping[str, bool]:
        """Return the names of the queues that hold jobs or are paused, and whether they are."""

    @abstractmethod
    async def time(self) -> float:
        """Return the broker's time, in seconds since the epoch."""

    @abstractmethod
    async def stats(self, queue: str | None) -> QueueStats:
        """Return the figures of one queue, or of all."""

    @abstractmethod
    def twin(self) -> "Broker":
        """Return a second broker on the same jobs, for another event loop and thread."""

    def preload(self) -> None:
        """Import what the first call would import; no I/O.

        For a process that forks while a thread uses the broker: a child that is forked in the
        middle of an import waits for ever at the lock of that module.
        """

    async def setup(self) -> None:
        """Create or upgrade what the broker needs on its server."""

    def schema_sql(self) -> str:
        """Return the schema as SQL; empty where there is none."""
        return ""

    async def aclose(self) -> None:
        """Disconnect; a later call connects again."""

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""


class Outbox(ABC):
    """Keeps jobs in the application's database until they are handed to a broker elsewhere."""

    @abstractmethod
    def insert(self, connection: "Connection", records: Sequence[Record]) -> Sequence[Enqueued]:
        """Note ``records`` within the transaction of a SQLAlchemy connection.

        Called on the caller's thread; neither commits nor rolls back. Whether an id or key is
        taken turns out when the jobs are relayed.
        """

    @abstractmethod
    async def relay(self, broker: Broker) -> int:
        """Hand the oldest committed jobs to ``broker``, once each; return how many there were.

        Any number of relays may run. A job whose key is held is dropped; one whose id belongs to a
        job of other content, or that depends on an unknown job, is kept and marked; all is logged.
        """

    async def setup(self) -> None:
        """Create or upgrade the table."""

    def schema_sql(self) -> str:
        """Return the schema as SQL."""
        return ""

    async def aclose(self) -> None:
        """Disconnect; a later call connects again."""

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""
