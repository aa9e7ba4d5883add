"""The broker: it stores jobs and hands them to workers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import UnsupportedOperationError
from ..models import JobFilters, JobStatus, Page, QueueStats

if TYPE_CHECKING:
    from sqlalchemy import Connection
from .records import Enqueued, Record, Step, WorkerCall


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

    def insert(
        self,
        connection: "Connection",  # noqa: ARG002  overrides need them
        records: Sequence[Record],  # noqa: ARG002
    ) -> Sequence[Enqueued]:
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
