"""Where vectors are kept between runs: a SQLite file, or Redis."""

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .._common.extras import require
from .._common.sqlite import SqliteLane
from .._common.sqlite_schema import prepare_tables
from .._common.urls import file_path, query_of, without_query
from ..errors import ConfigurationError

_FORMAT = 1
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS semsearch_vectors "
    "(key TEXT PRIMARY KEY, vector BLOB NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS semsearch_vectors_used ON semsearch_vectors (used)"
)
_PART = 500


class SQLiteEmbeddingCache:
    """Vectors in a file: ``sqlite:///vectors.db?max_entries=1000000``. Safe for several processes.

    Over ``max_entries`` those that were not asked for longest go.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time) -> None:
        """Name the file; ``clock`` gives seconds.

        Raises:
            ConfigurationError: The URL names no file, or an option is wrong.
        """
        options = query_of(url, allowed=frozenset({"max_entries"}))
        most = options.get("max_entries", "1000000")
        if not most.isdecimal() or not 1 <= int(most) <= 10**9:
            raise ConfigurationError(f"max_entries must be 1 to 1000000000, not {most[:20]!r}")
        self._most, self._clock = int(most), clock
        self._lane = SqliteLane(
            file_path(without_query(url)), synchronous="NORMAL", busy_timeout=5.0
        )
        self._ready = False

    async def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return what is there, and note that it was asked for."""
        now = int(self._clock())

        def work(link: sqlite3.Connection) -> dict[str, bytes]:
            self._prepare(link)
            found: dict[str, bytes] = {}
            for start in range(0, len(keys), _PART):
                part = keys[start : start + _PART]
                marks = ",".join("?" * len(part))
                query = f"SELECT key, vector FROM semsearch_vectors WHERE key IN ({marks})"  # noqa: S608  marks alone
                found |= dict(link.execute(query, part).fetchall())
            # once a day is enough to know what is in use
            late = "UPDATE semsearch_vectors SET used = ? WHERE key = ? AND used < ?"
            link.executemany(late, [(now, key, now - 86_400) for key in found])
            return found

        return await self._lane.call(work)

    async def get(self, key: str) -> bytes | None:
        """Return the bytes under ``key``, or None."""
        return (await self.get_many([key])).get(key)

    async def set_many(self, vectors: Mapping[str, bytes]) -> None:
        """Keep all of ``vectors`` in one transaction."""
        now = int(self._clock())

        def work(link: sqlite3.Connection) -> None:
            self._prepare(link)
            link.execute("BEGIN IMMEDIATE")
            try:
                link.executemany(
                    "REPLACE INTO semsearch_vectors VALUES (?, ?, ?)",
                    [(key, value, now) for key, value in vectors.items()],
                )
                count = link.execute("SELECT count(*) FROM semsearch_vectors").fetchone()[0]
                if count > self._most:
                    link.execute(
                        "DELETE FROM semsearch_vectors WHERE key IN "
                        "(SELECT key FROM semsearch_vectors ORDER BY used, key LIMIT ?)",
                        (count - self._most,),
                    )
                link.execute("COMMIT")
            except BaseException:
                if link.in_transaction:
                    link.execute("ROLLBACK")
                raise

        await self._lane.call(work)

    async def set(self, key: str, value: bytes) -> None:
        """Keep ``value``."""
        await self.set_many({key: value})

    def _prepare(self, link: sqlite3.Connection) -> None:
        if not self._ready:
            prepare_tables(link, "semsearch_vectors", _FORMAT, _SCHEMA)
            self._ready = True

    async def aclose(self) -> None:
        """Close the file; a later call opens it again."""
        await self._lane.aclose()
        self._ready = False


class RedisEmbeddingCache:
    """Vectors in Redis or Valkey: ``redis://host/0?ttl=2592000`` (extra ``redis``)."""

    def __init__(self, url: str, *, key_prefix: str = "semsearch:vector:") -> None:
        """Name the server; the first call connects.

        Args:
            url: With ``ttl``, seconds that a vector is kept after it was made; 30 days.
            key_prefix: Before every key.

        Raises:
            ConfigurationError: An option is wrong.
        """
        ttl = query_of(url).get("ttl", "2592000")
        if not ttl.isdecimal() or not 1 <= int(ttl) <= 10**9:
            raise ConfigurationError(f"ttl must be 1 to 1000000000 seconds, not {ttl[:20]!r}")
        rest = [name for name in query_of(url) if name != "ttl"]
        self._url = without_query(url, *rest) if rest else without_query(url)
        self._ttl, self._prefix = int(ttl), key_prefix
        self._client: Any = None

    @property
    def _redis(self) -> Any:
        if self._client is None:
            library: Any = require("redis.asyncio", dist="semsearch", extra="redis")
            self._client = library.Redis.from_url(
                self._url, socket_timeout=5.0, socket_connect_timeout=5.0
            )
        return self._client

    async def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return what is there, in one command."""
        raws = await self._redis.mget([f"{self._prefix}{key}" for key in keys])
        return {key: raw for key, raw in zip(keys, raws, strict=True) if raw is not None}

    async def get(self, key: str) -> bytes | None:
        """Return the bytes under ``key``, or None."""
        return (await self.get_many([key])).get(key)

    async def set_many(self, vectors: Mapping[str, bytes]) -> None:
        """Keep all of ``vectors``, in one pipeline."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for key, value in vectors.items():
                pipe.set(f"{self._prefix}{key}", value, ex=self._ttl)
            await pipe.execute()

    async def set(self, key: str, value: bytes) -> None:
        """Keep ``value``."""
        await self.set_many({key: value})

    async def aclose(self) -> None:
        """Disconnect; a later call connects again."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()
