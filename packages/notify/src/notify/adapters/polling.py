"""A doorbell that watches a SQL database for what other processes write."""

import asyncio
from collections.abc import Callable, Collection

from .._common.clock import Clock, SystemClock
from .._common.sql import Database
from .._common.sqlite import CHANGES
from .._common.urls import scheme_of
from ..errors import BackendError
from ..ports import (
    Backplane,
    Capabilities,
)
from . import sql_tables as sql

_LOOK = 0.05
_SLOW_LOOK = 0.5


class PollingBackplane(Backplane):
    """Rings for whatever other processes write into the database; publishes nothing itself.

    SQLite tells by ``PRAGMA data_version``, a look at shared memory, twenty times a second; on
    servers listeners look at their own feeds twice a second. Only while somebody listens.
    """

    capabilities = Capabilities(shared=True)

    def __init__(
        self, url: str, *, table: str = "notifications", clock: Clock | None = None
    ) -> None:
        """Watch the database of ``url``, whose tables a store of the same ``table`` made."""
        self._clock = clock or SystemClock()
        self._db: Database | None = None
        if scheme_of(url).partition("+")[0] == "sqlite":
            self._db = Database(url, sql.schema_of(table), dist="notify", fault=BackendError)

    async def publish(self, users: Collection[str]) -> None:
        """Do nothing: the stored change is the ring."""

    async def listen(self, heard: Callable[[Collection[str] | None], None]) -> None:
        seen = -1
        while True:
            if self._db is None:
                await self._clock.sleep(_SLOW_LOOK)
                heard(None)
                continue
            version = int((await self._db.fetch(CHANGES))[0][0])
            if version != seen:
                seen = version
                heard(None)
            await asyncio.sleep(_LOOK)

    async def aclose(self) -> None:
        if self._db is not None:
            await self._db.aclose()

    def detach(self) -> None:
        if self._db is not None:
            self._db.detach()
