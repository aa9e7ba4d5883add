"""The way to the server: collections with their indexes, transactions, errors translated."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeVar

from ..._common.mongo import Translated, connect, database_of, transaction
from ..._common.urls import query_of, redact, without_query
from ...errors import BackendError, ConfigurationError
from ...ports import NotificationStore
from .documents import INDEXES

T = TypeVar("T")
_DIST = "notify"
_DATABASE = "notifications"
_OPTIONS = frozenset({"timeout"})


class MongoBase(NotificationStore):
    """A client and the collections of one store."""

    def __init__(
        self,
        url: str,
        *,
        collection: str = "notifications",
        timeout: float = 10.0,
        client: Callable[[], Any] | None = None,
    ) -> None:
        """Keep notifications at ``mongodb://host/database``; the first call connects.

        Args:
            url: The servers, a replica set; the database is ``notifications`` unless it names one.
            collection: The notifications'; the others' names begin with it.
            timeout: Seconds within which each call ends.
            client: Makes the client, in place of what the URL says.

        Raises:
            MissingExtraError: The library is not installed.
        """
        self.url, self._name, self._timeout = url, collection, timeout
        self._make = client or (lambda: connect(url, dist=_DIST, timeout=timeout))
        self._faults = Translated(url, BackendError, dist=_DIST)
        self._client: Any = None
        self._ready, self._setup = False, asyncio.Lock()

    @classmethod
    def from_url(cls, url: str, *, table: str = "notifications") -> Self:
        """Return a store for ``mongodb://…/database?timeout=10``; the rest is pymongo's.

        Raises:
            ConfigurationError: ``timeout`` is no number of seconds from 0.1 to 3600.
        """
        options = query_of(url)
        try:
            timeout = float(options.get("timeout", "10"))
        except ValueError:
            timeout = 0.0
        if not 0.1 <= timeout <= 3600:
            raise ConfigurationError(f"timeout in {redact(url)} must be 0.1 to 3600 seconds")
        rest = without_query(url, *_OPTIONS) if options else url
        return cls(rest, collection=table, timeout=timeout)

    def _of(self, rest: str = "") -> Any:
        """Return a collection, by the rest of its name."""
        return self._client[database_of(self.url, _DATABASE)][f"{self._name}{rest}"]

    async def _open(self) -> None:
        if self._client is None:
            self._client = self._make()
        if self._ready:
            return
        async with self._setup:  # two at once make them twice, which changes nothing
            for rest, indexes in INDEXES.items():
                for name, keys in indexes.items():
                    await self._of(rest).create_index(list(keys), name=name)
            self._ready = True

    async def _ask(self, work: Callable[[], Awaitable[T]]) -> T:
        """Await what only reads, or changes one document."""
        with self._faults:
            await self._open()
            return await work()

    async def _change(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Await ``work(session)`` in a transaction; again where the server undid it."""
        with self._faults:
            await self._open()
            return await transaction(self._client, work)

    async def setup(self) -> None:
        """Make the indexes."""
        with self._faults:
            await self._open()

    async def aclose(self) -> None:
        """Disconnect; a later call connects again."""
        client, self._client = self._client, None
        self._ready = False
        if client is not None:
            await client.close()

    def detach(self) -> None:
        """Forget the client, whose connections belong to another event loop or process."""
        self._client, self._ready, self._setup = None, False, asyncio.Lock()
