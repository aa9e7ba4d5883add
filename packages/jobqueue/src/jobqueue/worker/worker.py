"""The worker: one loop that finishes, claims and runs, and stops gracefully."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .._common.clock import new_id
from .._common.telemetry import is_traced
from ..checks import check_number, check_slots
from ..errors import BackendError
from ..ports import Broker, Lease, Outcome, Step, WorkerCall
from .attempts import Attempt, Performer
from .counters import UNKNOWN, Counters
from .grace import Grace
from .heartbeat import Heartbeat
from .housekeeping import Housekeeping
from .leased import Leased
from .runners import Runners

if TYPE_CHECKING:
    from ..service import JobQueue

logger = logging.getLogger(__name__)
_LONGEST_WAIT = 5.0
_FULL_WAIT = 0.25
_LOOK = 0.2
_FEW = 10  # what a step costs is hardly more for so many jobs than for one
_PATIENCE = 5.0


class Worker:
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
        self._queue, self._given = queue, queues
        self._lease, self._patience = lease, shutdown_timeout
        self._rng = rng or random.Random()
        self.id = new_id()
        self.counters = Counters()
        """What it has done since its start."""
        self._leased = Leased(self.id)
        self._outcomes: list[Outcome] = []
        self._sent: list[list[Outcome]] = []
        self._wake = asyncio.Event()
        self._stopping = False
        self._failures = 0
        self._grace: Grace | None = None
        self._next_look = 0.0
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

    def _heartbeat(self) -> Heartbeat:
        return Heartbeat(
            self._queue.broker.twin(),
            self.id,
            self._lease or 10.0,
            self._renewed,
            self._leased.lose,
            on_fault=self._graceful().note,
            counters=self.counters,
        )

    def _renewed(self) -> Sequence[Lease]:
        """Return the leases to renew: also of jobs whose end the broker has not taken in yet."""
        told = [outcome.lease for each in (*self._sent, self._outcomes) for outcome in each]
        return [*self._leased.leases(), *told]

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

    async def _step(
        self, broker: Broker, free: Mapping[str, int], performer: Performer | None = None
    ) -> Step:
        outcomes, self._outcomes = self._outcomes, []
        self._sent.append(outcomes)
        held = self._asked_after()
        limits = self._queue.handlers.limits
        grace = self._graceful()
        call = WorkerCall(
            self.id, self._lease or 10.0, free, outcomes, held, limits, reclaims=grace.is_over
        )
        work = asyncio.ensure_future(broker.step(call))
        if performer is not None:
            self._begin(performer)
        try:
            step = await asyncio.shield(work)
        except BaseException as exc:
            if isinstance(exc, asyncio.CancelledError):
                await self._give_back(work)
            else:
                grace.note(exc)
            # perhaps it was applied: then the fence refuses the repetition
            self._outcomes = [*outcomes, *self._outcomes]
            raise
        finally:
            self._sent.remove(outcomes)
        grace.answered()
        self.counters.refused += len(step.refused)
        for job_id in step.refused:
            logger.warning("job.outcome_refused", extra={"job_id": job_id, "worker": self.id})
        gone = set(step.lost)
        self._leased.lose([lease for lease in held if lease.id in gone])
        return step

    def _graceful(self) -> Grace:
        if self._grace is None:
            self._grace = Grace(self._queue.clock, self._lease or 10.0)
        return self._grace

    def _asked_after(self) -> Sequence[Lease]:
        """Return the leases to ask after in this step: all of them, but not in every step."""
        now = self._queue.clock.monotonic()
        if now < self._next_look:
            return ()
        self._next_look = now + _LOOK
        return self._leased.leases()

    async def _give_back(self, work: "asyncio.Future[Step]") -> None:
        """Release what a step claims whose caller was cancelled: nobody will run it."""
        try:
            await asyncio.wait([work], timeout=_PATIENCE)
        finally:
            if not work.done():
                work.cancel()
            elif not work.cancelled() and work.exception() is None:
                claimed = [Attempt.of(record) for record in work.result().claimed]
                self._outcomes += [attempt.outcome("released") for attempt in claimed]

    def _start(self, step: Step, performer: Performer) -> Sequence[Attempt]:
        taken = self._leased.take(step.claimed)
        self._begin(performer)
        return taken

    def _begin(self, performer: Performer) -> None:
        performer.traced = is_traced()
        for attempt in self._leased.begin():
            attempt.task = asyncio.create_task(
                self._attend(attempt, performer), name=f"job-{attempt.record.id}"
            )

    async def _attend(self, attempt: Attempt, performer: Performer) -> None:
        outcome: Outcome | None = None
        record, clock = attempt.record, self._queue.clock
        tally = self.counters.tally(record.queue, record.name, self._queue.handlers.known)
        if record.started_at is not None:
            tally.wait_time.observe(record.started_at - (record.run_at or record.created_at))
        began = clock.monotonic()
        try:
            outcome = await performer.perform(attempt)
        except asyncio.CancelledError:
            if not attempt.lost:
                outcome = attempt.outcome("released")
        except Exception:
            # an exception that cannot be printed, a model that raises: never a silent end
            logger.exception("worker.attempt_broken", extra={"job_id": record.id})
            outcome = attempt.broken()
        finally:
            self._leased.drop(attempt)
            outcome = None if attempt.lost else outcome
            tally.end(None if outcome is None else outcome.kind, clock.monotonic() - began)
            if outcome is not None:
                self._outcomes.append(outcome)
            self._wake.set()

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

    async def _pause(self, exc: BackendError) -> None:
        self._failures += 1
        self.counters.broker_errors += 1
        # back within the grace that others give: an end that comes late would find the job taken
        most = min(5.0, (self._lease or 10.0) / 3, 0.1 * 2 ** min(self._failures, 6))
        delay = self._rng.uniform(0.05, max(0.05, most))
        logger.warning(
            "worker.broker_failed", extra={"worker": self.id, "delay": delay}, exc_info=exc
        )
        await self._queue.clock.sleep(delay)

    async def _drain(self, patience: float) -> None:
        """Let running jobs finish, at most ``patience`` seconds."""
        tasks = [each.task for each in self._leased.attempts() if each.task is not None]
        if tasks:
            logger.info("worker.draining", extra={"worker": self.id, "jobs": len(tasks)})
            await asyncio.wait(tasks, timeout=patience)

    async def _release(self, broker: Broker) -> None:
        """Give back what still runs and report what ended."""
        attempts = self._leased.attempts()
        for attempt in attempts:
            attempt.cancel()
        tasks = [attempt.task for attempt in attempts if attempt.task is not None]
        if tasks:
            _, stuck = await asyncio.wait(tasks, timeout=_PATIENCE)
            for attempt in attempts:
                if attempt.task in stuck:
                    attempt.lost = True
                    self._outcomes.append(attempt.outcome("released"))
        for _ in range(5):
            if not self._outcomes:
                return
            try:
                await self._step(broker, {})
            except BackendError as exc:
                await self._pause(exc)
        if ids := [each.lease.id for each in self._outcomes]:
            logger.error("worker.outcomes_unsent", extra={"worker": self.id, "job_ids": ids})
