"""One attempt at one job: from the leased record to its outcome."""

import asyncio
import logging
import random
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from .. import backoff
from .._common.telemetry import annotate, correlated, is_traced, record_error, span
from ..context import JobContext
from ..errors import BackendError, JobTimeout, PayloadError, RetryJob, UnknownJob
from ..handlers import Handler
from ..middleware import wrapped
from ..models import Backoff, Job
from ..payload import SIGNATURE, check_signature, decode, encode
from ..ports import Lease, Outcome, Record
from ..records import headers_of, to_job
from .describing import describe, redacted
from .processes import is_one_of
from .runners import Runners

if TYPE_CHECKING:
    from ..service import JobQueue

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Attempt:
    """A leased job in a worker.

    Attributes:
        record: As it was claimed.
        lease: What the outcome is fenced with.
        context: What the handler sees.
        task: What runs it.
        begun: Whether the task has taken its first step.
        lost: Whether the lease is gone, so that nobody asks for the outcome.
    """

    record: Record
    lease: Lease
    context: JobContext
    task: "asyncio.Task[None] | None" = None
    begun: bool = False
    lost: bool = False

    @classmethod
    def of(cls, record: Record) -> "Attempt":
        """Return the attempt that a claimed record stands for."""
        lease = Lease(record.id, record.fence, record.progress)
        return cls(record, lease, JobContext(lease, name=record.name, attempt=record.attempts))

    def cancel(self) -> None:
        """Stop the handler as far as its kind allows; one that has not begun never does."""
        self.context.cancel()
        # a task that is cancelled before its first step runs none: nobody would hear of its end
        if self.task is not None and self.begun:
            self.task.cancel()

    def outcome(self, kind: Any, **values: Any) -> Outcome:
        """Return the end of this attempt."""
        return Outcome(self.lease, kind, **values)

    def broken(self) -> Outcome:
        """Return the end of an attempt that could not even be judged."""
        last = self.record.attempts >= self.record.max_attempts
        return self.outcome(
            "failed" if last else "retry",
            error="the attempt ended in an error that could not be described; see the worker's log",
            delay=0.0 if last else backoff.UNSURE.ceiling(self.record.attempts),
        )


