"""The heartbeat: leases of running jobs are renewed, progress is stored, cancelling is noticed."""

import logging
from collections.abc import Callable, Mapping

from .._common.clock import Clock
from ..errors import ExportCancelled
from ..models import ExportStatus
from ..ports import HistoryStore
from .runs import Run

logger = logging.getLogger(__name__)


class Heartbeat:
    """Looks after the runs of this process about once a second, until there are none."""

    def __init__(
        self, runs: Mapping[str, Run], history: HistoryStore, lease: float, clock: Clock
    ) -> None:
        """Renew leases of ``lease`` seconds."""
        self._runs, self._history, self._lease, self._clock = runs, history, lease, clock

    async def run(self, ring: Callable[[str], None]) -> None:
        """Do so; ``ring`` is called with the id of every job that may have moved."""
        pause = min(1.0, self._lease / 3)
        while self._runs:
            await self._clock.sleep(pause)
            for run in list(self._runs.values()):
                ring(run.record.id)
                try:
                    await self._renew(run)
                except Exception as exc:  # noqa: BLE001  one that fails must not end the others
                    extra = {"job_id": run.record.id, "error_type": type(exc).__name__}
                    logger.warning("heartbeat.failed", extra=extra)

    async def _renew(self, run: Run) -> None:
        record, now = run.record, self._clock.time()
        if record.status.is_final or record.lease_until is None:
            return
        moved = run.active and run.control.progress - record.progress >= 1
        due = moved or record.lease_until - now <= self._lease / 2
        # another process may have cancelled it, which only the history knows
        if not due and not self._history.capabilities.shared:
            return
        is_stored = run.active  # while its beginning is on its way, the history knows of none
        newest = await self._history.get(record.id)
        if newest is None or newest.attempts != record.attempts or newest.status != record.status:
            if is_stored and record.status is ExportStatus.PROCESSING:
                run.control.stop(ExportCancelled("the export was cancelled"))
            return
        if not due:
            return
        newest.progress = max(newest.progress, run.control.progress)
        newest.lease_until = now + self._lease
        if await self._history.save(newest):
            record.lease_until, record.progress = newest.lease_until, newest.progress
