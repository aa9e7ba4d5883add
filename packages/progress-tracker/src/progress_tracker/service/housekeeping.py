"""``delete`` and ``sweep``, retention and stalled operations, and the figures of ``get_stats``."""

import logging

from .._common.home import at_home
from ..errors import BackendError
from ..models import ProgressStatus, Sweep, TrackerStats
from .base import TrackerBase

logger = logging.getLogger(__name__)
_HOUSEKEEPING = 60.0


class Housekeeping(TrackerBase):
    """What keeps the store small and honest."""

    @at_home
    async def delete(self, id: str, *, user_id: str | None = None) -> bool:
        """Delete an operation with its parts; return whether there was one."""
        return await self._parts.operations.delete(id, user_id)

    @at_home
    async def sweep(self) -> Sweep:
        """Fail what has stalled and delete what was kept long enough, parts with their whole."""
        self._swept_at = self.clock.monotonic()
        return await self._parts.operations.sweep()

    def _keep_house(self) -> None:
        """Sweep in the background, at most once a minute; write what an outage left, if any."""
        self._parts.kept.resume()
        now = self.clock.monotonic()
        if self._swept_at is None:
            self._swept_at = now  # not in the first moments of a short script
        if self.settings.cleanup.enabled and now - self._swept_at >= _HOUSEKEEPING:
            self._swept_at = now
            self._spawn(self._sweep_quietly(), "progress.sweep")

    async def _sweep_quietly(self) -> None:
        try:
            await self._parts.operations.sweep()
        except BackendError:
            logger.warning("progress.sweep_failed", exc_info=True)

    def get_stats(self) -> TrackerStats:
        """Return this process's figures."""
        counters, built = self._counters, self._built
        outcomes = counters.outcomes
        return TrackerStats(
            operations=counters.operations,
            active=0 if built is None else built.flusher.active,
            completed=outcomes.get(ProgressStatus.COMPLETED, 0),
            failed=outcomes.get(ProgressStatus.FAILED, 0),
            cancelled=outcomes.get(ProgressStatus.CANCELLED, 0),
            writes=counters.writes,
            write_seconds=counters.write_seconds,
            store_errors=counters.store_errors,
            watchers=0 if built is None else built.topics.watchers,
        )
