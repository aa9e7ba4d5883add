"""Storing jobs."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Unpack

from .._common.home import at_home
from ..errors import ConfigurationError
from ..models import EnqueueOptions, Job, JobOptions, OnDuplicate
from ..ports import Record
from ..records import due_time, shown
from .base import ServiceBase, seconds
from .coalescing import accept

_OPTION_NAMES = {each.name for each in dataclasses.fields(JobOptions)}
_BATCH = 1000


class Enqueuing(ServiceBase):
    """Puts jobs into the queue."""

    async def enqueue(
        self,
        name: str,
        data: Any = None,
        priority: int | None = None,
        delay: float | timedelta | None = None,
        max_attempts: int | None = None,
        *,
        options: JobOptions | None = None,
        **kw: Unpack[EnqueueOptions],
    ) -> Job:
        """Store a job; when this returns, a worker will run it at least once.

        Calls of one turn of the event loop share a round trip.

        Args:
            name: Which handler runs it. Need not be registered in this process.
            data: What JSON can hold, a dataclass, msgspec struct or pydantic model; ``{}``.
            priority: -1000 to 1000, higher first; 0.
            delay: Seconds until it is due; 0.
            max_attempts: Runs before it is failed; 3.
            options: All of these as an object, instead of keywords.
            kw: ``id, queue, timeout, backoff, unique_key, on_duplicate, result_ttl, headers``; see
                :class:`JobOptions`.

        Returns:
            The stored job; with an ``id`` that has the same name and data, the job that was there.

        Raises:
            PayloadError: The data is not JSON or too long.
            DuplicateJob: The id or unique key belongs to another job.
            QueueFull: The broker has no room.
            BackendError: The broker failed; enqueue again with the same ``id`` makes one job.
        """
        own = {"priority": priority, "delay": seconds(delay), "max_attempts": max_attempts, **kw}
        record, chosen = self._prepare(name, data, own, options)
        return await self._enqueue(record, chosen.on_duplicate)

    @at_home
    async def _enqueue(self, record: Record, on_duplicate: OnDuplicate) -> Job:
        return accept(record, await self._coalescer.add(record), on_duplicate)

    def _prepare(
        self,
        name: str,
        data: Any,
        keywords: Mapping[str, Any],
        options: JobOptions | None,
        run_at: float | None = None,
    ) -> tuple[Record, JobOptions]:
        given = {key: value for key, value in keywords.items() if value is not None}
        if unknown := sorted(given.keys() - _OPTION_NAMES):
            raise TypeError(f"enqueue() got an unexpected keyword argument {unknown[0]!r}")
        if options is not None and given:
            raise TypeError(f"give options or keywords, not both: {sorted(given)}")
        chosen = JobOptions(**given) if options is None else options
        if not isinstance(chosen, JobOptions):
            raise ConfigurationError(f"options must be JobOptions, not {shown(chosen)}")
        chosen = dataclasses.replace(chosen, delay=seconds(chosen.delay))
        if chosen.on_duplicate not in ("raise", "return"):  # a tuple: it may be unhashable
            raise ConfigurationError(
                f"on_duplicate must be 'raise' or 'return', not {shown(chosen.on_duplicate)}"
            )
        return self._record(name, data, chosen, run_at), chosen

    async def enqueue_many(
        self, jobs: Iterable[tuple[str, Any] | tuple[str, Any, JobOptions]]
    ) -> list[Job]:
        """Store many jobs, a thousand a round trip; each thousand is stored whole or not at all.

        Args:
            jobs: ``(name, data)`` or ``(name, data, JobOptions)``.

        Raises:
            PayloadError: One cannot be stored; then none is.
            DuplicateJob: An id or key belongs to another job; the others are stored.
        """
        prepared = [self._prepare(*_named(each), {}, _third(each)) for each in jobs]
        return await self._enqueue_many(prepared)

    @at_home
    async def _enqueue_many(self, prepared: Sequence[tuple[Record, JobOptions]]) -> list[Job]:
        made: list[Job] = []
        for start in range(0, len(prepared), _BATCH):
            part = prepared[start : start + _BATCH]
            stored = await self.broker.enqueue([record for record, _ in part])
            pairs = zip(part, stored, strict=True)
            made += [accept(record, one, options.on_duplicate) for (record, options), one in pairs]
        return made

    async def schedule(
        self,
        name: str,
        data: Any,
        scheduled_at: datetime,
        *,
        options: JobOptions | None = None,
        **kwargs: Any,
    ) -> Job:
        """Store a job that is due at ``scheduled_at``.

        Args:
            name: Which handler runs it.
            data: As for :meth:`enqueue`.
            scheduled_at: Naive datetimes are in the settings' zone; a time in the past is due now.
            options: As for :meth:`enqueue`.
            kwargs: The keywords of :meth:`enqueue`, but ``delay``.

        Raises:
            JobQueueError: As for :meth:`enqueue`.
        """
        if "delay" in kwargs:
            raise TypeError("give scheduled_at or delay, not both")
        moment = due_time(scheduled_at, self.settings)
        record, chosen = self._prepare(name, data, kwargs, options, moment)
        return await self._enqueue(record, chosen.on_duplicate)


def _named(job: Any) -> tuple[str, Any]:
    if not isinstance(job, tuple | list) or len(job) not in {2, 3}:
        raise ConfigurationError(
            f"a job must be (name, data) or (name, data, JobOptions), not {shown(job)}"
        )
    return job[0], job[1]


def _third(job: tuple[Any, ...]) -> JobOptions | None:
    return job[2] if len(job) > 2 else None
