"""The queue: what applications call."""

import asyncio
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar, Unpack

from ._common.clock import Clock, NewId, SystemClock, new_id
from ._common.home import at_home
from ._common.lifecycle import Adapter, Service
from .enqueuing import Coalescer, accept
from .errors import ConfigurationError, JobCancelled, JobFailed, JobNotFound
from .handlers import Handler, Handlers, inspect_handler
from .models import (
    Backoff,
    EnqueueOptions,
    Job,
    JobFilters,
    JobOptions,
    JobStatus,
    OnDuplicate,
    Page,
    QueueStats,
    RunIn,
)
from .ports import Broker, Record
from .records import check_name, check_number, due_time, make_record, to_job
from .registry import broker_from_url
from .settings import Settings, zone
from .warp import WarpClock
from .worker import Worker
from .worker.scheduler import CatchUp, CronEntry

F = TypeVar("F", bound=Callable[..., Any])
_OPTION_NAMES = {each.name for each in dataclasses.fields(JobOptions)}
_FINAL = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


class JobQueue(Service[Settings, Broker]):
    """Enqueues jobs, registers their handlers and runs workers.

    Safe for several event loops and threads; handlers run where the worker runs.
    """

    settings_type = Settings
    durable_example = "sqlite:///jobs.db"

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        broker: Broker | None = None,
        clock: Clock | None = None,
        new_id: NewId = new_id,
    ) -> None:
        """Make a queue; no I/O.

        Args:
            settings: How it works; found in the environment at the first operation if None.
            broker: A ready broker, in place of the one that the settings name.
            clock: Moved by ``run_until_idle``.
            new_id: Makes the ids of jobs.
        """
        super().__init__(settings)
        self.clock = WarpClock(clock or SystemClock())
        self._given, self._new_id = broker, new_id
        self.handlers = Handlers()
        self._cron: list[CronEntry] = []
        self._coalescer = Coalescer(lambda: self.broker)

    @classmethod
    def from_url(cls, url: str, **kwargs: Any) -> Self:
        """Return a queue on the broker of ``url``: ``memory://``, ``sqlite:///jobs.db``.

        Raises:
            ConfigurationError: The URL has no scheme. Whether the scheme is known turns out at the
                first operation.
        """
        return cls(Settings.from_url(url), **kwargs)

    @property
    def broker(self) -> Broker:
        """The broker in use."""
        return self._parts

    def _is_volatile(self) -> bool:
        return self._given is None

    def _build(self, settings: Settings) -> Broker:
        if self._given is not None:
            return self._given
        return broker_from_url(settings.broker.url(), clock=self.clock)

    def _adapters(self, parts: Broker) -> Iterable[Adapter]:
        return (parts,)

    @at_home
    async def opened(self) -> None:
        """Settle the settings and this loop as home. For workers."""
        _ = self.broker

    @at_home
    async def setup(self) -> None:
        """Create or upgrade the broker's tables (servers; embedded brokers do it themselves)."""
        await self.broker.setup()

    # -- registering -------------------------------------------------------------------------

    def worker(
        self,
        name: str = "default",
        *,
        queue: str | None = None,
        max_attempts: int | None = None,
        backoff: Backoff | None = None,
        timeout: float | timedelta | None = None,
        retry_on: Sequence[type[BaseException]] = (),
        unique: bool = False,
        result_ttl: float | timedelta | None = None,
        run_in: RunIn | None = None,
        queue_name: str | None = None,
    ) -> Callable[[F], F]:
        """Register the decorated function as the handler of jobs called ``name``.

        Its first parameter is the :class:`Job`, or the job's data as the annotated dataclass,
        msgspec struct or pydantic model; a second one annotated :class:`JobContext` gets that.

        Args:
            name: The name of the jobs.
            queue: Where they wait; ``"default"``.
            max_attempts: Runs before a job is failed; the settings' (3) if None.
            backoff: ``Retry``, ``"fixed"``, ``"exponential"``, or attempt -> seconds.
            timeout: Seconds that one attempt may run; the settings' (300) if None.
            retry_on: Retry only these exceptions (and timeouts); all if empty.
            unique: Refuse a job while an equal one has not ended.
            result_ttl: Seconds that ended jobs are kept; the settings' (7 days) if None.
            run_in: ``"loop"`` (``async def``), ``"thread"`` (``def``) or ``"process"``.
            queue_name: Another word for ``name``.

        Raises:
            ConfigurationError: The name is taken, or the function cannot be a handler.
        """
        chosen = check_name(queue_name if queue_name is not None else name, "a job's name")

        def register(function: F) -> F:
            self.handlers.add(
                Handler(
                    name=chosen,
                    function=function,
                    **inspect_handler(function, run_in),
                    queue=None if queue is None else check_name(queue, "queue"),
                    max_attempts=max_attempts,
                    backoff=backoff,
                    timeout=_seconds(timeout),
                    retry_on=tuple(retry_on),
                    unique=unique,
                    result_ttl=_seconds(result_ttl),
                )
            )
            return function

        return register

    def process(self, name: str, handler: Callable[..., Any], **options: Any) -> None:
        """Register ``handler`` for jobs called ``name``: the call form of :meth:`worker`."""
        self.worker(name, **options)(handler)

    def cron(
        self,
        expression: str,
        *,
        name: str | None = None,
        tz: str | None = None,
        catch_up: CatchUp = "none",
        **options: Any,
    ) -> Callable[[F], F]:
        """Run the decorated handler by a cron expression: one job per tick, cluster-wide.

        Args:
            expression: ``"*/5 * * * *"``; a sixth, leading field is seconds.
            name: The jobs' name; the function's qualified name if None.
            tz: IANA zone; the settings' (UTC) if None.
            catch_up: What to do about ticks that nobody ran: ``none``, ``one`` (the last), ``all``.
            options: As for :meth:`worker`.

        Raises:
            ConfigurationError: The expression or zone is wrong.
        """

        def register(function: F) -> F:
            chosen = name or f"{function.__module__}.{function.__qualname__}"
            place = zone(tz) if tz is not None else None
            entry = CronEntry(chosen, expression, place or zone("UTC"), catch_up)
            self.worker(chosen, **options)(function)
            self._cron = [each for each in self._cron if each.name != chosen]
            self._cron.append(
                entry if place else _Unplaced(chosen, expression, entry.place, catch_up)
            )
            return function

        return register

    @property
    def cron_entries(self) -> list[CronEntry]:
        """The cron entries, in the settings' time zone where they name none."""
        place = zone(self.settings.scheduler.timezone)
        return [
            CronEntry(each.name, each.expression, place, each.catch_up)
            if isinstance(each, _Unplaced)
            else each
            for each in self._cron
        ]

    def cron_record(self, entry: CronEntry, tick: float) -> Record:
        """Return the job of a tick; its id says which, so that it exists once."""
        moment = datetime.fromtimestamp(tick, entry.place).isoformat()
        options = JobOptions(id=f"cron:{entry.name}:{moment}"[:200])
        return self._record(entry.name, {"scheduled_at": moment}, options)

    # -- enqueuing ---------------------------------------------------------------------------

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
        own = {"priority": priority, "delay": _seconds(delay), "max_attempts": max_attempts, **kw}
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
        chosen = options or JobOptions(**given)
        if chosen.on_duplicate not in {"raise", "return"}:
            raise ConfigurationError(
                f"on_duplicate must be 'raise' or 'return', not {chosen.on_duplicate!r}"
            )
        return self._record(name, data, chosen, run_at), chosen

    def _record(
        self, name: str, data: Any, options: JobOptions, run_at: float | None = None
    ) -> Record:
        return make_record(
            name,
            {} if data is None else data,
            options,
            settings=self.settings,
            handler=self.handlers.known.get(name),
            new_id=self._new_id,
            run_at=run_at,
        )

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
        prepared = [self._prepare(each[0], each[1], {}, _third(each)) for each in jobs]
        return await self._enqueue_many(prepared)

    @at_home
    async def _enqueue_many(self, prepared: Sequence[tuple[Record, JobOptions]]) -> list[Job]:
        made: list[Job] = []
        for start in range(0, len(prepared), 1000):
            part = prepared[start : start + 1000]
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

    # -- asking and steering -----------------------------------------------------------------

    @at_home
    async def get_job(self, job_id: str) -> Job | None:
        """Return a job, or None."""
        record = await self.broker.get(job_id)
        return None if record is None else to_job(record)

    @at_home
    async def get_jobs(
        self, filters: JobFilters | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Job]:
        """Return jobs, newest first; ``.next_cursor`` of the page leads to the next.

        Raises:
            ConfigurationError: ``limit`` is not between 1 and 1,000, or ``cursor`` is not ours.
        """
        check_number(limit, "limit", 1, 1000)
        if cursor is not None and not cursor.isdecimal():
            raise ConfigurationError(f"not a cursor: {cursor[:40]!r}")
        page = await self.broker.list_jobs(filters or JobFilters(), limit, cursor)
        return Page.of([to_job(record) for record in page], page.next_cursor)

    @at_home
    async def cancel_job(self, job_id: str) -> bool:
        """Cancel a job that has not ended, also while it runs in any process.

        The handler is told at its worker's next step or heartbeat: its task is cancelled,
        ``ctx.cancelled`` becomes true in a thread, a process is killed.

        Returns:
            Whether it was cancelled: True means that it will not complete.
        """
        return await self.broker.change(job_id, JobStatus.CANCELLED)

    @at_home
    async def retry_job(self, job_id: str) -> bool:
        """Make a failed or cancelled job pending again under its id, attempts from 0."""
        return await self.broker.change(job_id, JobStatus.PENDING)

    @at_home
    async def requeue_failed(self, name: str | None = None, queue: str | None = None) -> int:
        """Retry all dead letters (of one name, of one queue); return how many."""
        filters, count, cursor = (
            JobFilters(name=name, queue=queue, status=JobStatus.FAILED),
            0,
            None,
        )
        while True:
            page = await self.broker.list_jobs(filters, 500, cursor)
            for record in page:
                count += await self.broker.change(record.id, JobStatus.PENDING)
            if (cursor := page.next_cursor) is None:
                return count

    @at_home
    async def remove_job(self, job_id: str) -> bool:
        """Delete a job that no worker runs; return whether one was deleted."""
        return await self.broker.remove([job_id]) == 1

    @at_home
    async def purge(
        self,
        status: JobStatus | Sequence[JobStatus] = (JobStatus.COMPLETED, JobStatus.CANCELLED),
        older_than: float | timedelta = 0.0,
    ) -> int:
        """Delete ended jobs, and those whose ``result_ttl`` is over; return how many.

        Args:
            status: Which: completed and cancelled ones.
            older_than: Only those that ended so many seconds ago or earlier.

        Raises:
            ConfigurationError: A status is not final.
        """
        statuses = JobFilters(status=status).statuses
        if bad := [each for each in statuses if each not in _FINAL]:
            raise ConfigurationError(f"only ended jobs can be purged, not {str(bad[0])!r} ones")
        before = self.clock.time() - (_seconds(older_than) or 0.0)
        count = 0
        while deleted := await self.broker.purge(statuses, before, 500):
            count += deleted
        return count

    @at_home
    async def pause(self, queue: str = "default") -> None:
        """Hand out no more jobs of ``queue``, in any worker; running ones go on."""
        await self.broker.set_paused(check_name(queue, "queue"), paused=True)

    @at_home
    async def resume(self, queue: str = "default") -> None:
        """Undo :meth:`pause`."""
        await self.broker.set_paused(check_name(queue, "queue"), paused=False)

    @at_home
    async def get_stats(self, queue: str | None = None) -> QueueStats:
        """Return the figures of one queue, or of all."""
        return await self.broker.stats(queue)

    @at_home
    async def wait(self, job_id: str, timeout: float | timedelta | None = None) -> Job:
        """Return the job once it has ended.

        Args:
            job_id: Which job.
            timeout: Seconds; None waits without limit.

        Raises:
            JobNotFound: There is no such job (any more).
            TimeoutError: It has not ended in time.
        """
        async with asyncio.timeout(_seconds(timeout)):
            pause = 0.005
            while True:
                record = await self.broker.get(job_id)
                if record is None:
                    raise JobNotFound(f"no job {job_id!r}; it may have been purged")
                if record.status.is_final:
                    return to_job(record)
                await asyncio.sleep(pause)
                pause = min(0.25, pause * 1.5)

    async def result(self, job_id: str, timeout: float | timedelta | None = None) -> Any:
        """Return what the handler returned, once it has.

        Raises:
            JobFailed: It failed for good; the exception carries the job.
            JobCancelled: It was cancelled.
            JobNotFound: There is no such job.
            TimeoutError: It has not ended in time.
        """
        job = await self.wait(job_id, timeout)
        if job.status is JobStatus.FAILED:
            raise JobFailed(
                job, f"job {job.id!r} failed: {(job.error or '').partition(chr(10))[0]}"
            )
        if job.status is JobStatus.CANCELLED:
            raise JobCancelled(job, f"job {job.id!r} was cancelled")
        return job.result

    @at_home
    async def run_until_idle(self, advance: float | timedelta = 0.0) -> None:
        """Run here what is due, and what becomes due within ``advance`` seconds, without waiting.

        For tests: delays, retries and cron happen as time is moved on to the moment of each.
        """
        left = _seconds(advance) or 0.0
        entries = self.cron_entries
        while True:
            due = await Worker(self).run_until_idle()
            ticks = await self._cron_turn(entries)
            if ticks is not None and ticks <= 0:
                continue
            waits = [each for each in (due, ticks) if each is not None]
            if not waits or min(waits) > left:
                break
            await self.clock.advance(min(waits) + 1e-6)
            left -= min(waits)
        await self.clock.advance(max(0.0, left))

    async def _cron_turn(self, entries: Sequence[CronEntry]) -> float | None:
        from .worker.scheduler import Scheduler

        if not entries:
            return None
        before = await self.broker.stats(None)
        wait = await Scheduler(self.broker, entries, self.cron_record, self.clock).turn()
        after = await self.broker.stats(None)
        return 0.0 if after.pending > before.pending else wait


class _Unplaced(CronEntry):
    """An entry whose zone the settings decide."""


def _seconds(value: float | timedelta | None) -> float | None:
    return value.total_seconds() if isinstance(value, timedelta) else value


def _third(job: tuple[Any, ...]) -> JobOptions | None:
    return job[2] if len(job) > 2 else None
