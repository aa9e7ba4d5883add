"""One id for all that a request sets off, in every process and record.

It comes with a request (``x-correlation-id``) or is made there; it goes on in the headers of jobs,
and stands in log lines, answers, progress, notifications and search documents.
"""

import contextlib
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Generator
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Final

from jobqueue import Draft, Job, JobContext, Middleware

HEADER: Final = "x-correlation-id"
_NAME: Final = "correlation_id"
_PLAIN: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_current: ContextVar[str | None] = ContextVar("studio_correlation_id", default=None)


def correlation_id() -> str | None:
    """Return the id of the request that is being worked for; None outside of one."""
    return _current.get()


def metadata() -> dict[str, str]:
    """Return the id as records keep it; empty outside of a request."""
    value = correlation_id()
    return {} if value is None else {_NAME: value}


def id_of(header: str | None) -> str:
    """Return the id that a request came with; a new one if that is missing or not fit for logs."""
    return header if header is not None and _PLAIN.fullmatch(header) else uuid.uuid4().hex


@contextlib.contextmanager
def correlated(value: str | None) -> Generator[None, None, None]:
    """Work for the request with the id ``value`` within the block."""
    token = _current.set(value)
    try:
        yield
    finally:
        _current.reset(token)


class Correlation(Middleware):
    """Sends the id along with jobs, and takes it up again in the worker."""

    async def enqueue(self, draft: Draft) -> Draft:
        """Add the id to the job's headers."""
        headers = {**metadata(), **(draft.options.headers or {})}
        return replace(draft, options=replace(draft.options, headers=headers))

    async def run(
        self, job: Job, context: JobContext, call_next: Callable[[], Awaitable[Any]]
    ) -> Any:
        """Run the handler for the request that asked for the job."""
        del context
        with correlated(job.headers.get(_NAME)):
            return await call_next()


class LogFilter(logging.Filter):
    """Gives each record a ``correlation_id``, ``-`` outside of requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the id."""
        record.correlation_id = correlation_id() or "-"
        return True
