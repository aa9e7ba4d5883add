"""A shared level in a SQLite file, for the processes of one machine, and its polling backplane."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from .._common.clock import Clock, SystemClock, new_id
from .._common.sqlite import CHANGES, SqliteLane
from .._common.sqlite_schema import prepare_tables
from .._common.urls import file_path, query_of, redact, without_query
from ..errors import BackendError
from ..ports import (
    FENCE_LIFE,
    LATEST,
    Backplane,
    Capabilities,
    Message,
    Read,
    RemoteTier,
    TagVersion,
    Write,
)

T = TypeVar("T")
_FORMAT = 1
_ESCAPED = str.maketrans({char: f"[{char}]" for char in "*?["})
_EVENT_LIFE = 60.0
_SWEEP_EVERY = 256
_SCHEMA = """
CREATE TABLE IF NOT EXISTS cache_values (
    key TEXT PRIMARY KEY, data BLOB NOT NULL, expires REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS cache_expiry ON cache_values (expires);
CREATE TABLE IF NOT EXISTS cache_fences (
    key TEXT PRIMARY KEY, fence INTEGER NOT NULL, expires REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cache_tags (
    tag TEXT PRIMARY KEY, version INTEGER NOT NULL, hard INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cache_events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, node TEXT NOT NULL,
    at REAL NOT NULL, body BLOB NOT NULL)
"""
_FENCE = (
    "INSERT INTO cache_fences VALUES (?, ?, ?) ON CONFLICT (key) "
    "DO UPDATE SET fence = max(fence + 1, excluded.fence), expires = excluded.expires"
)
_encode = msgspec.msgpack.Encoder().encode


class _File:
    """The file, opened and checked at the first call."""

    def __init__(self, url: str) -> None:
        self.url = url
        path = file_path(without_query(url))
        self._lane = SqliteLane(path, synchronous="NORMAL", busy_timeout=2.0)
        self._checked: sqlite3.Connection | None = None

    async def call(self, use: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._lane.call(lambda link: use(self._check(link)))
        except (sqlite3.Error, OSError) as exc:
            text = f"{redact(self.url)}: {type(exc).__name__}: {exc}"
            raise BackendError(text, retryable="locked" in str(exc)) from exc

    async def transact(self, use: Callable[[sqlite3.Connection], T]) -> T:
        def work(link: sqlite3.Connection) -> T:
            link.execute("BEGIN IMMEDIATE")
            try:
                result = use(link)
                link.execute("COMMIT")
            except BaseException:
                if link.in_transaction:
                    link.execute("ROLLBACK")
                raise
            return result

        return await self.call(work)

    def _check(self, link: sqlite3.Connection) -> sqlite3.Connection:
        if self._checked is not link:
            prepare_tables(link, "cache", _FORMAT, _SCHEMA)
            self._checked = link
        return link

    async def aclose(self) -> None:
        self._checked = None
        await self._lane.aclose()

    def detach(self) -> None:
        self._checked = None
        self._lane.detach()


class SQLiteTier(RemoteTier):
    """Values in a SQLite file in WAL mode. A call is one hop to the driver's thread."""

    capabilities = Capabilities(shared=True, durable=True)

    def __init__(self, url: str, *, key_prefix: str = "cache:", clock: Clock | None = None) -> None:
        """Use the file of ``sqlite:///relative.db`` or ``sqlite:////absolute.db``.

        Args:
            url: The file.
            key_prefix: Before every key and tag: caches with different ones may share a file.
            clock: Gives the time of expiry and of versions.
        """
        query_of(url, allowed=frozenset())
        self._file, self._prefix, self._clock = _File(url), key_prefix, clock or SystemClock()
        self._writes = 0

    async def read(self, keys: Sequence[str], tags: Sequence[str]) -> Read:
        now = self._clock.time()

        def work(link: sqlite3.Connection) -> Read:
            values, fences, versions = {}, {}, dict[str, TagVersion]()
            for key in keys:
                name = self._prefix + key
                row = link.execute(
                    "SELECT data FROM cache_values WHERE key = ? AND expires > ?", (name, now)
                ).fetchone()
                if row is not None:
                    values[key] = row[0]
                fences[key] = _fence(link, name, now)
            for tag in tags:
                versions[tag] = self._version(link, tag, now)
            return Read(values, fences, versions)

        return await self._file.call(work)

    def _version(self, link: sqlite3.Connection, tag: str, now: float) -> TagVersion:
        query, seed = "SELECT version, hard FROM cache_tags WHERE tag = ?", int(now * 1e6)
        if (row := link.execute(query, (self._prefix + tag,)).fetchone()) is not None:
            return TagVersion(*row)
        if tag != LATEST:
            # never bumped: beside the highest version stands the one of the beginning
            began = self._version(link, LATEST, now).hard
            return TagVersion(began, began)
        first = (self._prefix + LATEST, seed, seed)
        link.execute("INSERT INTO cache_tags VALUES (?, ?, ?) ON CONFLICT DO NOTHING", first)
        return TagVersion(*link.execute(query, first[:1]).fetchone())

    async def write(self, items: Sequence[Write]) -> Sequence[bool]:
        now = self._clock.time()

        def work(link: sqlite3.Connection) -> list[bool]:
            self._sweep(link, now, len(items))
            return [_write(link, self._prefix + item.key, item, now) for item in items]

        return await self._file.transact(work)

    def _sweep(self, link: sqlite3.Connection, now: float, count: int) -> None:
        self._writes += count
        if self._writes >= _SWEEP_EVERY:
            self._writes = 0
            for table in ("cache_values", "cache_fences"):
                link.execute(f"DELETE FROM {table} WHERE expires <= ?", (now,))  # noqa: S608  own names

    async def delete(self, keys: Sequence[str]) -> int:
        now = self._clock.time()
        names = [self._prefix + key for key in keys]
        return await self._file.transact(lambda link: _delete(link, names, now))

    async def bump(self, tags: Sequence[str], *, soft: bool = False) -> Mapping[str, TagVersion]:
        now = self._clock.time()

        def work(link: sqlite3.Connection) -> dict[str, TagVersion]:
            made: dict[str, TagVersion] = {}
            for tag in tags:
                last, old = self._version(link, LATEST, now), self._version(link, tag, now)
                version = max(int(now * 1e6), last.version + 1)
                made[tag] = TagVersion(version, old.hard if soft else version)
                news = {tag: made[tag], LATEST: TagVersion(version, last.hard)}
                rows = [(self._prefix + name, *value) for name, value in news.items()]
                link.executemany("REPLACE INTO cache_tags VALUES (?, ?, ?)", rows)
            return made

        return await self._file.transact(work)

    async def delete_pattern(self, pattern: str) -> int:
        now = self._clock.time()

        def work(link: sqlite3.Connection) -> int:
            query = "SELECT key FROM cache_values WHERE key GLOB ?"
            rows = link.execute(query, (self._prefix.translate(_ESCAPED) + pattern,)).fetchall()
            return _delete(link, [row[0] for row in rows], now)

        return await self._file.transact(work)

    async def aclose(self) -> None:
        await self._file.aclose()

    def detach(self) -> None:
        self._file.detach()


def _fence(link: sqlite3.Connection, key: str, now: float) -> int:
    row = link.execute("SELECT fence FROM cache_fences WHERE key = ? AND expires > ?", (key, now))
    found = row.fetchone()
    return 0 if found is None else int(found[0])


def _write(link: sqlite3.Connection, name: str, item: Write, now: float) -> bool:
    if item.fence is not None and _fence(link, name, now) != item.fence:
        return False
    if item.fence is None:
        link.execute(_FENCE, (name, int(now * 1e6), now + FENCE_LIFE))
    link.execute("REPLACE INTO cache_values VALUES (?, ?, ?)", (name, item.data, now + item.ttl))
    return True


def _delete(link: sqlite3.Connection, keys: Sequence[str], now: float) -> int:
    count = 0
    for key in keys:
        link.execute(_FENCE, (key, int(now * 1e6), now + FENCE_LIFE))
        count += link.execute("DELETE FROM cache_values WHERE key = ?", (key,)).rowcount
    return count


class PollingBackplane(Backplane):
    """Events in the same SQLite file, looked at every ``interval`` seconds.

    A look that finds nothing new is one ``PRAGMA data_version``.
    """

    def __init__(
        self,
        url: str,
        *,
        key_prefix: str = "cache:",
        interval: float = 0.05,
        clock: Clock | None = None,
    ) -> None:
        """Use the file of ``url``; only caches with the same ``key_prefix`` hear each other."""
        self._file, self._interval = _File(without_query(url)), interval
        self._prefix = key_prefix
        self._clock = clock or SystemClock()
        self._node = new_id()
        self._task: asyncio.Task[None] | None = None
        self._seq = self._seen = -1
        self._alive = float("-inf")

    async def start(
        self, on_message: Callable[[Message], None], on_gap: Callable[[], None]
    ) -> None:
        if self._task is None or self._task.done():
            self._seq = await self._file.call(_last_event)
            self._alive = self._clock.monotonic()
            self._task = asyncio.create_task(self._poll(on_message, on_gap), name="cache-polling")

    async def _poll(
        self, on_message: Callable[[Message], None], on_gap: Callable[[], None]
    ) -> None:
        while True:
            try:
                rows = await self._file.call(self._look)
            except BackendError:
                rows = []
            else:
                late = self._clock.monotonic() - self._alive > _EVENT_LIFE / 2
                self._alive = self._clock.monotonic()
                if late:
                    on_gap()  # events that we never saw may be swept already
            for seq, node, body in rows:
                self._seq = seq
                if node != self._node:
                    self._receive(body, on_message, on_gap)
            await self._clock.sleep(self._interval)

    def _receive(
        self, body: bytes, on_message: Callable[[Message], None], on_gap: Callable[[], None]
    ) -> None:
        try:
            found = _body.decode(body)
        except (msgspec.DecodeError, TypeError):
            on_gap()
            return
        if found.prefix == self._prefix:
            tags = {tag: TagVersion(*value) for tag, value in found.tags.items()}
            on_message(Message(found.keys, tags))

    def _look(self, link: sqlite3.Connection) -> list[Any]:
        version = link.execute(CHANGES).fetchone()[0]
        if version == self._seen:
            return []
        self._seen = version
        query = "SELECT seq, node, body FROM cache_events WHERE seq > ? ORDER BY seq LIMIT 1000"
        rows = link.execute(query, (self._seq,)).fetchall()
        if len(rows) == 1000:
            self._seen = -1
        return rows

    async def publish(self, message: Message) -> None:
        now = self._clock.time()
        tags = {tag: (v.version, v.hard) for tag, v in message.tags.items()}
        body = _encode(_Body(self._prefix, list(message.keys), tags))

        def work(link: sqlite3.Connection) -> None:
            link.execute(
                "INSERT INTO cache_events (node, at, body) VALUES (?, ?, ?)",
                (self._node, now, body),
            )
            link.execute("DELETE FROM cache_events WHERE at < ?", (now - _EVENT_LIFE,))

        await self._file.transact(work)

    @property
    def last_alive(self) -> float:
        return self._alive

    async def aclose(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._file.aclose()

    def detach(self) -> None:
        task, self._task = self._task, None
        if task is not None and not task.get_loop().is_closed():
            task.get_loop().call_soon_threadsafe(task.cancel)
        self._file.detach()
        self._alive = float("-inf")


def _last_event(link: sqlite3.Connection) -> int:
    row = link.execute("SELECT seq FROM sqlite_sequence WHERE name = 'cache_events'").fetchone()
    return 0 if row is None else int(row[0])


class _Body(msgspec.Struct, array_like=True):
    prefix: str
    keys: list[str]
    tags: dict[str, tuple[int, int]]


_body = msgspec.msgpack.Decoder(_Body)
