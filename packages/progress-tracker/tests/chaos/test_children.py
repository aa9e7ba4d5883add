"""Thousands of children written by four processes, which are killed at random: sums stay exact.

``PROGRESS_TRACKER_CHILDREN=10000`` says how many on servers, where each takes longer.
"""

import asyncio
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from _common.server import Server
from helpers import script, start, until
from progress_tracker import ProgressTracker
from progress_tracker.ports import Filters, ProgressStore, Record
from progress_tracker.rules.percent import of_children, units_of

pytest.importorskip("sqlalchemy")
pytestmark = [pytest.mark.slow, pytest.mark.chaos]

CHILDREN = 10_000
ON_SERVERS = int(os.environ.get("PROGRESS_TRACKER_CHILDREN", "3000"))
PROCESSES = 4
PROGRAM = """
import asyncio, random, sys
from progress_tracker import ProgressConflict, ProgressTracker

url, part, parts, count = sys.argv[1], *map(int, sys.argv[2:5])
rng = random.Random(part)

async def one(tracker, n):
    id = f"c{n}"
    await tracker.create(id=id, parent_id="batch", weight=1 + n % 7, exist_ok=True)
    try:
        if n % 3 == 0:
            await tracker.update(id, rng.uniform(0, 99))
        if n % 10 == 9:
            await tracker.fail(id, "no")
        else:
            await tracker.complete(id)
    except ProgressConflict:
        pass  # ended before the process was killed

async def main():
    async with ProgressTracker.from_url(url) as tracker:
        todo = iter(range(part, count, parts))
        async def worker():
            for n in todo:
                await one(tracker, n)
        print("ready", flush=True)
        await asyncio.gather(*(worker() for _ in range(8)))

asyncio.run(main())
"""


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/progress.db?synchronous=OFF"
    if request.param == "postgres":
        pytest.importorskip("asyncpg")
        return str(request.getfixturevalue("postgres_url"))
    pytest.importorskip("redis")
    server: Server = request.getfixturevalue("redis_server")
    return f"{server.url}?prefix={request.getfixturevalue('redis_prefix')}&timeout=30"


@pytest.fixture
def running() -> "Iterator[list[subprocess.Popen[str] | None]]":
    started: list[subprocess.Popen[str] | None] = [None] * PROCESSES
    yield started
    for each in started:
        if each is not None:
            _kill(each)


def _kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait(10)
    if process.stdout is not None:
        process.stdout.close()


async def _children(store: ProgressStore) -> list[Record]:
    found: list[Record] = []
    cursor: str | None = None
    while True:
        page = await store.list_records(Filters(parent_id="batch"), 1000, cursor)
        found += page
        if (cursor := page.next_cursor) is None:
            return found


async def _is_exact(store: ProgressStore) -> Record:
    """Compare the batch with a recount; nobody writes meanwhile."""
    batch = await store.get("batch")
    assert batch is not None
    assert batch.kids == of_children(await _children(store))
    assert batch.units == units_of(batch.status, batch.state, batch.kids)
    return batch


async def test_killed_processes_leave_exact_sums(
    url: str, tmp_path: Path, running: "list[subprocess.Popen[str] | None]"
) -> None:
    children = CHILDREN if url.startswith("sqlite") else ON_SERVERS
    rng = random.Random(3)
    program = script(tmp_path / "children.py", PROGRAM)

    def begin(part: int) -> None:
        running[part] = start(program, url, str(part), str(PROCESSES), str(children))

    async with ProgressTracker.from_url(url) as tracker:
        await tracker.setup()
        await tracker.create(id="batch", total=sum(1 + n % 7 for n in range(children)))

        async def count() -> int:
            found = await tracker.store.get("batch")
            return 0 if found is None else found.kids.total

        for part in range(PROCESSES):
            begin(part)
        for share in (0.05, 0.12, 0.25):  # one dies at a time, and another takes its part
            limit = int(share * children)
            await until(lambda limit=limit: _reached(count, limit), timeout=120)
            victim = rng.randrange(PROCESSES)
            process = running[victim]
            assert process is not None
            _kill(process)
            begin(victim)
        await until(lambda: _reached(count, int(0.4 * children)), timeout=120)
        for part, process in enumerate(running):  # all die at once
            assert process is not None
            _kill(process)
            running[part] = None
        await _is_exact(tracker.store)
        for part in range(PROCESSES):
            begin(part)
        async with asyncio.timeout(240):
            for each in running:
                assert each is not None
                assert await asyncio.to_thread(each.wait) == 0
        batch = await _is_exact(tracker.store)
        assert (batch.kids.total, batch.kids.failed) == (children, children // 10)
        assert batch.kids.completed == children - children // 10


async def _reached(count: object, limit: int) -> bool:
    return bool(await count() >= limit)  # type: ignore[operator]  # a coroutine function
