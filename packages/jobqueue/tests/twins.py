"""Broken twins of brokers and workers, each without one thing that the fault tests are about.

A worker process takes one on by the variable CHAOS_TWIN; see chaos/test_twins.py.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from msgspec import structs

from jobqueue import JobQueue
from jobqueue._common.clock import new_id
from jobqueue.adapters.sql.broker import SQLBroker
from jobqueue.ports import Lease, Outcome, Step, WorkerCall
from jobqueue.worker.grace import Grace
from jobqueue.worker.heartbeat import Heartbeat
from jobqueue.worker.leased import Leased
from jobqueue.worker.scheduler import CronEntry
from jobqueue.worker.worker import Worker


def wrap_step(queue: JobQueue, change: Callable[[Any, WorkerCall], Awaitable[Step]]) -> None:
    """Put ``change(step, call)`` in the place of the broker's ``step(call)``."""
    kind: Any = type(queue.broker)
    step = kind.step

    async def changed(broker: Any, call: WorkerCall) -> Step:
        async def original(given: WorkerCall) -> Step:
            made: Step = await step(broker, given)
            return made

        return await change(original, call)

    kind.step = changed


def acks_early(queue: JobQueue) -> None:
    """Completes jobs when it claims them."""

    async def change(step: Any, call: WorkerCall) -> Step:
        made: Step = await step(call)
        done = [Outcome(Lease(each.id, each.fence), "completed") for each in made.claimed]
        if done:
            await step(WorkerCall(call.worker, call.lease, {}, done))
        return made

    wrap_step(queue, change)


def unfenced(queue: JobQueue) -> None:
    """Ends jobs under whatever claim they are by now."""

    async def change(step: Any, call: WorkerCall) -> Step:
        outcomes = []
        for each in call.outcomes:
            record = await queue.broker.get(each.lease.id)
            fence = each.lease.fence if record is None else record.fence
            outcomes.append(replace(each, lease=Lease(each.lease.id, fence)))
        return await step(replace(call, outcomes=outcomes, held=()))  # type: ignore[no-any-return]

    wrap_step(queue, change)


def merciless(queue: JobQueue) -> None:
    """Takes back no lease."""

    async def change(step: Any, call: WorkerCall) -> Step:
        return await step(replace(call, reclaims=False))  # type: ignore[no-any-return]

    wrap_step(queue, change)


def beatless(queue: JobQueue) -> None:
    """Renews no lease."""

    async def silent(heart: Heartbeat) -> None:
        """Say nothing."""

    Heartbeat._extend = silent  # type: ignore[method-assign]


def keeps_all(queue: JobQueue) -> None:
    """Gives nothing back at its end."""

    async def silently(worker: Worker, broker: Any) -> None:
        """Stop what runs, and tell nobody."""
        for attempt in worker._leased.attempts():
            attempt.lost = True
            attempt.cancel()

    Worker._release = silently  # type: ignore[method-assign]


def own_clock(queue: JobQueue) -> None:
    """Believes its own clock, not the server's."""
    from jobqueue.adapters.redis import base, broker
    from jobqueue.adapters.sql import server

    for module in (base, broker, server):
        module.told = lambda clock: (time.time(), 0.0)


def uncounted(queue: JobQueue) -> None:
    """Writes an attempt when it has ended, not before it begins."""
    broker: Any = queue.broker

    async def change(step: Any, call: WorkerCall) -> Step:
        made: Step = await step(call)
        for each in made.claimed:
            await _take_back(broker, each.id)
        return made

    wrap_step(queue, change)


async def _take_back(broker: Any, job_id: str) -> None:
    """Undo the count of an attempt in the store, behind its broker's back."""
    if isinstance(broker, SQLBroker):
        text = "UPDATE jobqueue_jobs SET attempts = attempts - 1 WHERE id = :id"
        await broker._db.fetch(text, {"id": job_id})
        return
    script = b"return redis.call('HINCRBY', KEYS[1], 'a', -1)"
    words = [b"EVAL", script, b"1", b"%b:job:%b" % (broker._key, job_id.encode())]
    packed = b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
    await broker._lanes._call([b"*4\r\n" + packed])


def graceless(queue: JobQueue) -> None:
    """Takes back leases as soon as it has found the server again, and is soon to find it."""

    async def briefly(worker: Worker, exc: BaseException) -> None:
        """Try again before most hearts beat, and not as often as one that spins."""
        await asyncio.sleep(0.2)

    Worker._pause = briefly  # type: ignore[method-assign]
    Grace.is_over = True  # type: ignore[assignment,method-assign]


def spinning(queue: JobQueue) -> None:
    """Tries again at once when the server is away."""

    async def at_once(worker: Worker, exc: BaseException) -> None:
        """Wait for nothing."""

    Worker._pause = at_once  # type: ignore[method-assign]


def deaf(queue: JobQueue) -> None:
    """Hears the first signal only."""
    from jobqueue.cli import running

    def once(stop: Callable[[], None]) -> None:
        for each in running._SIGNALS:
            asyncio.get_running_loop().add_signal_handler(each, stop)

    running.on_signals = once


def headstrong(queue: JobQueue) -> None:
    """Goes on with what is cancelled."""

    def nothing(leased: Leased, leases: Any) -> None:
        """Lose nothing."""

    Leased.lose = nothing  # type: ignore[method-assign]


def unsociable(queue: JobQueue) -> None:
    """Remembers by itself how far cron has come, whatever other schedulers do."""
    reached: dict[str, float] = {}
    kind: Any = type(queue.broker)
    last_tick = kind.last_tick

    async def remembered(broker: Any, name: str) -> float | None:
        return reached.get(name) or await last_tick(broker, name)

    async def tick(broker: Any, name: str, at: float, records: Any) -> bool:
        reached[name] = at
        await broker.enqueue([structs.replace(each, id=new_id()) for each in records])
        return True

    kind.last_tick, kind.tick = remembered, tick


def forgetful(queue: JobQueue) -> None:
    """Runs the newest of the ticks that were missed, no others."""
    due = CronEntry.due

    def newest(entry: CronEntry, last: float, now: float) -> tuple[list[float], float]:
        ticks, at = due(entry, last, now)
        return ticks[-1:], at

    CronEntry.due = newest  # type: ignore[method-assign]


TWINS: dict[str, Callable[[JobQueue], None]] = {
    each.__name__: each
    for each in (
        acks_early,
        unfenced,
        merciless,
        beatless,
        keeps_all,
        own_clock,
        uncounted,
        graceless,
        spinning,
        deaf,
        headstrong,
        unsociable,
        forgetful,
    )
}
