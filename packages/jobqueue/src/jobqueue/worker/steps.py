"""What a worker holds: the jobs that its steps claim, and how they end until it is told."""

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .._common.clock import new_id
from .._common.telemetry import is_traced
from ..errors import BackendError
from ..ports import Broker, Lease, Outcome, Step, WorkerCall
from .attempts import Attempt, Performer
from .counters import Counters
from .grace import Grace
from .heartbeat import Heartbeat
from .leased import Leased

if TYPE_CHECKING:
    from ..service import JobQueue

logger = logging.getLogger(__name__)
_LOOK = 0.2
_PATIENCE = 5.0


class Steps:
    """Takes steps, runs what they claim, and reports what has ended with the next one."""

    def __init__(self, queue: "JobQueue", lease: float | None, rng: random.Random | None) -> None:
        """Hold nothing yet; ``lease`` is the settings' if None."""
        self._queue, self._lease, self._rng = queue, lease, rng or random.Random()
        self.id = new_id()
        self.counters = Counters()
        """What it has done since its start."""
        self._leased = Leased(self.id)
        self._outcomes: list[Outcome] = []
        self._sent: list[list[Outcome]] = []
        self._wake = asyncio.Event()
        self._failures = 0
        self._grace: Grace | None = None
        self._next_look = 0.0

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

    def _asked_after(self) -> Sequence[Lease]:
        """Return the leases to ask after in this step: all of them, but not in every step."""
        now = self._queue.clock.monotonic()
        if now < self._next_look:
            return ()
        self._next_look = now + _LOOK
        return self._leased.leases()

    def _graceful(self) -> Grace:
        if self._grace is None:
            self._grace = Grace(self._queue.clock, self._lease or 10.0)
        return self._grace

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
        attempt.begun = True
        outcome: Outcome | None = None
        record, clock = attempt.record, self._queue.clock
        tally = self.counters.tally(record.queue, record.name, self._queue.handlers.known)
        if record.started_at is not None:
            tally.wait_time.observe(record.started_at - (record.run_at or record.created_at))
        began = clock.monotonic()
        try:
            stopped = attempt.context.cancelled  # before this first step
            outcome = attempt.outcome("released") if stopped else await performer.perform(attempt)
        except asyncio.CancelledError:
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
