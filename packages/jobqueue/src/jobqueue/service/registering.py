"""Handlers and cron entries: what a process knows how to run."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from ..checks import check_handler_options, check_name
from ..drafting import make_headers
from ..errors import ConfigurationError
from ..handlers import Handler, inspect_handler
from ..limits import Rate, make_limit
from ..models import Backoff, JobOptions, RunIn
from ..ports import Record
from ..settings import zone
from ..worker.scheduler import CatchUp, CronEntry
from .base import ServiceBase, seconds

_MAX_CRON_NAME = 150
F = TypeVar("F", bound=Callable[..., Any])


class Registering(ServiceBase):
    """Registers what runs jobs."""

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
        concurrency: int | None = None,
        rate_limit: Rate | None = None,
        limit_by: Callable[[Any], Any] | None = None,
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
            max_attempts: Runs before a job is failed; the settings' (3) if None. Like the other
                defaults of jobs it holds for what is enqueued by processes that know the handler.
            backoff: ``Retry``, ``"fixed"``, ``"exponential"``, or attempt -> seconds.
            timeout: Seconds that one attempt may run; the settings' (300) if None.
            retry_on: Retry only these exceptions (and timeouts); all if empty.
            unique: Refuse a job while an equal one has not ended.
            concurrency: How many of these jobs run at once, over all workers.
            rate_limit: How many begin within any period, over all workers: ``"100/m"``,
                ``"5/10s"``, ``(100, 60.0)``.
            limit_by: Counts both limits apart for each key that it returns for a job's data. It
                runs where jobs are enqueued; callers that have no handlers pass ``limit_key``.
            result_ttl: Seconds that completed jobs are kept; the settings' (7 days) if None; 0
                keeps none.
            run_in: ``"loop"`` (``async def``), ``"thread"`` (``def``) or ``"process"``.
            queue_name: Another word for ``name``.

        Raises:
            ConfigurationError: The name is taken, an option is wrong, or the function cannot be a
                handler.
        """
        if callable(name):
            raise ConfigurationError(
                "@queue.worker takes the job's name: write @queue.worker('thumbnail'), or "
                "@queue.worker() for jobs called 'default'"
            )
        chosen = check_name(queue_name if queue_name is not None else name, "a job's name")
        limit, kept = seconds(timeout), seconds(result_ttl)
        check_handler_options(max_attempts, backoff, limit, retry_on, kept)
        bound = make_limit(concurrency, rate_limit)
        if limit_by is not None and (bound is None or not callable(limit_by)):
            raise ConfigurationError(
                "limit_by must be a function, beside concurrency or rate_limit"
            )

        def register(function: F) -> F:
            self.handlers.add(
                Handler(
                    name=chosen,
                    function=function,
                    **inspect_handler(function, run_in),
                    queue=None if queue is None else check_name(queue, "queue"),
                    max_attempts=max_attempts,
                    backoff=backoff,
                    timeout=limit,
                    retry_on=tuple(retry_on),
                    unique=unique,
                    result_ttl=kept,
                    limit=bound,
                    limit_by=limit_by,
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
        name = entry.name
        if len(name) > _MAX_CRON_NAME:  # the tick must stay whole: it tells the ids apart
            digest = hashlib.sha256(name.encode()).hexdigest()
            name = f"{name[: _MAX_CRON_NAME - len(digest)]}{digest}"
        options = JobOptions(id=f"cron:{name}:{moment}")
        data = {"scheduled_at": moment}
        return self._record(entry.name, data, options, make_headers(), self._new_id)


class _Unplaced(CronEntry):
    """An entry whose zone the settings decide."""
