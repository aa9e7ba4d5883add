"""Storing jobs."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Unpack

from .._common.home import at_home
from .._common.telemetry import is_traced
from ..batches import batches
from ..checks import shown
from ..clocks import ordered_id, ordered_ids
from ..drafting import due_time, make_headers
from ..errors import ConfigurationError, UnsupportedOperationError
from ..middleware import Draft
from ..models import EnqueueOptions, Job, JobOptions, OnDuplicate
from ..ports import Enqueued, Record
from .base import ServiceBase
from .coalescing import StoredJobs, accept, check
from .tracing import describe_sent, sending, sending_many
from .transactions import insert_in

if TYPE_CHECKING:
    from sqlalchemy import Connection

FullSpec = tuple[str, Any, JobOptions]
JobSpec = tuple[str, Any] | FullSpec
_PLAIN = JobOptions()
_OPTION_NAMES = {each.name for each in dataclasses.fields(JobOptions)}


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
        session: Any = None,
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
            session: A SQLAlchemy ``Session``, ``AsyncSession`` or connection: the job exists if and
                only if its transaction commits. A plain session is used on the caller's thread.
            kw: ``id, queue, timeout, backoff, unique_key, on_duplicate, result_ttl, headers,
                depends_on, on_parent_failure, limit_key``; see :class:`JobOptions`.

        Returns:
            The stored job; with an ``id`` that has the same name and data, the job that was there.

        Raises:
            PayloadError: The data is not JSON or too long.
            DuplicateJob: The id or unique key belongs to another job.
            JobNotFound: A job in ``depends_on`` is not there (any more).
            UnsupportedOperationError: ``session`` is given, the broker is no database and there is
                no ``broker.outbox``.
            QueueFull: The broker has no room.
            BackendError: The broker failed; enqueue again with the same ``id`` makes one job.
        """
        if kw or priority is not None or delay is not None or max_attempts is not None:
            own = {"priority": priority, "delay": delay, "max_attempts": max_attempts, **kw}
            options = chosen(own, options)
        return await self._put(name, data, _PLAIN if options is None else options, None, session)

    async def _put(
        self, name: str, data: Any, options: JobOptions, run_at: float | None, session: Any
    ) -> Job:
        if self.middleware:
            draft = await self._drafted(Draft(name, data, options))
            name, data, options = draft.name, draft.data, draft.options
        if not is_traced():
            record = self._record(name, data, options, make_headers(), self._new_id)
            record.run_at = run_at
            return await self._store(record, options.on_duplicate, session)
        with sending(name):
            record = self._record(name, data, options, make_headers(), self._new_id)
            record.run_at = run_at
            describe_sent([record])
            return await self._store(record, options.on_duplicate, session)

    async def _store(self, record: Record, on_duplicate: OnDuplicate, session: Any) -> Job:
        if session is None:
            return await self._enqueue(record, on_duplicate)
        await self.opened()
        [stored] = await insert_in(session, self.insert_records, [record])
        return accept(record, stored, on_duplicate)

    async def drafts_for(
        self, jobs: Iterable[JobSpec], run_at: datetime | None = None
    ) -> list[tuple[Record, OnDuplicate]]:
        """Return what ``insert_records`` stores for these jobs. For the blocking facade."""
        await self.opened()
        moment = None if run_at is None else due_time(run_at, self.settings)
        specs = await self._specs(jobs)
        with sending_many(len(specs)):
            records = self._records(specs)
            describe_sent(records)
        for record in records:
            record.run_at = moment
        return [
            (record, options.on_duplicate)
            for record, (_, _, options) in zip(records, specs, strict=True)
        ]

    async def _specs(self, jobs: Iterable[JobSpec]) -> list[FullSpec]:
        try:
            each = iter(jobs)
        except TypeError as exc:
            raise ConfigurationError(
                f"jobs must be a list of (name, data), not {shown(jobs)}"
            ) from exc
        made = list(map(as_spec, each))
        if not self.middleware:
            return made
        drafts = [await self._drafted(Draft(*spec)) for spec in made]
        return [(draft.name, draft.data, draft.options) for draft in drafts]

    def _records(self, specs: Sequence[FullSpec]) -> list[Record]:
        headers, new_id = make_headers(), self._new_id
        if new_id is ordered_id:
            new_id = iter(ordered_ids(len(specs))).__next__
        return [self._record(*each, headers, new_id) for each in specs]

    @at_home
    async def _enqueue(self, record: Record, on_duplicate: OnDuplicate) -> Job:
        return accept(record, await self._coalescer.add(record), on_duplicate)

    async def _drafted(self, draft: Draft) -> Draft:
        for each in self.middleware:
            draft = await each.enqueue(draft)
        return draft

    def insert_records(
        self, connection: "Connection", records: Sequence[Record]
    ) -> Sequence[Enqueued]:
        """Store records in the transaction of ``connection``: in the broker, else in the outbox.

        Raises:
            UnsupportedOperationError: The broker is no database, and there is no outbox.
        """
        if self.broker.capabilities.transactional:
            return self.broker.insert(connection, records)
        if self.outbox is None:
            raise UnsupportedOperationError(
                "this broker cannot join a transaction: name the database of the transaction as "
                "broker.outbox (or JobQueue.from_url(url, outbox=...)), for workers to relay from"
            )
        return self.outbox.insert(connection, records)

    async def enqueue_many(self, jobs: Iterable[JobSpec], *, session: Any = None) -> Sequence[Job]:
        """Store many jobs, a thousand (or 16 MiB) a round trip; each is stored whole or not at all.

        Args:
            jobs: ``(name, data)`` or ``(name, data, JobOptions)``.
            session: As for :meth:`enqueue`.

        Returns:
            The jobs in their order; each is built when it is looked at.

        Raises:
            ConfigurationError: These are no such jobs; then none is stored.
            PayloadError: One cannot be stored; then none is.
            DuplicateJob: An id or key belongs to another job; the others are stored.
            JobNotFound: One depends on a job that is not there; the others are stored.
        """
        specs = await self._specs(jobs)
        with sending_many(len(specs)):
            records = self._records(specs)
            describe_sent(records)
            stored = await self._store_many(records, session)
        for spec, record, one in zip(specs, records, stored, strict=True):
            if one.reason != "created":
                check(record, one, spec[2].on_duplicate)
        return StoredJobs([one.record for one in stored])

    async def _store_many(self, records: Sequence[Record], session: Any) -> Sequence[Enqueued]:
        if session is None:
            return await self._enqueue_many(records)
        await self.opened()
        return await insert_in(session, self.insert_records, records)

    @at_home
    async def _enqueue_many(self, records: Sequence[Record]) -> list[Enqueued]:
        made: list[Enqueued] = []
        for part in batches(records):
            made += await self.broker.enqueue(part)
        return made

    async def schedule(
        self,
        name: str,
        data: Any,
        scheduled_at: datetime,
        *,
        options: JobOptions | None = None,
        session: Any = None,
        **kwargs: Any,
    ) -> Job:
        """Store a job that is due at ``scheduled_at``.

        Args:
            name: Which handler runs it.
            data: As for :meth:`enqueue`.
            scheduled_at: Naive datetimes are in the settings' zone; a time in the past is due now.
            options: As for :meth:`enqueue`.
            session: As for :meth:`enqueue`.
            kwargs: The keywords of :meth:`enqueue`, but ``delay``.

        Raises:
            JobQueueError: As for :meth:`enqueue`.
        """
        if "delay" in kwargs:
            raise TypeError("give scheduled_at or delay, not both")
        moment = due_time(scheduled_at, self.settings)
        return await self._put(name, data, chosen(kwargs, options), moment, session)


def chosen(keywords: Mapping[str, Any], options: JobOptions | None) -> JobOptions:
    """Return the options of a call that takes an object or keywords.

    Raises:
        TypeError: There are both, or a keyword is unknown.
    """
    given = {key: value for key, value in keywords.items() if value is not None}
    if not given:
        return _PLAIN if options is None else options
    if unknown := sorted(given.keys() - _OPTION_NAMES):
        raise TypeError(f"enqueue() got an unexpected keyword argument {unknown[0]!r}")
    if options is not None:
        raise TypeError(f"give options or keywords, not both: {sorted(given)}")
    return JobOptions(**given)


def as_spec(job: Any) -> FullSpec:
    """Return the parts of a job as ``enqueue_many`` takes it.

    Raises:
        ConfigurationError: It is no such tuple.
    """
    if isinstance(job, (tuple, list)):  # a union would be made anew each time
        if len(job) == 2:
            return job[0], job[1], _PLAIN
        if len(job) == 3:
            return job[0], job[1], _PLAIN if job[2] is None else job[2]
    raise ConfigurationError(
        f"a job must be (name, data) or (name, data, JobOptions), not {shown(job)}"
    )
