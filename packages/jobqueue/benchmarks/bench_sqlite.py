"""How fast one worker drains a SQLite queue, against the bare statements.

Prints medians of five interleaved runs. The floor does what a queue must at the least: claim a
batch and mark it done, in two transactions of the standard library's driver.
"""

import asyncio
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

from jobqueue import Job, JobQueue, Worker

JOBS = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
RUNS = 5


def floor(folder: Path) -> float:
    """Drain with bare statements, a hundred at a time; return jobs a second."""
    link = sqlite3.connect(folder / "floor.db", isolation_level=None)
    link.execute("PRAGMA journal_mode = WAL")
    link.execute("PRAGMA synchronous = FULL")
    link.execute("CREATE TABLE jobs (seq INTEGER PRIMARY KEY, state TEXT, data BLOB)")
    link.execute("CREATE INDEX ready ON jobs (seq) WHERE state = 'pending'")
    link.execute("BEGIN")
    link.executemany("INSERT INTO jobs (state, data) VALUES ('pending', ?)", [(b"{}",)] * JOBS)
    link.execute("COMMIT")
    begun, done = time.perf_counter(), 0
    while done < JOBS:
        rows = link.execute(
            "UPDATE jobs SET state = 'running' WHERE seq IN (SELECT seq FROM jobs "
            "WHERE state = 'pending' ORDER BY seq LIMIT 100) RETURNING seq"
        ).fetchall()
        link.execute("BEGIN")
        link.executemany("UPDATE jobs SET state = 'done' WHERE seq = ?", rows)
        link.execute("COMMIT")
        done += len(rows)
    rate = JOBS / (time.perf_counter() - begun)
    link.close()
    return rate


async def ours(folder: Path) -> tuple[float, float]:
    """Return jobs a second enqueued and drained."""
    async with JobQueue.from_url(f"sqlite:///{folder}/ours.db") as queue:
        done = asyncio.Event()
        left = JOBS

        @queue.worker("noop")
        async def noop(job: Job) -> None:
            nonlocal left
            left -= 1
            if not left:
                done.set()

        begun = time.perf_counter()
        await queue.enqueue_many([("noop", {}) for _ in range(JOBS)])
        enqueued = JOBS / (time.perf_counter() - begun)
        worker = Worker(queue, {"default": 100})
        begun = time.perf_counter()
        running = asyncio.create_task(worker.run())
        await done.wait()
        while (await queue.get_stats()).completed < JOBS:
            await asyncio.sleep(0.001)
        drained = JOBS / (time.perf_counter() - begun)
        worker.stop()
        await running
    return enqueued, drained


def main() -> None:
    """Run both in turn and print the figures."""
    floors, enqueued, drained = [], [], []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as folder:
            floors.append(floor(Path(folder)))
            rates = asyncio.run(ours(Path(folder)))
            enqueued.append(rates[0])
            drained.append(rates[1])
    base = statistics.median(floors)
    rows = (("bare statements", floors), ("enqueue_many", enqueued), ("drain", drained))
    for name, values in rows:
        middle = statistics.median(values)
        spread = f"{min(values):,.0f} to {max(values):,.0f}"
        ratio = f"{middle / base:.2f} x the bare statements"
        print(f"{name:16} {middle:10,.0f} /s  ({spread})  {ratio}")


if __name__ == "__main__":
    main()
