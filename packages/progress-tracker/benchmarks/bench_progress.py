"""What a tick and a stored write cost, beside tqdm and the raw statement.

Five interleaved runs; medians and spread. Needs the extra ``sql``, and tqdm for the comparison:
``python benchmarks/bench_progress.py [items] [writes]``.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiosqlite
import msgspec

try:
    from tqdm import tqdm
except ImportError:  # only the comparison is left out
    tqdm = None

from progress_tracker import ProgressTracker, rules
from progress_tracker.adapters.sql import SQLStore, _params
from progress_tracker.ports import Write
from progress_tracker.testing import NOW, record

RUNS = 5
BLOCK = 50
ITEMS = int(sys.argv[1]) if len(sys.argv) > 1 else 300_000
WRITES = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000


def timed(work: Callable[[], Any], count: int) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) / count * 1e9


def bare() -> None:
    for _ in range(ITEMS):
        pass


def ticks(devnull: Any) -> dict[str, float]:
    tracker = ProgressTracker.from_url("memory://")
    found = {"bare loop": timed(bare, ITEMS)}

    def peer_iterate() -> None:
        for _ in tqdm(range(ITEMS), file=devnull):
            pass

    def peer_update() -> None:
        with tqdm(total=ITEMS, file=devnull) as bar:
            for _ in range(ITEMS):
                bar.update()

    if tqdm is not None:
        found["tqdm iterate"] = timed(peer_iterate, ITEMS)
        found["tqdm update"] = timed(peer_update, ITEMS)
    with tracker.track() as p:

        def iterate() -> None:
            for _ in p.iter(range(ITEMS)):
                pass

        def advance() -> None:
            for _ in range(ITEMS):
                p.advance()

        async def stream() -> None:
            async for _ in p.iter(range(ITEMS)):
                pass

        found["p.iter"], found["p.advance"] = timed(iterate, ITEMS), timed(advance, ITEMS)
        found["async p.iter"] = timed(lambda: asyncio.run(stream()), ITEMS)
    asyncio.run(tracker.aclose())
    return found


async def writes(folder: Path) -> dict[str, float]:
    """Interleave our writes and the raw statement in blocks, on two rows of one file."""
    async with (
        SQLStore(f"sqlite:///{folder}/ours.db") as store,
        aiosqlite.connect(f"{folder}/ours.db", isolation_level=None) as link,
    ):
        base = (await store.create(record("x"))).record
        other = (await store.create(record("raw"))).record
        assert base is not None
        assert other is not None
        await link.execute("PRAGMA synchronous = NORMAL")
        sql, values = store.database.prepare(store._sql.write).step(_params(other, ""))
        raw, ours, raw_time, our_time = list(values), 0, 0.0, 0.0
        while ours < WRITES:
            begun = time.perf_counter()
            for _ in range(BLOCK):
                ours += 1
                new = rules.update(base, NOW + ours, ours * 90 / WRITES)
                named = msgspec.structs.replace(new, token=str(ours))
                (written,) = await store.write([Write(named, base.status)])
                assert written.applied
                assert written.record is not None
                base = written.record
            middle = time.perf_counter()
            for _ in range(BLOCK):
                assert await link.execute_fetchall(sql, raw)
                raw[-1] += 1
            our_time += middle - begun
            raw_time += time.perf_counter() - middle
        found = {
            "stored write": our_time / ours * 1e9,
            "the same statement, aiosqlite": raw_time / ours * 1e9,
        }
        for n in range(100):
            await store.create(record(f"y{n}"))
        begun = time.perf_counter()
        for size in range(WRITES // 100):
            stored = await store.get_many([f"y{n}" for n in range(100)])
            batch = [
                (rules.update(each, NOW, 1 + size * 1e-3), each.status) for each in stored.values()
            ]
            named = [
                Write(msgspec.structs.replace(new, token=str(size)), was) for new, was in batch
            ]
            assert all(each.applied for each in await store.write(named))
        count = WRITES // 100 * 100
        found["stored write, 100 a batch"] = (time.perf_counter() - begun) / count * 1e9
    return found


async def families(folder: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    for count in (10, 1_000):
        async with ProgressTracker.from_url(f"sqlite:///{folder}/kids{count}.db") as tracker:
            await tracker.create(id="p")
            for n in range(count):
                await tracker.create(id=f"c{n}", parent_id="p")
            last = [f"c{n}" for n in range(count - 10, count)]
            begun = time.perf_counter()
            for id in last:
                await tracker.complete(id)
            found[f"child write, {count} children"] = (time.perf_counter() - begun) / 10 * 1e9
    return found


def main() -> None:
    runs: dict[str, list[float]] = {}
    with Path("/dev/null").open("w") as devnull:
        for _ in range(RUNS):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                found = ticks(devnull) | asyncio.run(writes(folder)) | asyncio.run(families(folder))
            for what, cost in found.items():
                runs.setdefault(what, []).append(cost)
    middle = {what: statistics.median(costs) for what, costs in runs.items()}
    for what, costs in runs.items():
        print(f"{what:45} {middle[what]:>12,.0f} ns   {min(costs):,.0f} to {max(costs):,.0f}")
    for ours, floor in (
        ("p.iter", "tqdm iterate"),
        ("p.advance", "tqdm update"),
        ("stored write", "the same statement, aiosqlite"),
        ("child write, 1000 children", "child write, 10 children"),
    ):
        if floor in middle:
            print(f"{ours} / {floor}: {middle[ours] / middle[floor]:.2f}")


if __name__ == "__main__":
    main()
