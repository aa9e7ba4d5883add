"""One attempt at one job: from the leased record to its outcome."""

import asyncio
import logging
import random
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import backoff
from .._common.telemetry import correlated, span
from ..context import JobContext
from ..errors import JobTimeout, PayloadError, RetryJob, UnknownJob
from ..handlers import Handler, Handlers
from ..models import Backoff
from ..payload import decode, encode
from ..ports import Lease, Outcome, Record
from ..records import headers_of, to_job
from ..settings import Settings
from .processes import is_one_of
from .runners import Runners

logger = logging.getLogger(__name__)
_MAX_ERROR = 8192


@dataclass(slots=True)
class Attempt:
    """A leased job in a worker.

    Attributes:
        record: As it was claimed.
        lease: What the outcome is fenced with.
        context: What the handler sees.
        task: What runs it.
        lost: Whether the lease is gone, so that nobody asks for the outcome.
    """

    record: Record
    lease: Lease
    context: JobContext
    task: "asyncio.Task[None] | None" = None
    lost: bool = False

    @classmethod
    def of(cls, record: Record) -> "Attempt":
        """Return the attempt that a claimed record stands for."""
        lease = Lease(record.id, record.fence, record.progress)
        return cls(record, lease, JobContext(lease, name=record.name, attempt=record.attempts))

    def cancel(self) -> None:
        """Stop the handler as far as its kind allows."""
        self.context.cancel()
        if self.task is not None:
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

    def __init__(
        self, handlers: Handlers, settings: Settings, runners: Runners, rng: random.Random
    ) -> None:
        """Run with ``runners``; ``rng`` draws the jitter."""
        self._handlers, self._settings, self._runners, self._rng = handlers, settings, runners, rng

    async def perform(self, attempt: Attempt) -> Outcome:
        """Run the handler and return how it ended; handlers' exceptions never get out."""
        record = attempt.record
        try:
            handler = self._handlers.get(record.name)
            decode(record.data, f"data of job {record.id!r}")
            arguments = handler.arguments(to_job(record), attempt.context)
        except (UnknownJob, PayloadError) as exc:
            logger.exception("job.unreadable", extra=_about(record))
            return attempt.outcome("failed", error=describe(exc, with_trace=False))
        headers = headers_of(record)
        attributes = {"messaging.system": "jobqueue", "messaging.destination.name": record.queue}
        with (
            correlated(headers.get("correlation_id")),
            span(__name__, f"process {record.name}", attributes, parent=headers),
        ):
            return await self._run(attempt, handler, arguments)

    async def _run(self, attempt: Attempt, handler: Handler, arguments: tuple[Any, ...]) -> Outcome:
        record = attempt.record
        try:
            value = await self._runners.run(handler, arguments, record, attempt.context)
            what = f"result of job {record.id!r}"
            result = None if value is None else encode(value, self._settings.max_payload, what)
        except PayloadError as exc:
            logger.exception("job.failed", extra=_about(record))
            return attempt.outcome("failed", error=describe(exc, with_trace=False))
        except RetryJob as exc:
            return self._again(attempt, handler, exc, exc.delay)
        except asyncio.CancelledError as exc:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return self._again(attempt, handler, exc, None)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as exc:  # noqa: BLE001  whatever users' code raises
            return self._again(attempt, handler, exc, None)
        logger.debug("job.completed", extra=_about(record))
        return attempt.outcome("completed", result=result)

    def _again(self, attempt: Attempt, handler: Handler, exc: BaseException, asked: Any) -> Outcome:
        record = attempt.record
        wished = isinstance(exc, RetryJob)
        wanted = wished or isinstance(exc, JobTimeout) or not handler.retry_on
        wanted = wanted or is_one_of(exc, handler.retry_on)
        error = describe(exc, with_trace=not wished)
        if not wanted or record.attempts >= record.max_attempts:
            logger.error("job.failed", extra=_about(record), exc_info=exc)
            return attempt.outcome("failed", error=error)
        delay = self._delay(record, handler, asked)
        logger.info("job.retried", extra={**_about(record), "delay": delay, "error": error[:200]})
        return attempt.outcome("retry", error=error, delay=delay)

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


def describe(exc: BaseException, *, with_trace: bool = True) -> str:
    """Return type, message and traceback of an exception, at most 8 KiB."""
    head = f"{type(exc).__name__}: {exc}"[: _MAX_ERROR // 2]
    if not with_trace or exc.__traceback__ is None:
        return clean(head)
    trace = "".join(traceback.format_tb(exc.__traceback__))
    return clean(f"{head}\n{trace[-(_MAX_ERROR - len(head)) :]}")


def clean(text: str) -> str:
    """Return ``text`` as every store can keep it: no NUL, no lone surrogates."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def _about(record: Record) -> dict[str, Any]:
    return {"job_id": record.id, "job_name": record.name, "attempt": record.attempts}


Done = Callable[[Attempt, Outcome], None]
