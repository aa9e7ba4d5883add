"""Running everything that is due in this process, with time moved on: for tests."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..worker import Worker
from ..worker.scheduler import CronEntry, Scheduler

if TYPE_CHECKING:
    from . import JobQueue

_BATCH = 1000


async def run_until_idle(queue: "JobQueue", advance: float) -> None:
    """Run what is due and what becomes due within ``advance`` seconds."""
    left, entries = advance, queue.cron_entries
    while True:
        await _relay(queue)
        due = await Worker(queue).run_until_idle()
        ticks = await _cron_turn(queue, entries)
        if ticks is not None and ticks <= 0:
            continue
        waits = [each for each in (due, ticks) if each is not None]
        if not waits or min(waits) > left:
            break
        await queue.clock.advance(min(waits) + 1e-6)
        left -= min(waits)
    await queue.clock.advance(max(0.0, left))
    while await queue.broker.purge((), 0.0, _BATCH) == _BATCH:
        pass


async def _relay(queue: "JobQueue") -> None:
    """Hand on what waits in the outbox, as workers do."""
    if queue.outbox is not None:
        while await queue.outbox.relay(queue.broker):
            pass


async def _cron_turn(queue: "JobQueue", entries: Sequence[CronEntry]) -> float | None:
    if not entries:
        return None
    before = await queue.broker.stats(None)
    wait = await Scheduler(queue.broker, entries, queue.cron_record, queue.clock).turn()
    after = await queue.broker.stats(None)
    return 0.0 if after.pending > before.pending else wait