class Performer:
    """Runs attempts with the handlers and settings of one queue."""

    def __init__(self, queue: "JobQueue", runners: Runners, rng: random.Random) -> None:
        """Run the jobs of ``queue`` with ``runners``; ``rng`` draws the jitter."""
        self._handlers, self._settings, self._broker = queue.handlers, queue.settings, queue.broker
        self._middleware, self._runners, self._rng = queue.middleware, runners, rng
        self._redact = queue.redact
        self.traced = is_traced()
        """Whether spans are recorded; looked at again with each batch of jobs, for each is dear."""

    async def perform(self, attempt: Attempt) -> Outcome:
        """Run the handler and return how it ended; handlers' exceptions never get out."""
        record = attempt.record
        headers = headers_of(record)
        if not headers and not self.traced:
            return await self._perform(attempt)
        name, attributes = f"process {record.name}", _attributes(record)
        with (
            correlated(headers.get("correlation_id")),
            span(__name__, name, attributes, parent=headers, kind="consumer"),
        ):
            outcome = await self._perform(attempt)
            annotate({"jobqueue.job.outcome": outcome.kind})
            return outcome

    async def _perform(self, attempt: Attempt) -> Outcome:
        record = attempt.record
        try:
            handler = self._handlers.get(record.name)
            self._check(record)
            data = decode(record.data, "data of job", record.id)
            job = to_job(record, data)
            arguments = handler.arguments(job, attempt.context)
        except (UnknownJob, PayloadError) as exc:
            return await self._unreadable(attempt, exc)
        if record.depends_on and handler.wants_context and not await self._find_parents(attempt):
            return attempt.outcome("released")
        return await self._run(attempt, handler, job, arguments)

    def _check(self, record: Record) -> None:
        if keys := self._settings.signing_keys:
            given = headers_of(record).get(SIGNATURE)
            check_signature(keys, given, record.id, record.name, bytes(record.data))

    async def _unreadable(self, attempt: Attempt, exc: Exception) -> Outcome:
        record = attempt.record
        record_error(exc)
        logger.error("job.unreadable", extra=_about(record), exc_info=exc)
        await self._tell("fail", to_job(record), exc)
        return attempt.outcome("failed", error=self._described(exc, with_trace=False))

    async def _find_parents(self, attempt: Attempt) -> bool:
        """Look up what the handler finds in its context; False if the broker does not tell."""
        try:
            found = [await self._broker.get(parent) for parent in attempt.record.depends_on]
        except BackendError as exc:
            logger.warning("job.parents_unknown", extra=_about(attempt.record), exc_info=exc)
            return False
        attempt.context.parents = [to_job(each) for each in found if each is not None]
        return True

    async def _run(
        self, attempt: Attempt, handler: Handler, job: Job, arguments: tuple[Any, ...]
    ) -> Outcome:
        record, context = attempt.record, attempt.context
        try:
            if self._middleware:
                call = partial(self._runners.run, handler, arguments, record, context)
                value = await wrapped(self._middleware, job, context, call)()
            else:
                value = await self._runners.run(handler, arguments, record, context)
            result = None if value is None else self._encoded(value, record)
        except PayloadError as exc:
            return await self._failed(attempt, job, exc, with_trace=False)
        except RetryJob as exc:
            return await self._again(attempt, handler, job, exc, exc.delay)
        except asyncio.CancelledError as exc:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return await self._again(attempt, handler, job, exc, None)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as exc:  # noqa: BLE001  whatever users' code raises
            return await self._again(attempt, handler, job, exc, None)
        return Outcome(attempt.lease, "completed", result)

    def _encoded(self, value: Any, record: Record) -> bytes:
        return encode(value, self._settings.max_payload, "result of job", record.id)

    async def _again(
        self, attempt: Attempt, handler: Handler, job: Job, exc: BaseException, asked: Any
    ) -> Outcome:
        record = attempt.record
        wished = isinstance(exc, RetryJob)
        wanted = wished or isinstance(exc, JobTimeout) or not handler.retry_on
        wanted = wanted or is_one_of(exc, handler.retry_on)
        if not wanted or record.attempts >= record.max_attempts:
            return await self._failed(attempt, job, exc, with_trace=not wished)
        if not wished:
            record_error(exc)
        error = self._described(exc, with_trace=not wished)
        delay = self._delay(record, handler, asked)
        logger.info("job.retried", extra={**_about(record), "delay": delay, "error": error[:200]})
        await self._tell("retry", job, exc, delay)
        return attempt.outcome("retry", error=error, delay=delay)

    async def _failed(
        self, attempt: Attempt, job: Job, exc: BaseException, *, with_trace: bool
    ) -> Outcome:
        record_error(exc)
        logger.error("job.failed", extra=_about(attempt.record), exc_info=exc)
        await self._tell("fail", job, exc)
        return attempt.outcome("failed", error=self._described(exc, with_trace=with_trace))

    def _described(self, exc: BaseException, *, with_trace: bool) -> str:
        return redacted(describe(exc, with_trace=with_trace), self._redact)

    async def _tell(self, what: Literal["retry", "fail"], *about: Any) -> None:
        for each in self._middleware:
            try:
                await getattr(each, what)(*about)
            except Exception:
                # the outcome of the job must not depend on who is told of it
                logger.exception("middleware.failed", extra={"middleware": type(each).__name__})

    def _delay(self, record: Record, handler: Handler, asked: Any) -> float:
        try:
            if asked is not None:
                return backoff.sane(asked)
            stored: Backoff | None = backoff.load(record.backoff)
            rule = stored or handler.backoff or self._settings.defaults.backoff
            return backoff.delay(rule, record.attempts, self._rng)
        except Exception:
            # a user's callable: its fault must not cost the job
            logger.exception("job.backoff_failed", extra=_about(record))
            return backoff.UNSURE.ceiling(record.attempts)


def _about(record: Record) -> dict[str, Any]:
    return {"job_id": record.id, "job_name": record.name, "attempt": record.attempts}


def _attributes(record: Record) -> dict[str, Any]:
    """Return what OpenTelemetry's semantic conventions for messaging ask for, and the job's own."""
    return {
        "messaging.system": "jobqueue",
        "messaging.destination.name": record.queue,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.message.id": record.id,
        "messaging.message.body.size": len(record.data),
        "jobqueue.job.name": record.name,
        "jobqueue.job.attempt": record.attempts,
    }
