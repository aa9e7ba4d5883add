"""From settings to a broker, and what every part of the service needs."""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, Self

import msgspec

from .._common.clock import Clock, NewId, SystemClock
from .._common.home import at_home
from .._common.lifecycle import Adapter, Service, part
from ..checks import check_name
from ..clocks import WarpClock, ordered_id
from ..drafting import Drafting
from ..handlers import Handlers
from ..middleware import Middleware
from ..models import JobOptions
from ..ports import Broker, Outbox, Record
from ..registry import broker_from_url, outbox_from_url
from ..settings import Settings
from ..worker import Worker
from ..worker.scheduler import CronEntry
from .coalescing import Coalescer


class ServiceBase(Service[Settings, Broker]):
    """A configured queue with its broker."""

    settings_type = Settings
    durable_example = "sqlite:///jobs.db"

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        broker: Broker | None = None,
        middleware: Sequence[Middleware] = (),
        clock: Clock | None = None,
        new_id: NewId = ordered_id,
        redact: Callable[[str], str] | None = None,
    ) -> None:
        """Make a queue; no I/O.

        Args:
            settings: How it works; found in the environment at the first operation if None.
            broker: A ready broker, in place of the one that the settings name.
            middleware: Around every job, outermost first; :attr:`middleware` may be changed.
            clock: Moved by ``run_until_idle``.
            new_id: Makes the ids of jobs.
            redact: Returns the text to store of an error with its traceback, without what nobody
                shall read; for workers.

        Raises:
            ConfigurationError: What was given is no such part.
        """
        super().__init__(settings)
        self.clock = WarpClock(clock or SystemClock())
        self._given = part("broker", broker, Broker)
        self._new_id, self.redact = new_id, redact
        self.middleware = [part("each of middleware", each, Middleware) for each in middleware]
        self._outbox: Outbox | None = None
        self.handlers = Handlers()
        self._drafting = Drafting()
        self._cron: list[CronEntry] = []
        self.running: set[Worker] = set()
        self._coalescer = Coalescer(lambda: self.broker)

    @classmethod
    def from_url(
        cls, url: str, *, store: str | None = None, outbox: str | None = None, **kwargs: Any
    ) -> Self:
        """Return a queue on the broker of ``url``: ``memory://``, ``sqlite:///jobs.db``, ….

        Args:
            url: The broker.
            store: The database or Redis that keeps the jobs of a ``celery+…`` broker.
            outbox: The database for ``enqueue(session=…)`` where the broker is none.
            kwargs: As for the constructor.

        Raises:
            ConfigurationError: The URL has no scheme. Whether the scheme is known turns out at the
                first operation.
        """
        settings = Settings.from_url(url)
        broker = msgspec.structs.replace(settings.broker, store=store, outbox=outbox)
        return cls(msgspec.structs.replace(settings, broker=broker), **kwargs)

    @property
    def broker(self) -> Broker:
        """The broker in use."""
        return self._parts

    @property
    def outbox(self) -> Outbox | None:
        """Where ``enqueue(session=…)`` leaves jobs for a broker that is no database."""
        _ = self.broker
        return self._outbox

    def _is_volatile(self) -> bool:
        return self._given is None

    def _build(self, settings: Settings) -> Broker:
        if (url := settings.broker.outbox) is not None:
            self._outbox = outbox_from_url(url)
        if self._given is not None:
            return self._given
        return broker_from_url(settings.broker.url(), store=settings.broker.store, clock=self.clock)

    def _adapters(self, parts: Broker) -> Iterable[Adapter]:
        return (parts,) if self._outbox is None else (parts, self._outbox)

    def _moved(self) -> None:
        super()._moved()
        self._coalescer.detach()

    async def _closing(self) -> None:
        await super()._closing()
        await self._coalescer.drain()

    @at_home
    async def opened(self) -> None:
        """Settle the settings and this loop as home. For workers."""
        _ = self.broker

    @at_home
    async def setup(self) -> None:
        """Create or upgrade the tables of broker and outbox (servers; embedded ones do it)."""
        await self.broker.setup()
        if self.outbox is not None:
            await self.outbox.setup()

    def _record(
        self, name: Any, data: Any, options: JobOptions, headers: str, new_id: NewId
    ) -> Record:
        if not isinstance(name, str):  # it may not even be a key of what is known by name
            check_name(name, "a job's name")
        return self._drafting.make(
            name,
            {} if data is None else data,
            options,
            self.settings,
            self.handlers.known.get(name),
            new_id,
            headers,
        )


def seconds(value: float | timedelta | None) -> float | None:
    """Return a length of time as seconds."""
    return value.total_seconds() if isinstance(value, timedelta) else value
