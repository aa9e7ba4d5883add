"""Asking about jobs and steering them: results, cancellation, retries, dead letters, pauses."""

import asyncio
import dataclasses
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from .._common.clock import utc
from .._common.home import at_home
from ..checks import check_name, check_number, check_whole, id_of, shown
from ..errors import ConfigurationError, JobCancelled, JobFailed, JobNotFound
from ..filters import check_filters, check_statuses
from ..models import Job, JobFilters, JobStatus, Latencies, Page, QueueStats
from ..records import to_job
from .base import seconds
from .enqueuing import Enqueuing
from .latencies import ended_at, summarize

_CURSOR = re.compile(r"[0-9]{1,18}")
_RAN = (JobStatus.COMPLETED, JobStatus.FAILED)
_FINAL = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


class Jobs(Enqueuing):
    """What can be done with stored jobs; each is named by its id, or by the job itself."""

    @at_home
    async def get_job(self, job_id: str | Job) -> Job | None:
        """Return a job, or None."""
        record = await self.broker.get(id_of(job_id))
        return None if record is None else to_job(record)

    @at_home
    async def get_jobs(
        self, filters: JobFilters | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Job]:
        """Return jobs, newest first; ``.next_cursor`` of the page leads to the next.

        Raises:
            ConfigurationError: ``limit`` is not between 1 and 1,000, ``cursor`` is not ours, or a
                filter is wrong.
        """
        check_whole(limit, "limit", 1, 1000)
        if cursor is not None and not _CURSOR.fullmatch(check_name(cursor, "a cursor")):
            raise ConfigurationError(f"not a cursor: {shown(cursor)}")
        wanted = check_filters(filters, self.settings)
        page = await self.broker.list_jobs(wanted, limit, cursor)
        return Page.of([to_job(record) for record in page], page.next_cursor)

    @at_home
    async def cancel_job(self, job_id: str | Job) -> bool:
        """Cancel a job that has not ended, also while it runs in any process.

        The handler is told at its worker's next step or heartbeat: its task is cancelled,
        ``ctx.cancelled`` becomes true in a thread, a process is killed.

        Returns:
            Whether it was cancelled: True means that it will not complete.
        """
        return await self.broker.change(id_of(job_id), JobStatus.CANCELLED)

    @at_home
    async def retry_job(self, job_id: str | Job) -> bool:
        """Make a failed or cancelled job pending again under its id, attempts from 0."""
        return await self.broker.change(id_of(job_id), JobStatus.PENDING)

    @at_home
    async def requeue_failed(self, name: str | None = None, queue: str | None = None) -> int:
        """Retry all dead letters (of one name, of one queue); return how many."""
        filters = JobFilters(name=name, queue=queue, status=JobStatus.FAILED)
        filters, count, cursor = check_filters(filters, self.settings), 0, None
        while True:
            page = await self.broker.list_jobs(filters, 500, cursor)
            ids = [record.id for record in page]
            count += await self.broker.change_many(ids, JobStatus.PENDING)
            if (cursor := page.next_cursor) is None:
                return count

    @at_home
    async def remove_job(self, job_id: str | Job) -> bool:
        """Delete a job that no worker runs; return whether one was deleted."""
        return await self.broker.remove([id_of(job_id)]) == 1

    @at_home
    async def purge(
        self,
        status: JobStatus | Sequence[JobStatus] = (JobStatus.COMPLETED, JobStatus.CANCELLED),
        older_than: float | timedelta = 0.0,
    ) -> int:
        """Delete ended jobs, and those whose ``result_ttl`` is over; return how many.

        Args:
            status: Which: completed and cancelled ones.
            older_than: Only those that ended so many seconds ago or earlier.

        Raises:
            ConfigurationError: A status is not final, or ``older_than`` no time.
        """
        statuses = check_statuses(JobFilters(status=status))
        if bad := [each for each in statuses if each not in _FINAL]:
            raise ConfigurationError(f"only ended jobs can be purged, not {str(bad[0])!r} ones")
        age = check_number(seconds(older_than), "older_than", 0, 1e10)
        before = await self.broker.time() - age
        count = 0
        while deleted := await self.broker.purge(statuses, before, 500):
            count += deleted
        return count

    @at_home
    async def pause(self, queue: str = "default") -> None:
        """Hand out no more jobs of ``queue``, in any worker; running ones go on."""
        await self.broker.set_paused(check_name(queue, "queue"), paused=True)

    @at_home
    async def resume(self, queue: str = "default") -> None:
        """Undo :meth:`pause`."""
        await self.broker.set_paused(check_name(queue, "queue"), paused=False)

    @at_home
    async def get_queues(self) -> dict[str, bool]:
        """Return the queues that hold jobs or are paused, and whether they are paused."""
        return dict(await self.broker.queues())

    @at_home
    async def get_stats(self, queue: str | None = None) -> QueueStats:
        """Return the figures of one queue, or of all."""
        return await self.broker.stats(None if queue is None else check_name(queue, "queue"))

    @at_home
    async def get_latencies(
        self, filters: JobFilters | None = None, window: float | timedelta = 60.0, limit: int = 100
    ) -> Latencies:
        """Return how long the jobs that ended lately had waited and ran.

        Args:
            filters: Which jobs; completed and failed ones unless a status is named.
            window: Only those that ended within so many seconds.
            limit: Look at so many at most: of the ended jobs, those that were enqueued last; 1 to
                1,000. Their payloads are read too.
        """
        wanted = check_filters(filters, self.settings)
        if not wanted.status:
            wanted = dataclasses.replace(wanted, status=_RAN)
        length = check_number(seconds(window), "window", 0, 1e10)
        jobs = await self.get_jobs(wanted, limit)
        since = utc(await self.broker.time() - length)
        return summarize(each for each in jobs if (ended_at(each) or since) > since)

    @at_home
    async def get_time(self) -> float:
        """Return the broker's time, by which jobs are stamped, in seconds since the epoch."""
        return await self.broker.time()

    @at_home
    async def wait(self, job_id: str | Job, timeout: float | timedelta | None = None) -> Job:
        """Return the job once it has ended.

        Args:
            job_id: The job, or its id.
            timeout: Seconds; 0 looks once; None waits without limit.

        Raises:
            JobNotFound: There is no such job (any more).
            TimeoutError: It has not ended in time.
        """
        job_id = id_of(job_id)
        limit = None if timeout is None else check_number(seconds(timeout), "timeout", 0, 1e10)
        pause, last = 0.005, ""
        try:
            # 0 is one look, which takes the time that it takes
            async with asyncio.timeout(limit or None):
                while True:
                    record = await self.broker.get(job_id)
                    if record is None:
                        raise JobNotFound(f"no job {job_id!r}; it may have been purged")
                    if record.status.is_final:
                        return to_job(record)
                    last = str(record.status)
                    if limit == 0:
                        break
                    await asyncio.sleep(pause)
                    pause = min(0.25, pause * 1.5)
        except TimeoutError as exc:
            raise TimeoutError(_unended(job_id, last, limit)) from exc
        raise TimeoutError(_unended(job_id, last, limit))

    async def result(self, job_id: str | Job, timeout: float | timedelta | None = None) -> Any:
        """Return what the handler returned, once it has.

        Raises:
            JobFailed: It failed for good; the exception carries the job.
            JobCancelled: It was cancelled.
            JobNotFound: There is no such job.
            TimeoutError: It has not ended in time.
        """
        job = await self.wait(job_id, timeout)
        if job.status is JobStatus.FAILED:
            raise JobFailed(
                job, f"job {job.id!r} failed: {(job.error or '').partition(chr(10))[0]}"
            )
        if job.status is JobStatus.CANCELLED:
            raise JobCancelled(job, f"job {job.id!r} was cancelled")
        return job.result


def _unended(job_id: str, last: str, limit: float | None) -> str:
    where = f"job {job_id!r} is {last}" if last else f"nothing is known of job {job_id!r}"
    return f"{where} after {limit:g} s"
