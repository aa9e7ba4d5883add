"""A worker that looks for jobs when somebody rings, in a process that belongs to somebody else."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .._common.clock import new_id
from ..errors import BackendError
from ..ports import Step, WorkerCall
from .attempts import Attempt, Performer
from .grace import Grace
from .housekeeping import Housekeeping
from .runners import Runners
from .worker import Worker

if TYPE_CHECKING:
    from ..service import JobQueue

logger = logging.getLogger(__name__)
Ring = Callable[[str, int], None]
"""Asks for so many looks at the queue of a name; never waits, never raises."""
_TURN = 1.0
_TURN_JOBS = 20
_GLANCE = 1.0
_THREADS = 1000
_EVERY = 1.0
_SOONEST = 0.05


class Doorman(Worker):
    """Answers rings: each runs jobs of one queue, one after the other, for about a second.

    The next job is claimed by the step that reports the one before. For one event loop; any number
    of rings may be answered at once.
    """

    def __init__(self, queue: "JobQueue", ring: Ring) -> None:
        """Run the jobs of ``queue``; ``ring`` wakes others."""
        super().__init__(queue)
        self._ring = ring
        self._winding: asyncio.Task[None] | None = None
        self._soon: set[str] = set()

    @property
    def names(self) -> Sequence[str]:
        """The queues whose jobs are run here."""
        return tuple(self._slots())

    async def open(self) -> None:
        """Begin to renew leases.

        Raises:
            ConfigurationError: The settings are wrong.
        """
        await self._queue.opened()
        self._lease = self._lease or self._queue.settings.lease
        self._runners = Runners(_THREADS)
        self._performer = Performer(self._queue, self._runners, self._rng)
        self._heart = self._heartbeat()
        self._heart.start()
        self._queue.running.add(self)
        logger.info("doorman.started", extra={"worker": self.id})

    async def answer(self, name: str) -> None:
        """Run jobs of the queue ``name`` while there are any, within a turn.

        Rings once for others as soon as it has found a job, and once more when the turn ends first.
        """
        clock, count = self._queue.clock, 0
        until = clock.monotonic() + _TURN
        while True:
            over = self._stopping or count >= _TURN_JOBS or clock.monotonic() >= until
            attempt = await self._next(None if over else name)
            if attempt is None:
                break
            if count == 0:
                self._ring(name, 1)
            count += 1
            await self._watch(attempt)
        if over and not self._stopping:
            self._ring(name, 1)

    async def _next(self, name: str | None) -> Attempt | None:
        """Report what has ended and claim a job of the queue ``name``, if there is one."""
        while True:
            slots = {} if name is None or self._stopping else {name: 1}
            try:
                step = await self._step(self._queue.broker, slots)
            except BackendError as exc:
                if not self._outcomes or self._stopping:
                    # nothing is owed: whoever rings next finds the job
                    logger.warning("doorman.look_failed", extra={"worker": self.id}, exc_info=exc)
                    return None
                await self._pause(exc)
                continue
            self._failures = 0
            return self._begun(step, name)

    def _begun(self, step: Step, name: str | None) -> Attempt | None:
        if not step.claimed and name is not None and (step.next_due or _EVERY) < _EVERY:
            self._ring_in(step.next_due or 0.0, name)
        attempts = self._start(step, self._performer)
        return attempts[0] if attempts else None

    def _ring_in(self, seconds: float, name: str) -> None:
        """Ring once something is due: the timer's next turn may be almost a second later."""
        if name not in self._soon:
            self._soon.add(name)
            asyncio.get_running_loop().call_later(max(_SOONEST, seconds), self._due, name)

    def _due(self, name: str) -> None:
        self._soon.discard(name)
        self._ring(name, 1)

    async def _watch(self, attempt: Attempt) -> None:
        """Wait until a job has ended here, looking whether it has been cancelled elsewhere."""
        assert attempt.task is not None
        while not attempt.task.done() and not (self._stopping and attempt.lost):
            await asyncio.wait([attempt.task], timeout=_GLANCE)
            if not attempt.task.done() and not self._stopping:
                try:
                    await self._step(self._queue.broker, {})
                except BackendError as exc:
                    logger.debug("doorman.look_failed", exc_info=exc)

    def stop(self) -> None:
        """Claim nothing more, give running jobs ``shutdown_timeout``, then release them."""
        if not self._stopping:
            super().stop()
            self._winding = asyncio.create_task(self._wind_down(), name="jobqueue-winding-down")

    async def _wind_down(self) -> None:
        await self._drain(self._queue.settings.shutdown_timeout)
        await self._release(self._queue.broker)

    def _measured(self) -> Worker | None:
        # in pools of threads the doorman who runs the jobs is in this process, else in another one
        return next(iter(self._queue.running), None)

    async def aclose(self) -> None:
        """Release what still runs and let go of threads and processes."""
        self._stopping = True
        try:
            if self._winding is not None:
                self._winding.cancel()
                await asyncio.wait([self._winding])
            await self._release(self._queue.broker)
        finally:
            self._heart.halt()
            self._queue.running.discard(self)
            self._runners.close()
            logger.info("doorman.stopped", extra={"worker": self.id})
            await self._heart.stop()


class House:
    """What one process of a machine does for the doormen: time, cron, relays, metrics."""

    def __init__(self, queue: "JobQueue", ring: Ring) -> None:
        """Keep the house of ``queue``."""
        self._queue, self._ring = queue, ring
        self._doorman = Doorman(queue, ring)
        self._keeping = Housekeeping(queue, random.Random())
        self._metrics: asyncio.Server | None = None
        self._timer: asyncio.Task[None] | None = None
        self.id = new_id()

    async def open(self) -> None:
        """Start.

        Raises:
            ConfigurationError: The settings are wrong, or the port of the metrics is taken.
        """
        await self._queue.opened()
        self._grace = Grace(self._queue.clock, self._queue.settings.lease)
        self._metrics = await self._doorman._metrics()  # noqa: SLF001  of the worker that it is
        self._keeping.start()
        self._timer = asyncio.create_task(self._run(), name="jobqueue-timer")
        logger.info("house.started", extra={"worker": self.id})

    async def _run(self) -> None:
        """Ring once a second, and when something is due: whatever has become of the messages."""
        down = False
        while True:
            wait = _EVERY
            try:
                due = (await self._queue.broker.step(self._call())).next_due
                self._grace.answered()
                wait = _EVERY if due is None else min(_EVERY, max(_SOONEST, due))
                down = False
            except BackendError as exc:
                self._grace.note(exc)
                if not down:
                    logger.warning("house.broker_failed", extra={"worker": self.id}, exc_info=exc)
                down = True
            except Exception:
                # without a next turn, jobs that nobody rang for would lie for ever
                logger.exception("house.timer_failed", extra={"worker": self.id})
            else:
                for name in self._doorman.names:
                    self._ring(name, 1)
            await self._queue.clock.sleep(wait)

    def _call(self) -> WorkerCall:
        return WorkerCall(
            self.id,
            self._queue.settings.lease,
            limits=self._queue.handlers.limits,
            reclaims=self._grace.is_over,
        )

    async def aclose(self) -> None:
        """Stop."""
        await self._keeping.stop()
        if self._timer is not None:
            self._timer.cancel()
            await asyncio.wait([self._timer])
        if self._metrics is not None:
            self._metrics.close()
