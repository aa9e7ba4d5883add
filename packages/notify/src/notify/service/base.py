"""What every part of the service stands on: construction, configuration, closing."""

import asyncio
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from .._common.clock import Clock, NewId, SystemClock, new_id
from .._common.home import at_home
from .._common.lifecycle import Adapter, Service, part
from ..errors import ConfigurationError, NotificationNotFound
from ..ports import Backplane, Channel, NotificationStore, RecipientDirectory
from ..settings import Settings
from ..subscribing import Subscriptions

if TYPE_CHECKING:
    # at run time with the first operation: importing the package stays cheap
    from ..assembly import Assembled
    from ..delivery import Worker


class ServiceBase(Service[Settings, "Assembled"]):
    """Construction, configuration, and what is left behind on closing."""

    settings_type = Settings
    durable_example = "sqlite:///notifications.db"

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        store: NotificationStore | None = None,
        backplane: Backplane | None = None,
        channels: Sequence[Channel] = (),
        directory: RecipientDirectory | None = None,
        clock: Clock | None = None,
        new_id: NewId = new_id,
        rng: random.Random | None = None,
    ) -> None:
        """Make a service; no I/O.

        Args:
            settings: How it works; found in the environment at the first operation if None.
            store: A ready store, in place of the one that the settings name.
            backplane: A ready backplane; the one that fits the store if None.
            channels: Ready channels, before those of the settings; several of one name are tried
                in order.
            directory: Where users are reached; nobody is, if None.
            clock: Decides when things are due.
            new_id: Makes the ids of deliveries.
            rng: Jitter of retries.

        Raises:
            ConfigurationError: What was given is no such part.
        """
        super().__init__(settings)
        self.clock = clock or SystemClock()
        self._given = (
            part("store", store, NotificationStore),
            part("backplane", backplane, Backplane),
        )
        self._own_parts = (
            tuple(part("each of channels", each, Channel) for each in channels),
            part("directory", directory, RecipientDirectory),
        )
        self._channels, self._directory = self._own_parts
        self._new_id, self._rng = new_id, rng or random.Random()
        self._subscriptions = Subscriptions(self.clock)
        self._worker: Worker | None = None
        self._workers: set[Worker] = set()
        self._settled = asyncio.Event()
        self._next_upkeep = 0.0
        self._sent, self._latency = 0, 0.0
        self._wishes: dict[str, bytes] = {}
        self._calls = self._failures = 0
        self._listening = False

    @classmethod
    def from_url(cls, url: str, **kwargs: Any) -> Self:
        """Return a service on the store of ``url``: ``memory://``, ``sqlite:///n.db``.

        Args:
            url: The store.
            kwargs: As for the constructor: ``channels=[…]``, ``directory=…``.

        Raises:
            ConfigurationError: The URL has no scheme. Whether the scheme is known turns out at the
                first operation.
        """
        return cls(Settings.from_url(url), **kwargs)

    def configure(
        self,
        settings: Settings | Mapping[str, Any] | str | None = None,
        *,
        channels: Sequence[Channel] | None = None,
        directory: RecipientDirectory | None = None,
    ) -> None:
        """Set the configuration, before the first operation.

        Args:
            settings: The package's ``Settings``, a mapping as in its YAML, or a URL; as it is if
                None.
            channels: As for the constructor; as they are if None.
            directory: As for the constructor; as it is if None.

        Raises:
            ConfigurationError: The settings are wrong, or the instance is in use.
        """
        if self._built is not None:
            raise ConfigurationError("configure() comes before the first operation; aclose() first")
        given = tuple(part("each of channels", each, Channel) for each in channels or ())
        part("directory", directory, RecipientDirectory)
        if settings is not None:
            super().configure(settings)
        self._channels = self._channels if channels is None else given
        self._directory = self._directory if directory is None else directory

    def _is_volatile(self) -> bool:
        return self._given[0] is None

    def _build(self, settings: Settings) -> "Assembled":
        from ..assembly import assemble

        return assemble(
            settings,
            store=self._given[0],
            backplane=self._given[1],
            channels=self._channels,
            directory=self._directory,
            clock=self.clock,
            rng=self._rng,
            new_id=self._new_id,
        )

    def _adapters(self, parts: "Assembled") -> Iterable[Adapter]:
        return parts.adapters

    @property
    def store(self) -> NotificationStore:
        """The store in use."""
        return self._parts.store

    @at_home
    async def setup(self) -> None:
        """Create or upgrade the store's tables (servers; embedded stores do it themselves)."""
        await self.store.setup()

    def _moved(self) -> None:
        self._forget_home()
        if self._built is not None:
            self._built.reset_feeds()
        super()._moved()

    def _forget_home(self) -> None:
        self._worker, self._workers, self._listening = None, set(), False
        self._wishes.clear()
        self._settled = asyncio.Event()

    @at_home
    async def aclose(self) -> None:
        """Deliver what is due, disconnect, return to the state after construction. Idempotent."""
        self._subscriptions.close()
        await super().aclose()

    async def _closing(self) -> None:
        self._parts.feeds.close()
        # also those of run(): a worker that went on would open the store again
        seconds, workers = self.settings.shutdown_timeout, list(self._workers)
        await asyncio.gather(*(each.drain(seconds) for each in workers))
        self._forget_home()
        self._channels, self._directory = self._own_parts


def not_found(notification_id: object) -> NotificationNotFound:
    """Return what is raised where a user has no notification of this id."""
    return NotificationNotFound(f"no notification {str(notification_id)[:60]!r} of this user")
