"""Jobs are looked at, awaited, cancelled, tried again, and cleaned up."""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import timedelta
from typing import Any

from .._common.clock import SystemClock, wait_event
from .._common.home import at_home, borrow, stream_at_home
from ..errors import (
    ConfigurationError,
    ExportCancelled,
    ExportError,
    ExportNotFound,
)
from ..models import (
    ExportFilters,
    ExportJob,
    ExportOptions,
    ExportSource,
    ExportStats,
    ExportStatus,
    Page,
)
from ..ports import JobRecord
from ..recipes import Recipe
from ..records import checked_filters, checked_seconds
from ..texts import quoted
from .batches import Batches

Watcher = Callable[[ExportJob], Awaitable[None] | None]
logger = logging.getLogger(__name__)
_CURSOR = re.compile(r"[0-9]{1,18}")


class Jobs(Batches):
    """The part of the service that asks about jobs and steers them."""

    @at_home
    async def get_job(self, job_id: str, *, user_id: str | None = None) -> ExportJob | None:
        """Return a job, or None if there is none or it is another user's."""
        record = await self._visible(job_id, user_id)
        return None if record is None else self._shown(record)

    @at_home
    async def list_exports(
        self,
        user_id: str | None = None,
        status: ExportStatus | str | None = None,
        limit: int = 50,
        cursor: str | None = None,
        *,
        filters: ExportFilters | None = None,
    ) -> Page[ExportJob]:
        """Return jobs, newest first; ``.next_cursor`` of the page leads to the next.

        Args:
            user_id: Only this user's; None for all (trusted code).
            status: Only these.
            limit: 1 to 1,000.
            cursor: Of the page before.
            filters: More conditions, in place of ``user_id`` and ``status``.

        Raises:
            ConfigurationError: An argument is out of range.
        """
        if filters is not None and (user_id is not None or status is not None):
            raise TypeError("give filters, or user_id and status, not both")
        given: object = limit
        if not isinstance(given, int) or isinstance(given, bool) or not 1 <= limit <= 1000:
            raise ConfigurationError(f"limit must be 1 to 1000, not {quoted(limit)}")
        asked: object = cursor
        if asked is not None and not (isinstance(asked, str) and _CURSOR.fullmatch(asked)):
            raise ConfigurationError(f"not a cursor: {quoted(asked)}")
        chosen = ExportFilters(user_id=user_id, status=status) if filters is None else filters
        chosen = checked_filters(chosen)
        _ = self._runner
        page = await self.history.list_records(chosen, limit, cursor)
        newest = [await self._current(record) for record in page]
        # one that has just been ended may not be what was asked for
        fitting = [each for each in newest if chosen.status in {None, each.status}]
        return Page.of([self._shown(record) for record in fitting], page.next_cursor)

    @at_home
    async def cancel(self, job_id: str, *, user_id: str | None = None) -> bool:
        """Cancel an export that has not ended, also while another process runs it.

        Returns:
            Whether it was cancelled: True means that there will be no file.
        """
        if await self._visible(job_id, user_id) is None:
            return False

        def edit(record: JobRecord) -> bool:
            now = self.clock.time()
            if record.status.is_final:
                return False
            record.status, record.completed_at = ExportStatus.CANCELLED, now
            record.lease_until, record.delete_at = None, now + self.settings.downloads.retention
            return True

        runner = self._runner
        if await runner.change(job_id, edit) is None:
            return False
        self._counts.cancelled += 1
        if (run := runner.runs.get(job_id)) is not None:
            run.control.stop(ExportCancelled("the export was cancelled"))
        elif self._executor is not None:
            try:
                await self._executor.cancel(job_id)
            except Exception:  # it is cancelled; a worker that gets it does nothing
                logger.exception("executor.failed", extra={"job_id": job_id})
        return True

    @at_home
    async def delete(self, job_id: str, *, user_id: str | None = None) -> bool:
        """Delete an export, first its file, then its record; one that runs is cancelled.

        Returns:
            Whether there was one.
        """
        record = await self._visible(job_id, user_id)
        if record is None:
            return False
        if not record.status.is_final:
            await self.cancel(job_id)
            record = await self.history.get(job_id) or record
        await self._remove(record)
        return True

    async def _remove(self, record: JobRecord) -> None:
        if record.key is not None:
            await self.storage.delete(record.key)
        await self._parts.runner.clear(record)
        await self.history.delete(record.id)
        self._parts.runner.forget(record.id)

    async def retry(self, job_id: str, *, user_id: str | None = None) -> ExportJob:
        """Run a failed or cancelled export again, under its id; of a batch, what is not finished.

        Raises:
            ExportNotFound: There is no such export of this user.
            ExportError: It has not failed (``not_failed``), or its data is gone (``no_source``):
                data handed to ``export`` is remembered only by the process that got it.
            UnknownFormat: It is a batch of another process, with a format that is unknown here.
        """
        record = await self._for_retry(job_id, user_id)
        recipe = self._parts.runner.kept(job_id) or await self._again(record)
        return await self._restart(record, recipe)

    @at_home
    async def _for_retry(self, job_id: str, user_id: str | None) -> JobRecord:
        record = await self._known(job_id, user_id)
        if record.status not in {ExportStatus.FAILED, ExportStatus.CANCELLED}:
            raise ExportError(f"export {job_id!r} is {record.status}", reason="not_failed")
        return record

    async def _again(self, record: JobRecord) -> Recipe:
        if record.items is not None:
            return await self._batch_again(record)
        if record.source_type not in self._loaders:
            raise ExportError(
                f"the data of export {record.id!r} is gone; register a loader for "
                f"{record.source_type!r} to be able to retry",
                reason="no_source",
            )
        source = ExportSource(record.source_type, record.source_id)
        options = ExportOptions(record.template, record.include_metadata)
        return await self._single(source, self._format(record.format), options, record.created_at)

    @at_home
    async def wait(
        self,
        job_id: str,
        timeout: float | timedelta | None = None,
        *,
        user_id: str | None = None,
    ) -> ExportJob:
        """Return the job once it has ended, however it ended.

        A job whose process died has failed as soon as its lease (``jobs.lease``) is over, and
        ``error`` says so; with an executor its queue delivers it again.

        Args:
            job_id: Which job.
            timeout: Seconds; None waits without limit.
            user_id: As for :meth:`get_job`.

        Raises:
            ExportNotFound: There is no such job (any more).
            TimeoutError: It has not ended in time.
            ConfigurationError: ``timeout`` is no number.
        """
        async with asyncio.timeout(checked_seconds(timeout)):
            while True:
                with self._runner.bell(job_id) as bell:
                    record = await self._known(job_id, user_id)
                    if record.status.is_final:
                        return self._shown(record)
                    await wait_event(bell, 0.25, SystemClock())

    @stream_at_home
    async def watch(
        self, job_id: str, *, user_id: str | None = None
    ) -> AsyncGenerator[ExportJob, None]:
        """Yield the job now and whenever it has changed; end after its end.

        Raises:
            ExportNotFound: There is no such job.
        """
        last: ExportJob | None = None
        self._counts.watchers += 1
        try:
            while True:
                with self._runner.bell(job_id) as bell:
                    job = self._shown(await self._known(job_id, user_id))
                    if last is None or (job.status, job.progress) != (last.status, last.progress):
                        last = job
                        yield job
                    if job.status.is_final:
                        return
                    await wait_event(bell, 0.25, SystemClock())
        finally:
            self._counts.watchers -= 1

    async def subscribe(
        self, job_id: str, callback: Watcher, *, user_id: str | None = None
    ) -> Callable[[], None]:
        """Call ``callback`` with the job now and whenever it has changed, until its end.

        The callback runs on the calling loop, and ends with it; what it raises is logged.

        Returns:
            A function that ends the subscription; callable from any thread.

        Raises:
            ExportNotFound: There is no such job.
        """
        if await self.get_job(job_id, user_id=user_id) is None:
            raise ExportNotFound(f"no export {job_id!r}")
        call, origin = borrow(callback), asyncio.get_running_loop()

        async def follow() -> None:
            stream = self.watch(job_id, user_id=user_id)
            try:
                async for job in stream:
                    try:
                        await call(job)
                    except Exception:  # one bad call must not end the subscription
                        if not origin.is_running():
                            return
                        logger.exception("callback.failed", extra={"job_id": job_id})
            except ExportNotFound:
                return
            finally:
                await stream.aclose()

        return await self._follow(follow, job_id)

    @at_home
    async def _follow(self, follow: Callable[[], Any], job_id: str) -> Callable[[], None]:
        task = self._spawn(follow(), f"export watch {job_id}")
        return lambda: self._home.stop(task)

    @at_home
    async def cleanup(self) -> int:
        """Delete expired exports, first the files, then the records; return how many.

        Also marks exports of dead processes failed, and removes what their writers left.
        """
        count, runner = 0, self._parts.runner
        while due := await self.history.due(self.clock.time(), 200):
            changed = 0
            for record in due:
                now = self.clock.time()
                if record.delete_at is not None and record.delete_at < now:
                    await self._remove(record)
                    count, changed = count + 1, changed + 1
                else:
                    changed += await runner.ended(record)
            if not changed:
                break
        await self.history.forget_used(self.clock.time())
        await self.storage.sweep()
        return count

    @at_home
    async def get_stats(self) -> ExportStats:
        """Return the figures of this instance."""
        counts, runs = self._counts, self._parts.runner.runs.values()
        return ExportStats(
            queued=sum(not run.active for run in runs),
            active=sum(run.active for run in runs),
            started=counts.started,
            completed=counts.completed,
            failed=counts.failed,
            cancelled=counts.cancelled,
            bytes_written=counts.bytes_written,
            watchers=counts.watchers,
            write_latency=counts.writing / counts.writes if counts.writes else 0.0,
        )
