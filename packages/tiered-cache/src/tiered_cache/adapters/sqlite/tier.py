"""Values in a SQLite file."""

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from ..._common.clock import Clock, SystemClock
from ..._common.urls import query_of
from ...keys import glob_matches
from ...ports import FENCE_LIFE, LATEST, Capabilities, Read, RemoteTier, TagVersion, Write
from .file import File

_ESCAPED = str.maketrans({char: f"[{char}]" for char in "*?["})
_LITERAL = re.compile(r"[^*?\[\\]*")
_SWEEP_EVERY = 256
_FENCE = (
    "INSERT INTO cache_fences VALUES (?, ?, ?) ON CONFLICT (key) "
    "DO UPDATE SET fence = max(fence + 1, excluded.fence), expires = excluded.expires"
)


class SQLiteTier(RemoteTier):
    """Values in a SQLite file in WAL mode. A call is one hop to the driver's thread."""

    capabilities = Capabilities(shared=True, durable=True, leases=True)

    def __init__(self, url: str, *, key_prefix: str = "cache:", clock: Clock | None = None) -> None:
        """Use the file of ``sqlite:///relative.db`` or ``sqlite:////absolute.db``.

        Args:
            url: The file.
            key_prefix: Before every key and tag: caches with different ones may share a file.
            clock: Gives the time of expiry and of versions.
        """
        query_of(url, allowed=frozenset())
        self._file, self._prefix, self._clock = File(url), key_prefix, clock or SystemClock()
        self._writes = 0

    async def read(self, keys: Sequence[str], tags: Sequence[str], *, fences: bool = True) -> Read:
        now = self._clock.time()

        def work(link: sqlite3.Connection) -> Read:
            values, numbers, versions = {}, {}, dict[str, TagVersion]()
            for key in keys:
                name = self._prefix + key
                row = link.execute(
                    "SELECT data FROM cache_values WHERE key = ? AND expires > ?", (name, now)
                ).fetchone()
                if row is not None:
                    values[key] = row[0]
                if fences:
                    numbers[key] = _fence(link, name, now)
            for tag in tags:
                versions[tag] = self._version(link, tag, now)
            return Read(values, numbers, versions)

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
            return _delete(link, list(self._names(link, pattern, 0.0)), now)

        return await self._file.transact(work)

    async def list_keys(self, pattern: str, limit: int) -> list[str]:
        now, start = self._clock.time(), len(self._prefix)

        def work(link: sqlite3.Connection) -> list[str]:
            return [name[start:] for name in islice(self._names(link, pattern, now), limit)]

        return await self._file.call(work)

    def _names(self, link: sqlite3.Connection, pattern: str, now: float) -> Iterator[str]:
        # SQLite knows no backslash: its GLOB finds the beginning, by the index, and we the rest
        begin = _LITERAL.match(pattern)
        head = (self._prefix + (begin[0] if begin else "")).translate(_ESCAPED)
        query = "SELECT key FROM cache_values WHERE key GLOB ? AND expires > ?"
        for (name,) in link.execute(query, (f"{head}*", now)):
            if glob_matches(pattern, name[len(self._prefix) :]):
                yield name

    async def acquire(self, name: str, token: str, ttl: float) -> bool:
        now, full = self._clock.time(), self._prefix + name

        def work(link: sqlite3.Connection) -> bool:
            query = "SELECT token FROM cache_leases WHERE name = ? AND expires > ?"
            found = link.execute(query, (full, now)).fetchone()
            if found is not None and found[0] != token:
                return False
            link.execute("DELETE FROM cache_leases WHERE expires <= ?", (now,))
            link.execute("REPLACE INTO cache_leases VALUES (?, ?, ?)", (full, token, now + ttl))
            return True

        return await self._file.transact(work)

    async def release(self, name: str, token: str) -> bool:
        query = "DELETE FROM cache_leases WHERE name = ? AND token = ?"
        args = (self._prefix + name, token)
        return await self._file.transact(lambda link: link.execute(query, args).rowcount > 0)

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
        old = _fence(link, name, now)
        link.execute(_FENCE, (name, int(now * 1e6), now + FENCE_LIFE))
        if item.age and old > (now - item.age) * 1e6:
            link.execute("DELETE FROM cache_values WHERE key = ?", (name,))
            return False
    link.execute("REPLACE INTO cache_values VALUES (?, ?, ?)", (name, item.data, now + item.ttl))
    return True


def _delete(link: sqlite3.Connection, keys: Sequence[str], now: float) -> int:
    count = 0
    for key in keys:
        link.execute(_FENCE, (key, int(now * 1e6), now + FENCE_LIFE))
        count += link.execute("DELETE FROM cache_values WHERE key = ?", (key,)).rowcount
    return count
