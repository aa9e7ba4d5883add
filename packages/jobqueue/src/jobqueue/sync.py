"""The queue for blocking code: the same names without ``await``, on one background event loop.

It is a facade over the *same* instance: a job enqueued here is seen by the asynchronous queue, and
the other way round. A call costs a hop between threads; inside a running event loop it raises
``RuntimeError``, because it would block that loop.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Final, Self, TypeVar, Unpack

from . import _default, service
from ._common.portal import Portal
from .limits import Rate
from .models import (
    Backoff,
    EnqueueOptions,
    Job,
    JobFilters,
    JobOptions,
    JobStatus,
    Latencies,
    Page,
    QueueStats,
    RunIn,
)
from .service.coalescing import accept
from .service.enqueuing import JobSpec, chosen
from .service.transactions import insert_now
from .settings import Settings
from .worker.scheduler import CatchUp

F = TypeVar("F", bound=Callable[..., Any])
_portal: Final = Portal("jobqueue.sync")


class JobQueue:
    """A blocking view of a :class:`jobqueue.JobQueue`. Safe for threads."""

    def __init__(self, queue: service.JobQueue | None = None) -> None:
        """Show ``queue``; a new, unconfigured one if None."""
        self.asynchronous = queue or service.JobQueue()

    @classmethod
    def from_url(
        cls, url: str, *, store: str | None = None, outbox: str | None = None, **kwargs: Any
    ) -> Self:
        """Return a queue on the broker of ``url``; see the asynchronous one."""
        return cls(service.JobQueue.from_url(url, store=store, outbox=outbox, **kwargs))

    def configure(self, settings: Settings | Mapping[str, Any] | str) -> None:
        """Set the configuration, before the first operation."""
        self.asynchronous.configure(settings)

    def setup(self) -> None:
        """Create or upgrade the broker's tables."""
        _portal.run(self.asynchronous.setup)

    def worker(
        self,
        name: str = "default",
        *,
        queue: str | None = None,
        max_attempts: int | None = None,
        backoff: Backoff | None = None,
        timeout: float | timedelta | None = None,
        retry_on: Sequence[type[BaseException]] = (),
        unique: bool = False,
        concurrency: int | None = None,
        rate_limit: Rate | None = None,
        limit_by: Callable[[Any], Any] | None = None,
        result_ttl: float | timedelta | None = None,
        run_in: RunIn | None = None,
        queue_name: str | None = None,
    ) -> Callable[[F], F]:
        """Register the decorated function as a handler; may be called inside a running loop."""
        return self.asynchronous.worker(
            name,
            queue=queue,
            max_attempts=max_attempts,
            backoff=backoff,
            timeout=timeout,
            retry_on=retry_on,
            unique=unique,
            concurrency=concurrency,
            rate_limit=rate_limit,
            limit_by=limit_by,
            result_ttl=result_ttl,
            run_in=run_in,
            queue_name=queue_name,
        )

    def process(self, name: str, handler: Callable[..., Any], **options: Any) -> None:
        """Register ``handler``: the call form of :meth:`worker`."""
        self.asynchronous.process(name, handler, **options)

    def cron(
        self,
        expression: str,
        *,
        name: str | None = None,
        tz: str | None = None,
        catch_up: CatchUp = "none",
        **options: Any,
    ) -> Callable[[F], F]:
        """Run the decorated handler by a cron expression."""
        return self.asynchronous.cron(expression, name=name, tz=tz, catch_up=catch_up, **options)

    def celery_app(self, app: Any = None) -> Any:
        """Return a Celery application whose workers run the jobs of this queue."""
        return self.asynchronous.celery_app(app)

    def enqueue(
        self,
        name: str,
        data: Any = None,
        priority: int | None = None,
        delay: float | timedelta | None = None,
        max_attempts: int | None = None,
        *,
        options: JobOptions | None = None,
        session: Any = None,
        **kw: Unpack[EnqueueOptions],
    ) -> Job:
        """Store a job; ``session`` is a plain SQLAlchemy session or connection of this thread."""
        if session is not None:
            own = {"priority": priority, "delay": delay, "max_attempts": max_attempts, **kw}
            return self._insert(session, [(name, data, chosen(own, options))])[0]
        return _portal.run(
            self.asynchronous.enqueue,
            name,
            data,
            priority,
            delay,
            max_attempts,
            options=options,
            **kw,
        )

    def _insert(
        self, session: Any, jobs: Iterable[JobSpec], run_at: datetime | None = None
    ) -> list[Job]:
        drafts = _portal.run(self.asynchronous.drafts_for, jobs, run_at)
        records = [record for record, _ in drafts]
        stored = insert_now(session, self.asynchronous.insert_records, records)
        parts = zip(drafts, stored, strict=True)
        return [accept(record, one, on_duplicate) for (record, on_duplicate), one in parts]

    def enqueue_many(self, jobs: Iterable[JobSpec], *, session: Any = None) -> Sequence[Job]:
        """Store many jobs, a thousand a round trip."""
        if session is not None:
            return self._insert(session, jobs)
        return _portal.run(self.asynchronous.enqueue_many, jobs)

    def schedule(
        self,
        name: str,
        data: Any,
        scheduled_at: datetime,
        *,
        options: JobOptions | None = None,
        session: Any = None,
        **kwargs: Any,
    ) -> Job:
        """Store a job that is due at ``scheduled_at``."""
        if session is not None:
            return self._insert(session, [(name, data, chosen(kwargs, options))], scheduled_at)[0]
        return _portal.run(
            self.asynchronous.schedule, name, data, scheduled_at, options=options, **kwargs
        )

    def chain(self, *jobs: JobSpec) -> Sequence[Job]:
        """Store jobs each of which runs once the one before completed."""
        return _portal.run(self.asynchronous.chain, *jobs)

    def group(self, jobs: Iterable[JobSpec]) -> Sequence[Job]:
        """Store jobs that run side by side."""
        return _portal.run(self.asynchronous.group, jobs)

    def chord(self, jobs: Iterable[JobSpec], callback: JobSpec) -> Job:
        """Store a group and a job that runs once all of it completed; return that job."""
        return _portal.run(self.asynchronous.chord, jobs, callback)

    def wait_all(self, jobs: Iterable[Job | str], timeout: float | None = None) -> list[Job]:
        """Return the jobs once all have ended."""
        return _portal.run(self.asynchronous.wait_all, jobs, timeout)

    def get_job(self, job_id: str | Job) -> Job | None:
        """Return a job, or None."""
        return _portal.run(self.asynchronous.get_job, job_id)

    def get_jobs(
        self, filters: JobFilters | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Job]:
        """Return jobs, newest first."""
        return _portal.run(self.asynchronous.get_jobs, filters, limit, cursor)

    def cancel_job(self, job_id: str | Job) -> bool:
        """Cancel a job that has not ended; True means that it will not complete."""
        return _portal.run(self.asynchronous.cancel_job, job_id)

    def retry_job(self, job_id: str | Job) -> bool:
        """Make a failed or cancelled job pending again."""
        return _portal.run(self.asynchronous.retry_job, job_id)

    def requeue_failed(self, name: str | None = None, queue: str | None = None) -> int:
        """Retry all dead letters; return how many."""
        return _portal.run(self.asynchronous.requeue_failed, name, queue)

    def remove_job(self, job_id: str | Job) -> bool:
        """Delete a job that no worker runs."""
        return _portal.run(self.asynchronous.remove_job, job_id)

    def purge(
        self,
        status: JobStatus | Sequence[JobStatus] = (JobStatus.COMPLETED, JobStatus.CANCELLED),
        older_than: float | timedelta = 0.0,
    ) -> int:
        """Delete ended jobs; return how many."""
        return _portal.run(self.asynchronous.purge, status, older_than)

    def pause(self, queue: str = "default") -> None:
        """Hand out no more jobs of ``queue``."""
        _portal.run(self.asynchronous.pause, queue)

    def resume(self, queue: str = "default") -> None:
        """Undo :meth:`pause`."""
        _portal.run(self.asynchronous.resume, queue)

    def get_queues(self) -> dict[str, bool]:
        """Return the queues, and whether they are paused."""
        return _portal.run(self.asynchronous.get_queues)

    def get_stats(self, queue: str | None = None) -> QueueStats:
        """Return the figures of one queue, or of all."""
        return _portal.run(self.asynchronous.get_stats, queue)

    def get_latencies(
        self, filters: JobFilters | None = None, window: float | timedelta = 60.0, limit: int = 100
    ) -> Latencies:
        """Return how long the jobs that ended lately had waited and ran."""
        return _portal.run(self.asynchronous.get_latencies, filters, window, limit)

    def get_time(self) -> float:
        """Return the broker's time, in seconds since the epoch."""
        return _portal.run(self.asynchronous.get_time)

    def wait(self, job_id: str | Job, timeout: float | timedelta | None = None) -> Job:
        """Return the job once it has ended."""
        return _portal.run(self.asynchronous.wait, job_id, timeout)

    def result(self, job_id: str | Job, timeout: float | timedelta | None = None) -> Any:
        """Return what the handler returned, once it has."""
        return _portal.run(self.asynchronous.result, job_id, timeout)

    def run_until_idle(self, advance: float | timedelta = 0.0) -> None:
        """Run what is due; see the asynchronous one."""
        _portal.run(self.asynchronous.run_until_idle, advance)

    def close(self) -> None:
        """Disconnect and return to the state after construction."""
        _portal.run(self.asynchronous.aclose)

    def __enter__(self) -> Self:
        """Return the queue itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the queue."""
        self.close()


queue: Final = JobQueue(_default.queue)
