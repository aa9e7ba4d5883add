"""How the studio stands: the figures that its libraries count themselves."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .services import Services
from .supervisor import Supervisor

_WINDOW = 3600.0  # seconds of jobs that latencies are made of


@dataclass(frozen=True, slots=True)
class Status:
    """Reads the figures of one web process, and of the queue that all share."""

    services: Services
    workers: Supervisor | None
    begun: float

    @classmethod
    def of(cls, services: Services, workers: Supervisor | None) -> "Status":
        """Begin to count the time."""
        return cls(services, workers, time.monotonic())

    async def read(self) -> dict[str, Any]:
        """Return the figures as plain values; times are seconds, rates 0 to 1."""
        services = self.services
        cache, search = await services.cache.get_stats(), await services.search.get_stats()
        queue = await services.queue.get_stats()
        jobs = await services.queue.get_latencies(window=_WINDOW)
        exports = await services.exports.get_stats()
        told = await services.notifications.get_stats()
        tracked = services.tracker.get_stats()
        return {
            "cache": {
                "hit_rate": cache.hit_rate,
                "hits": cache.hits,
                "misses": cache.misses,
                "keys": cache.keys,
                "told_of_changes": cache.trusted,
            },
            "queue": {
                "waiting": queue.pending + queue.delayed,
                "running": queue.processing,
                "completed": queue.completed,
                "failed": queue.failed,
                "cancelled": queue.cancelled,
                "oldest": queue.oldest_pending_age,
                "workers": queue.workers,
            },
            "latencies": {
                "jobs": jobs.count,
                "wait_p50": jobs.wait_p50,
                "wait_p95": jobs.wait_p95,
                "run_p50": jobs.run_p50,
                "run_p95": jobs.run_p95,
                "search": search.avg_latency if search.searches else None,
                "search_p95": search.p95_latency if search.searches else None,
                "progress_write": _mean(tracked.write_seconds, tracked.writes),
            },
            "search": {"segments": search.documents, "searches": search.searches},
            "exports": {
                "running": exports.queued + exports.active,
                "completed": exports.completed,
                "failed": exports.failed,
            },
            "notifications": {"stored": told.notifications, "listening": told.watchers},
            "processes": self._processes(),
        }

    def _processes(self) -> Sequence[dict[str, Any]]:
        web = {"name": "web", "pid": os.getpid(), "up": time.monotonic() - self.begun}
        if self.workers is None:
            return [web]
        pids = self.workers.pids
        restarts = self.workers.restarts
        return [web, *({"name": "worker", "pid": pid, "restarts": restarts} for pid in pids)]


def _mean(total: float, count: int) -> float | None:
    return total / count if count else None
