"""A stand-in for a MongoDB server: mongomock behind the calls of pymongo's asynchronous client.

It knows what the store asks for and nothing more: queries and updates are mongomock's, a
transaction keeps everybody else out and is rolled back by an exception.
"""

import asyncio
import contextlib
import copy
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self

import mongomock


class StandIn:
    """What several clients talk to."""

    def __init__(self) -> None:
        self.client = mongomock.MongoClient()
        self.lock = asyncio.Lock()
        self.commits = 0

    def connect(self) -> "Client":
        """Return another client."""
        return Client(self)


class Client:
    """A client of one event loop."""

    def __init__(self, server: StandIn) -> None:
        self.server = server

    def __getitem__(self, database: str) -> "dict[str, Collection]":
        server = self.server

        class Database(dict[str, Collection]):
            def __missing__(self, name: str) -> Collection:
                return Collection(server, server.client[database][name])

        return Database()

    def start_session(self) -> "Session":
        return Session(self.server)

    async def close(self) -> None:
        """Nothing is open."""


class Session:
    def __init__(self, server: StandIn) -> None:
        self._server = server

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""

    async def with_transaction(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        async with self._server.lock:
            before = copy.deepcopy(_contents(self._server.client))
            try:
                made = await work(self)
            except BaseException:
                _restore(self._server.client, before)
                raise
            self._server.commits += 1
            return made


class Collection:
    def __init__(self, server: StandIn, inner: Any) -> None:
        self._server, self._inner = server, inner

    def find(self, *args: Any, session: Any = None) -> "Cursor":
        return Cursor(self, session, self._inner.find(*args))

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._inner, name)

        async def call(*args: Any, session: Any = None, **options: Any) -> Any:
            async with self.turn(session):
                return method(*args, **options)

        return call

    @contextlib.asynccontextmanager
    async def turn(self, session: Any) -> AsyncIterator[None]:
        """Wait for the end of a transaction, unless it is ours."""
        if session is not None:
            await asyncio.sleep(0)
            yield
            return
        async with self._server.lock:
            yield
        await asyncio.sleep(0)


class Cursor:
    def __init__(self, owner: Collection, session: Any, inner: Any) -> None:
        self._owner, self._session, self._inner = owner, session, inner

    def sort(self, *args: Any) -> Self:
        self._inner = self._inner.sort(*args)
        return self

    def limit(self, count: int) -> Self:
        self._inner = self._inner.limit(count)
        return self

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        async with self._owner.turn(self._session):
            found = list(self._inner)
        for each in found:
            yield each


def _contents(client: Any) -> dict[tuple[str, str], list[dict[str, Any]]]:
    return {
        (name, collection): list(client[name][collection].find())
        for name in client.list_database_names()
        for collection in client[name].list_collection_names()
    }


def _restore(client: Any, before: dict[tuple[str, str], list[dict[str, Any]]]) -> None:
    # those that the transaction brought into being, too
    for name, collection in _contents(client) | before:
        client[name][collection].delete_many({})
        if docs := before.get((name, collection)):
            client[name][collection].insert_many(docs)
