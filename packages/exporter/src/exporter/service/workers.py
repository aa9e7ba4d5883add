"""The other side of a job queue: workers run the exports whose ids they are given."""

import asyncio

from .._common.home import at_home
from ..errors import ExportError
from ..models import ExportJob, ExportStatus
from ..ports import JobRecord
from ..recipes import Recipe
from .jobs import GONE, Jobs


class Workers(Jobs):
    """The part of the service that works for an :class:`exporter.Executor`."""

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
        record = await self._known(job_id, None)
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
        record.status, record.progress, record.key = ExportStatus.PENDING, 0.0, None
        record.error = record.completed_at = record.delete_at = None
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
