"""What applications put around the life of every job."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from .context import JobContext
from .models import Job, JobOptions


@dataclass(frozen=True, slots=True)
class Draft:
    """A job before it is stored; ``dataclasses.replace`` makes another one.

    Attributes:
        name: Which handler runs it.
        data: As it was given, not encoded yet.
        options: What the call said.
    """

    name: str
    data: Any
    options: JobOptions


class Middleware:
    """Around enqueue, run, retry and fail. Override what is needed; the first one is outermost.

    Methods run on the event loop: of the caller at ``enqueue``, of the worker else.
    """

    async def enqueue(self, draft: Draft) -> Draft:
        """Return the job to store: ``draft``, or another one; raising refuses it."""
        return draft

    async def run(
        self, job: Job, context: JobContext, call_next: Callable[[], Awaitable[Any]]
    ) -> Any:
        """Run the attempt by ``await call_next()`` and return its result, or another one.

        What it raises is the outcome of the attempt, as if the handler had raised it.
        """
        del job, context  # for those who override it
        return await call_next()

    async def retry(self, job: Job, error: BaseException, delay: float) -> None:
        """Learn that an attempt failed and the job runs again in ``delay`` seconds.

        What it raises is logged. The worker may still lose its lease before the outcome is stored.
        """

    async def fail(self, job: Job, error: BaseException) -> None:
        """Learn that a job failed for good; as for :meth:`retry`."""


def wrapped(
    middleware: Sequence[Middleware],
    job: Job,
    context: JobContext,
    call: Callable[[], Awaitable[Any]],
) -> Callable[[], Awaitable[Any]]:
    """Return ``call`` with every ``run`` around it."""
    for each in reversed(middleware):
        call = partial(each.run, job, context, call)
    return call
