"""What a stored write costs beside the raw statement of its server, in one connection each.

Ours and the raw statement take turns, write by write: a busy moment hits both, and what is behind
both has just been idle, as it is where updates come now and then. A raw statement repeated in a
closed loop finds the thread of SQLite still awake, and is up to twice as fast. In SQLite each has a
file of its own: of one file all checkpoints may fall to the same of the two. Figures are medians: a
disk that syncs a checkpoint (one write in hundreds) for other programs too says nothing of either.
"""

import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from progress_tracker import rules
from progress_tracker.ports import ProgressStore, Record, Write
from progress_tracker.registry import store_from_url
from progress_tracker.testing import NOW, record

from ._common.results import Results

BATCH = 100
RAW_LUA = (
    "redis.call('HSET', KEYS[1], 's', ARGV[1], 'v', ARGV[2]) "
    "redis.call('XADD', KEYS[2], 'MAXLEN', '~', 256, '*', 's', ARGV[1]) "
    "redis.call('PUBLISH', KEYS[3], ARGV[2]) return ARGV[2]"
)
Once = Callable[[], Awaitable[None]]


async def _stored(store: ProgressStore, id: str) -> Record:
    made = (await store.create(record(id))).record
    assert made is not None
    return made


async def _ours(store: ProgressStore) -> Once:
    """Return what stores one more update of an operation, and checks that it was applied."""
    base, turn = await _stored(store, "ours"), 0

    async def once() -> None:
        nonlocal base, turn
        turn += 1
        new = rules.update(base, NOW + turn, min(99.0, base.state.percent + 1e-4))
        named = msgspec.structs.replace(new, token=str(turn))
        (written,) = await store.write([Write(named, base.status)])
        assert written.applied
        assert written.record is not None
        base = written.record

    return once


async def _raw_sql(store: Any, execute: Callable[[str, list[Any]], Awaitable[Any]]) -> Once:
    """Return what runs our own statement on the driver's connection."""
    from progress_tracker.adapters.sql_rows import own_params

    other = await _stored(store, "raw")
    sql, bound = store.database.prepare(store._sql.write).step(own_params(other, ""))
    values = list(bound)
    place = store.database.prepare(store._sql.write).names.index("revision")

    async def once() -> None:
        assert await execute(sql, values), "the raw statement found its row"
        values[place] += 1

    return once


async def _raw(store: Any, url: str) -> tuple[Once, Callable[[], Awaitable[None]]]:
    """Return the raw statement, and what closes its connection."""
    kind = url.partition(":")[0]
    if kind == "sqlite":
        import aiosqlite

        link = await aiosqlite.connect(url.partition("///")[2], isolation_level=None)
        await link.execute("PRAGMA synchronous = NORMAL")
        return await _raw_sql(store, link.execute_fetchall), link.close
    if kind == "postgresql":
        import asyncpg

        lane = await asyncpg.connect(url)
        return await _raw_sql(store, lambda sql, values: lane.fetch(sql, *values)), lane.close
    import redis.asyncio

    client = redis.asyncio.Redis.from_url(url)
    script, turn = client.register_script(RAW_LUA), 0
    state = msgspec.json.encode((await _stored(store, "raw")).state)

    async def once() -> None:
        nonlocal turn
        turn += 1
        await script(keys=["raw:h", "raw:s", "raw:c"], args=[state, turn])

    return once, client.aclose


async def _took(once: Once) -> float:
    """Return the microseconds of one write."""
    begun = time.perf_counter()
    await once()
    return (time.perf_counter() - begun) * 1e6


async def _batched(store: ProgressStore, rounds: int) -> float:
    """Return the microseconds of a write of many in one call, all by different operations."""
    bases = [await _stored(store, f"many-{n}") for n in range(BATCH)]
    took = []
    for turn in range(rounds):
        begun = time.perf_counter()
        made = [rules.update(each, NOW + turn, (turn + 1) * 1e-3) for each in bases]
        writes = [
            Write(msgspec.structs.replace(new, token=f"{turn}"), base.status)
            for new, base in zip(made, bases, strict=True)
        ]
        written = await store.write(writes)
        assert all(each.applied for each in written)
        bases = [each.record for each in written if each.record is not None]
        took.append((time.perf_counter() - begun) / BATCH * 1e6)
    return statistics.median(took)


async def run_on(results: Results, name: str, url: str, writes: int) -> None:
    """Measure one store once."""
    store = store_from_url(url, table=f"t{time.time_ns()}")
    apart = url.replace(".db", "-raw.db")
    beside = store if apart == url else store_from_url(apart, table=f"t{time.time_ns()}")
    try:
        await store.setup()
        await beside.setup()
        ours = await _ours(store)
        raw, close = await _raw(beside, apart)
        for _ in range(50):  # everything is compiled and connected
            await ours()
            await raw()
        took = [(await _took(ours), await _took(raw)) for _ in range(writes)]
        await close()
        our, bare = (statistics.median(each) for each in zip(*took, strict=True))
        measure = results.measure(f"write-{name}", f"a stored write, {name}", "µs")
        measure.add("progress-tracker", our, ours=True)
        measure.add("raw statement", bare, floor=True)
        each = await _batched(store, max(5, writes // 10))
        measure.add(f"progress-tracker, {BATCH} a call", each, ours=True)
    finally:
        await beside.aclose()
        await store.aclose()


async def run(results: Results, urls: dict[str, str], repetitions: int, writes: int) -> None:
    """Measure every store in turn."""
    for _ in range(repetitions):
        for name, url in urls.items():
            await run_on(results, name, url, writes)
