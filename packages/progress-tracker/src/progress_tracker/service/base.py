"""What all parts of the tracker stand on: construction, adapters, tables, close."""

import asyncio
from collections.abc import Iterable
from typing import Any, Self

from .._common.clock import Clock, NewId, SystemClock, new_id
from .._common.home import at_home
from .._common.lifecycle import Adapter, Service, part
from ..handle.background import BACKGROUND
from ..models import ProgressOptions
from ..ports import Backplane, ProgressStore, Record
from ..rules.creation import new_record
from ..settings import Settings
from ..storing.operations import Counters
from .parts import Parts, build


class TrackerBase(Service[Settings, Parts]):
    """Construction, configuration and close."""

    settings_type = Settings
    durable_example = "sqlite:///progress.db"

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        store: ProgressStore | None = None,
        backplane: Backplane | None = None,
        clock: Clock | None = None,
        new_id: NewId = new_id,
    ) -> None:
        """Make a tracker; no I/O.

        Args:
            settings: How it works; found in the environment at the first operation if None.
            store: A ready store, in place of the one that the settings name.
            backplane: A ready backplane, likewise.
            clock: Decides timestamps, leases and retention.
            new_id: Makes the ids of operations.

        Raises:
            ConfigurationError: What was given is no such part.
        """
        super().__init__(settings)
        self.clock = clock or SystemClock()
        self._given = part("store", store, ProgressStore), part("backplane", backplane, Backplane)
        self._new_id = new_id
        self._counters = Counters()
        self._swept_at: float | None = None

    @classmethod
    def from_url(cls, url: str, **kwargs: Any) -> Self:
        """Return a tracker on the store of ``url``: ``memory://``, ``sqlite:///progress.db``.

        Raises:
            ConfigurationError: The URL has no scheme. Whether the scheme is known turns out at the
                first operation.
        """
        return cls(Settings.from_url(url), **kwargs)

    def _is_volatile(self) -> bool:
        return self._given[0] is None

    def _build(self, settings: Settings) -> Parts:
        store, backplane = self._given
        return build(
            settings,
            store=store,
            backplane=backplane,
            clock=self.clock,
            counters=self._counters,
            make_record=self._record,
            spawn=self._spawn,
        )

    def _adapters(self, parts: Parts) -> Iterable[Adapter]:
        return [each for each in (parts.backplane, parts.store) if each is not None]

    def _moved(self) -> None:
        super()._moved()
        if self._built is not None:
            self._built.topics.reset()
            self._built.kept.reset()

    async def _closing(self) -> None:
        parts = self._parts
        await parts.kept.close()
        if parts.flusher.is_used:
            await asyncio.shield(asyncio.wrap_future(BACKGROUND.submit(parts.flusher.aclose())))
        parts.topics.close()
        self._swept_at = None

    @property
    def store(self) -> ProgressStore:
        """The store in use."""
        return self._parts.store

    @at_home
    async def setup(self) -> None:
        """Create or upgrade the store's tables (servers; embedded stores do it themselves)."""
        await self._parts.store.setup()

    def schema_sql(self) -> str:
        """Return the store's tables as SQL; empty where it has none."""
        return self._parts.store.schema_sql()

    def _record(self, options: ProgressOptions) -> Record:
        return new_record(options, new_id=self._new_id, stale_after=self.settings.stale_after)
