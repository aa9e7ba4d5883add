"""The worker: one loop that finishes, claims and runs, and stops gracefully."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..checks import check_number, check_slots
from ..errors import BackendError
from ..ports import Broker, Step
from .attempts import Performer
from .counters import UNKNOWN
from .housekeeping import Housekeeping
from .runners import Runners
from .steps import Steps

if TYPE_CHECKING:
    from ..service import JobQueue

logger = logging.getLogger(__name__)
_LONGEST_WAIT = 5.0
_FULL_WAIT = 0.25
_FEW = 10  # what a step costs is hardly more for so many jobs than for one


class Worker(Steps):
    """Runs the jobs of a queue in this process until stopped.

    Batches form by themselves: what finished while a step was under way goes with the next one.
    """

    def __init__(
        self,
        queue: "JobQueue",
        queues: Mapping[str, int] | None = None,
        *,
        lease: float | None = None,
        shutdown_timeout: float | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Prepare; nothing runs yet.

        Args:
            queue: Whose handlers run.
            queues: How many jobs of which queue run at once; by default those of the settings and
                of the handlers, each by its ``workers`` (4).
            lease: Seconds after which our jobs are taken back if we fall silent.
            shutdown_timeout: Seconds that ``stop`` gives to running jobs.
            rng: Draws the jitter of retries.

        Raises:
            ConfigurationError: A queue's name, its concurrency (1 to 10,000) or a time is wrong.
        """
        super().__init__(queue, lease, rng)
        self._given, self._patience = queues, shutdown_timeout
        self._stopping = False
        self.abandoned = 0
        """Blocking handlers that still ran when :meth:`run` ended; threads cannot be ended."""
        if queues is not None:
            check_slots(queues)
        if lease is not None:
            check_number(lease, "lease", 0.01, 1e9)
        if shutdown_timeout is not None:
            check_number(shutdown_timeout, "shutdown_timeout", 0, 86_400)

    def stop(self) -> None:
        """Claim nothing more, let running jobs finish within ``shutdown_timeout``, then end.

        Call it on the worker's event loop. What is left is released then, its attempt given back.
        """
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Run jobs until :meth:`stop`; cancelling releases running jobs at once.

        Raises:
            ConfigurationError: The broker's tables are missing.
        """
        await self._queue.opened()
        broker, settings = self._queue.broker, self._queue.settings
        self._lease = self._lease or settings.lease
        patience = settings.shutdown_timeout if self._patience is None else self._patience
        slots = self._slots()
        metrics = await self._metrics()
        runners = Runners(sum(slots.values()))
        performer = Performer(self._queue, runners, self._rng)
        heart = self._heartbeat()
        house = Housekeeping(self._queue, self._rng)
        house.start()
        heart.start()
        self._queue.running.add(self)
        logger.info("worker.started", extra={"worker": self.id, "queues": dict(slots)})
        try:
            while not self._stopping:
                await self._turn(broker, performer, slots)
            self._begin(performer)
            await house.stop()
            await self._drain(patience)
        finally:
            try:
                await house.stop()
                await self._release(broker)
            finally:
                # also when cancelled again: a heart that beats on would hold the jobs for ever
                heart.halt()
                self._queue.running.discard(self)
                if metrics is not None:
                    metrics.close()
                runners.close()
                self.abandoned = runners.busy_threads
                logger.info("worker.stopped", extra={"worker": self.id})
            await heart.stop()

    async def run_until_idle(self) -> float | None:
        """Run what is due and return when nothing is; for tests, without heartbeat and cron.

        Returns the seconds until the next delayed job, None if there is none.
        """
        await self._queue.opened()
        broker, settings = self._queue.broker, self._queue.settings
        self._lease = self._lease or settings.lease
        slots = self._slots()
        runners = Runners(sum(slots.values()))
        performer = Performer(self._queue, runners, self._rng)
        try:
            while True:
                step = await self._step(broker, self._leased.free(slots))
                self._start(step, performer)
                if not step.claimed and not self._leased and not self._outcomes:
                    return step.next_due
                await self._wake.wait()
                self._wake.clear()
        finally:
            try:
                await self._release(broker)
            finally:
                runners.close()

    def _slots(self) -> dict[str, int]:
        if self._given is not None:
            return dict(self._given)
        settings = self._queue.settings
        names = ["default", *settings.queues]
        names += [each.queue for each in self._queue.handlers.known.values() if each.queue]
        known = settings.queues
        return {name: known[name].workers if name in known else 4 for name in dict.fromkeys(names)}

    @property
    def in_flight(self) -> dict[tuple[str, str], int]:
        """How many jobs of which queue and name run now. Safe for threads."""
        return self._leased.counts(self._label)

    def _label(self, name: str) -> str:
        return name if name in self._queue.handlers.known else UNKNOWN

    async def _metrics(self) -> "asyncio.Server | None":
        monitoring = self._queue.settings.monitoring
        if not monitoring.enabled or monitoring.metrics_port is None:
            return None
        from .metrics import serve_metrics  # only where somebody asks for figures

        return await serve_metrics(self._queue, self._measured, monitoring.metrics_port)

    def _measured(self) -> "Worker | None":
        return self

    async def _turn(self, broker: Broker, performer: Performer, slots: Mapping[str, int]) -> None:
        self._wake.clear()
        free = self._leased.free(slots)
        # of many slots half at most: while these run, the next step brings the other half
        asked = {name: min(n, max(_FEW, (slots[name] + 1) // 2)) for name, n in free.items()}
        try:
            step = await self._step(broker, asked, performer)
        except BackendError as exc:
            await self._pause(exc)
            return
        self._failures = 0
        self._leased.take(step.claimed)
        left = sum(self._leased.free(slots).values())
        if left > 0 and len(step.claimed) == sum(asked.values()):
            # there may be more: without a moment between, the next step is sent before these begin,
            # and is on its way while they run
            return
        self._begin(performer)
        if not self._outcomes and not self._stopping:
            await self._idle(broker, step, full=left <= 0)
        if self._leased or self._outcomes:
            # one more turn of the loop lets jobs that end together go in one step
            await asyncio.sleep(0)

    async def _idle(self, broker: Broker, step: Step, *, full: bool) -> None:
        if full:
            await self._woken(_FULL_WAIT)
            return
        # with jobs running, look now and then whether somebody has cancelled them
        longest = 1.0 if self._leased else _LONGEST_WAIT
        longest = longest if step.next_due is None else min(longest, step.next_due)
        wait = asyncio.ensure_future(broker.wait(max(0.001, longest)))
        # one thing to wait for, not two: a new job is to begin after few turns of the loop
        wait.add_done_callback(self._rung)
        try:
            await self._woken(longest + 1)
        finally:
            if not wait.done():
                wait.cancel()
                await asyncio.wait([wait])
        if not wait.cancelled() and isinstance(exc := wait.exception(), BackendError):
            await self._pause(exc)

    def _rung(self, wait: "asyncio.Future[None]") -> None:
        self._wake.set()
        if not wait.cancelled():
            wait.exception()  # is looked at where we idle, unless that is cancelled: then by nobody

    async def _woken(self, timeout: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._wake.wait()
