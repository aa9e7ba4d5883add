"""What workers do beside running jobs: enqueue what is due, relay the outbox, drop what is over."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from ..errors import BackendError
from .scheduler import Scheduler

if TYPE_CHECKING:
    from ..service import JobQueue

logger = logging.getLogger(__name__)
_PURGE_EVERY = 60.0
_PURGE_BATCH = 1000
_RELAY_EVERY = 0.2
_RELAY_FULL = 500


class Housekeeping:
    """The background tasks of a worker. Any number of workers may keep the same house."""

    def __init__(self, queue: "JobQueue", rng: random.Random) -> None:
        """Keep the house of ``queue``; ``rng`` spreads the workers over time."""
        self._queue, self._rng = queue, rng
        self._tasks: list[asyncio.Task[Any]] = []

    def start(self) -> None:
        """Start the tasks that the queue needs."""
        queue, entries = self._queue, self._queue.cron_entries
        self._spawn("jobqueue-purge", self._purge)
        if queue.outbox is not None:
            self._spawn("jobqueue-relay", self._relay)
        if entries and queue.settings.scheduler.enabled:
            scheduler = Scheduler(queue.broker, entries, queue.cron_record, queue.clock)
            self._tasks.append(asyncio.create_task(scheduler.run(), name="jobqueue-cron"))

    async def stop(self) -> None:
        """End them."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _spawn(self, name: str, turn: Callable[[], Awaitable[float]]) -> None:
        self._tasks.append(asyncio.create_task(self._repeat(name, turn), name=name))

    async def _repeat(self, name: str, turn: Callable[[], Awaitable[float]]) -> None:
        while True:
            wait = 5.0
            try:
                wait = await turn()
            except BackendError as exc:
                logger.warning("worker.housekeeping_failed", extra={"task": name}, exc_info=exc)
            except Exception:
                logger.exception("worker.housekeeping_failed", extra={"task": name})
            await self._queue.clock.sleep(wait)

    async def _purge(self) -> float:
        deleted = await self._queue.broker.purge((), 0.0, _PURGE_BATCH)
        if deleted:
            logger.debug("jobs.purged", extra={"jobs": deleted})
        return 0.05 if deleted >= _PURGE_BATCH else _PURGE_EVERY * self._rng.uniform(0.5, 1.5)

    async def _relay(self) -> float:
        assert self._queue.outbox is not None
        relayed = await self._queue.outbox.relay(self._queue.broker)
        return 0.0 if relayed >= _RELAY_FULL else _RELAY_EVERY * self._rng.uniform(0.5, 1.5)
