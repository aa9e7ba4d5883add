"""Broken twins where Celery's workers run the jobs, each without what one fault test is about.

Processes take one on by the variable CHAOS_TWIN; see chaos/test_celery_twins.py.
"""

from collections.abc import Callable
from typing import Any

from jobqueue import JobQueue
from jobqueue.adapters.celery.bell import Bell
from jobqueue.ports import Step, WorkerCall
from jobqueue.worker.doorman import House
from twins import acks_early, keeps_all, merciless, wrap_step


def silent(queue: JobQueue) -> None:
    """Has a timer that rings for nobody: what no message told of is not looked for."""
    opening = House.__init__

    def opened(house: House, queue: JobQueue, ring: Any) -> None:
        opening(house, queue, ring)
        house._ring = lambda name, count: None

    House.__init__ = opened  # type: ignore[method-assign]


def offended(queue: JobQueue) -> None:
    """Rings no more once the message broker was away."""
    ring, failed = Bell.ring, Bell._failed

    def resigned(bell: Bell, due: dict[str, int], exc: Exception) -> None:
        failed(bell, {}, exc)
        bell.ring = lambda name, count=1: None  # type: ignore[method-assign]

    def rung(bell: Bell, name: str, count: int = 1) -> None:
        if not bell._down:
            ring(bell, name, count)

    Bell._failed, Bell.ring = resigned, rung  # type: ignore[method-assign]


def trusting(queue: JobQueue) -> None:
    """Runs a job for each message, though it may be another one's."""
    last: dict[str, Any] = {}

    async def change(step: Any, call: WorkerCall) -> Step:
        made: Step = await step(call)
        if made.claimed:
            last.update((each.queue, each) for each in made.claimed)
        elif found := [last.pop(name) for name in call.slots if name in last]:
            return Step(claimed=found)
        return made

    wrap_step(queue, change)


TWINS: dict[str, Callable[[JobQueue], None]] = {
    each.__name__: each for each in (acks_early, keeps_all, merciless, silent, offended, trusting)
}
