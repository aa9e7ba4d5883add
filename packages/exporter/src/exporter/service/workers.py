"""The other side of a job queue: workers run the exports whose ids they are given."""

import asyncio
import logging

from .._common.home import at_home
from ..errors import ExportError, ExportNotFound
from ..models import ExportFilters, ExportJob, ExportStatus
from ..ports import JobRecord
from ..recipes import Recipe
from ..running import BATCH, GONE
from .jobs import Jobs

logger = logging.getLogger(__name__)


class Workers(Jobs):
    """The part of the service that takes up what other processes stored or left."""

    async def recover(self) -> list[ExportJob]:
        """Go on here with the batches of processes that are gone; return those that were taken.

        For the start of a process, and every now and then: a process counts as gone when it has
        been silent for ``jobs.lease`` seconds. Finished items are taken as they are, the others
        are made by the loaders that are registered here; items whose data came with the call are
        reported in the manifest as failed. Batches that need a loader or format that is unknown
        here are left alone. Of several processes that call it, one gets each batch.

        Raises:
            BackendError: The history could not be read.
        """
        taken: list[ExportJob] = []
        for record in await self._left():
            try:
                await self._claim(record, await self._again(record))
            except ExportError as exc:  # another process was faster, or knows more loaders
                extra = {"job_id": record.id, "error_type": type(exc).__name__}
                logger.info("batch.left", extra=extra)
            else:
                taken.append(self._shown(record))
        return taken

    @at_home
    async def _left(self) -> list[JobRecord]:
        """Return the batches that nobody runs any more and that have not come to their end."""
        found: list[JobRecord] = []
        runner = self._runner
        if not runner.keeps_items:
            return found
        for status in (ExportStatus.PENDING, ExportStatus.PROCESSING, ExportStatus.FAILED):
            filters, cursor = ExportFilters(status=status, source_type=BATCH), None
            while True:
                page = await self.history.list_records(filters, 200, cursor)
                found += [record for record in page if self._is_left(record)]
                if (cursor := page.next_cursor) is None:
                    break
        return [each for each in found if each.items is not None and each.id not in runner.runs]

    def _is_left(self, record: JobRecord) -> bool:
        if record.status is ExportStatus.FAILED:
            return record.reason == "interrupted"
        return record.lease_until is not None and record.lease_until < self.clock.time()

    async def run(self, job_id: str) -> ExportJob:
        """Run an export that another process has stored, and return it when it has ended.

        For workers of a job queue. Deliveries may come twice: an export that has ended is returned
        as it is; one that a dead worker left is begun again. If the call is cancelled, because the
        worker stops, the export goes back to wait for the next delivery.

        Args:
            job_id: What :meth:`Executor.submit` was given.

        Raises:
            ExportNotFound: There is no such export (any more).
            ExportError: Another worker runs it: let the queue deliver it later (``busy``); its
                source has no loader here (``no_source``).
        """
        record = await self._unclaimed(job_id)
        if record is not None:
            await self._claim(record, await self._again(record))
        try:
            return await self.wait(job_id)
        except asyncio.CancelledError:
            await asyncio.shield(self._put_back(job_id))
            raise

    @at_home
    async def _unclaimed(self, job_id: str) -> JobRecord | None:
        """Return a record that can be run; None if it has ended, or runs in this process."""
        record = await self._stored(job_id, None)  # not ended, if its worker died: begun again
        if record is None:
            raise ExportNotFound(f"no export {job_id!r}")
        # cleanup may have been faster than the queue, which delivers it once more
        left = record.status is ExportStatus.FAILED and record.error == f"ExportError: {GONE}"
        if (record.status.is_final and not left) or job_id in self._runner.runs:
            return None
        running, until = record.status is ExportStatus.PROCESSING, record.lease_until
        if running and until is not None and until > self.clock.time():
            raise ExportError(f"another worker runs export {job_id!r}", reason="busy")
        return record

    @at_home
    async def _claim(self, record: JobRecord, recipe: Recipe) -> None:
        runner, left = self._runner, record.key
        record.status, record.key = ExportStatus.PENDING, None
        if record.items is None:  # finished items stay finished
            record.progress = 0.0
        record.reason = record.error = record.completed_at = record.delete_at = None
        record.lease_until = self.clock.time() + self.settings.jobs.lease
        with runner.place():
            if not await runner.save(record):
                raise ExportError(f"another worker took export {record.id!r}", reason="busy")
            runner.start(record, recipe)
        await runner.dispose(left)

    @at_home
    async def _put_back(self, job_id: str) -> None:
        runner = self._runner
        if (run := runner.runs.get(job_id)) is None:
            return

        def edit(record: JobRecord) -> bool:
            if record.status.is_final:
                return False
            record.status, record.progress, record.key = ExportStatus.PENDING, 0.0, None
            record.lease_until = self.clock.time() + self.settings.jobs.queue_timeout
            return True

        await runner.change(job_id, edit)
        run.control.stop(ExportError("the worker stops", reason="interrupted"))
