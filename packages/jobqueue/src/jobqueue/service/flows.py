"""Jobs that depend on each other: chains, groups and chords."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from ..models import Job, JobOptions
from .enqueuing import JobSpec, as_spec
from .jobs import Jobs


class Flows(Jobs):
    """Builds common shapes of ``depends_on``. A shape of up to 1,000 jobs is stored as a whole."""

    async def chain(self, *jobs: JobSpec) -> Sequence[Job]:
        """Store jobs each of which runs once the one before completed.

        A handler finds the job before, with its result, in ``ctx.parents``.

        Args:
            jobs: ``(name, data)`` or ``(name, data, JobOptions)``.

        Returns:
            The jobs in their order; wait for the last one.

        Raises:
            JobQueueError: As for ``enqueue_many``.
        """
        made: list[tuple[str, Any, JobOptions]] = []
        for job in jobs:
            before = (_id(made[-1]),) if made else ()
            made.append(self._placed(job, before))
        return await self.enqueue_many(made)

    async def group(self, jobs: Iterable[JobSpec]) -> Sequence[Job]:
        """Store jobs that run side by side; ``wait_all`` waits for all of them.

        Args:
            jobs: As for :meth:`chain`.

        Raises:
            JobQueueError: As for ``enqueue_many``.
        """
        return await self.enqueue_many([self._placed(job, ()) for job in jobs])

    async def chord(self, jobs: Iterable[JobSpec], callback: JobSpec) -> Job:
        """Store a group, and a job that runs once all of it completed; return that job.

        Its handler finds the group with its results in ``ctx.parents``, in their order. What a
        failure in the group does to it is said by ``on_parent_failure`` in its options.

        Args:
            jobs: At most 1,000, as for :meth:`chain`.
            callback: Likewise.

        Raises:
            JobQueueError: As for ``enqueue_many``.
        """
        group = [self._placed(job, ()) for job in jobs]
        last = self._placed(callback, [_id(each) for each in group])
        return (await self.enqueue_many([*group, last]))[-1]

    async def wait_all(self, jobs: Iterable[Job | str], timeout: float | None = None) -> list[Job]:
        """Return the jobs once all have ended, whichever way.

        Raises:
            JobNotFound: One is not there (any more).
            TimeoutError: They have not all ended within ``timeout`` seconds.
        """
        until = None if timeout is None else self.clock.monotonic() + timeout
        ended: list[Job] = []
        for job in jobs:
            left = None if until is None else max(0.0, until - self.clock.monotonic())
            ended.append(await self.wait(job, left))
        return ended

    def _placed(self, job: JobSpec, parents: Sequence[str]) -> tuple[str, Any, JobOptions]:
        name, data, options = as_spec(job)
        given = options.depends_on
        own = (given,) if isinstance(given, str | Job) else given
        job_id = options.id or self._new_id()
        placed = dataclasses.replace(options, id=job_id, depends_on=(*own, *parents))
        return name, data, placed


def _id(spec: tuple[str, Any, JobOptions]) -> str:
    assert spec[2].id is not None  # _placed chose one
    return spec[2].id
