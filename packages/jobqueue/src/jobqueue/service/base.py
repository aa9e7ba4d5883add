"""From settings to a broker, and what every part of the service needs."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Self

from .._common.clock import Clock, NewId, SystemClock, new_id
from .._common.home import at_home
from .._common.lifecycle import Adapter, Service
from ..clocks import WarpClock
from ..handlers import Handlers
from ..models import JobOptions
from ..ports import Broker, Record
from ..records import make_record
from ..registry import broker_from_url
from ..settings import Settings
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
        """Create or upgrade the broker's tables (servers; embedded brokers do it themselves)."""
        await self.broker.setup()

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


def seconds(value: float | timedelta | None) -> float | None:
    """Return a length of time as seconds."""
    return value.total_seconds() if isinstance(value, timedelta) else value
