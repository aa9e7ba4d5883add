"""Floors: what the bare clients do, without ids, leases, retries or anything else.

Drains take a hundred at a time, as a queue that batches would at its best; rows are kept.
"""

import asyncio
import json
import os
import sqlite3
from collections.abc import Sequence
from typing import Any

import stage

_DATA = json.dumps({"n": 0, "what": "a payload of a hundred bytes or so", "id": "0" * 32}).encode()
_BATCH = 100


class RawRedis(stage.Peer):
    """LPUSH one by one; many and the drain in pipelines. A crash loses what was popped."""

    async def open(self) -> None:
        from redis.asyncio import Redis

        self.redis: Any = Redis.from_url(self.orders.url)

    async def close(self) -> None:
        await self.redis.aclose()

    async def enqueue(self, n: int) -> None:
        await self.redis.lpush("raw", b"%d %s" % (n, _DATA))

    async def enqueue_many(self, numbers: Sequence[int]) -> None:
        async with self.redis.pipeline(transaction=False) as pipe:
            for n in numbers:
                pipe.lpush("raw", b"%d %s" % (n, _DATA))
            await pipe.execute()

    def work(self) -> None:
        asyncio.run(self._work())

    async def _work(self) -> None:
        await self.open()
        while True:
            found = await self.redis.brpop("raw")
            more = await self.redis.rpop("raw", _BATCH - 1) or ()
            for data in (found[1], *more):
                stage.mark(int(data.partition(b" ")[0]))


class RawPostgres(stage.Peer):
    """INSERT one by one; the drain is two statements for a hundred rows."""

    async def open(self) -> None:
        import asyncpg

        self.link: Any = await asyncpg.connect(self.orders.url)

    async def close(self) -> None:
        await self.link.close()

    async def prepare(self) -> None:
        await self.link.execute(
            "CREATE TABLE raw (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int, "
            "data bytea, state smallint NOT NULL DEFAULT 0)"
        )
        await self.link.execute("CREATE INDEX ready ON raw (id) WHERE state = 0")

    async def enqueue(self, n: int) -> None:
        await self.link.execute("INSERT INTO raw (n, data) VALUES ($1, $2)", n, _DATA)

    async def enqueue_many(self, numbers: Sequence[int]) -> None:
        await self.link.execute(
            "INSERT INTO raw (n, data) SELECT n, $2 FROM unnest($1::int[]) AS n",
            list(numbers),
            _DATA,
        )

    def work(self) -> None:
        asyncio.run(self._work())

    async def _work(self) -> None:
        await self.open()
        while True:
            rows = await self.link.fetch(
                "UPDATE raw SET state = 1 WHERE id IN (SELECT id FROM raw WHERE state = 0 "
                f"ORDER BY id LIMIT {_BATCH} FOR UPDATE SKIP LOCKED) RETURNING id, n"
            )
            if not rows:
                await asyncio.sleep(0.001)
                continue
            for row in rows:
                stage.mark(row["n"])
            ids = [row["id"] for row in rows]
            await self.link.execute("UPDATE raw SET state = 2 WHERE id = ANY($1::bigint[])", ids)


class RawSqlite(stage.Peer):
    """INSERT one by one; the drain is two transactions for a hundred rows."""

    async def open(self) -> None:
        self.link = sqlite3.connect(self.orders.url.removeprefix("sqlite:///"), timeout=10)
        self.link.isolation_level = None
        self.link.execute("PRAGMA journal_mode = WAL")
        self.link.execute("PRAGMA synchronous = FULL")

    async def close(self) -> None:
        self.link.close()

    async def prepare(self) -> None:
        self.link.execute("CREATE TABLE raw (id INTEGER PRIMARY KEY, n, data, state DEFAULT 0)")
        self.link.execute("CREATE INDEX ready ON raw (id) WHERE state = 0")

    async def enqueue(self, n: int) -> None:
        self.link.execute("INSERT INTO raw (n, data) VALUES (?, ?)", (n, _DATA))

    async def enqueue_many(self, numbers: Sequence[int]) -> None:
        self.link.execute("BEGIN")
        rows = [(n, _DATA) for n in numbers]
        self.link.executemany("INSERT INTO raw (n, data) VALUES (?, ?)", rows)
        self.link.execute("COMMIT")

    def work(self) -> None:
        asyncio.run(self._work())

    async def _work(self) -> None:
        await self.open()
        while True:
            rows = self.link.execute(
                "UPDATE raw SET state = 1 WHERE id IN (SELECT id FROM raw WHERE state = 0 "
                f"ORDER BY id LIMIT {_BATCH}) RETURNING id, n"
            ).fetchall()
            if not rows:
                await asyncio.sleep(0.001)
                continue
            for _, n in rows:
                stage.mark(n)
            self.link.execute("BEGIN")
            done = [(number,) for number, _ in rows]
            self.link.executemany("UPDATE raw SET state = 2 WHERE id = ?", done)
            self.link.execute("COMMIT")


_KINDS: dict[str, type[stage.Peer]] = {
    "redis": RawRedis,
    "postgres": RawPostgres,
    "sqlite": RawSqlite,
}

if __name__ == "__main__":
    stage.main(_KINDS[os.environ["BENCH_BACKEND"]])
