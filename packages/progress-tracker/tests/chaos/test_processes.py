"""Real processes on one SQLite file, some of which are killed."""

import asyncio
import contextlib
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import script, start, until
from progress_tracker import ProgressTracker, Settings, rules
from progress_tracker.ports import Record
from progress_tracker.rules.percent import of_children, units_of
from progress_tracker.testing import store_rule

pytest.importorskip("sqlalchemy")
pytestmark = pytest.mark.chaos

WRITER = """
import sys, time
from progress_tracker import ProgressTracker, Settings
tracker = ProgressTracker(Settings.from_mapping(
    {"storage": {"connection_string": sys.argv[1]}, "lease": 60.0, "min_interval": 0.01}))
with tracker.track("job", total=1_000_000) as p:
    print("ready", flush=True)
    for _ in p.iter(range(1_000_000)):
        time.sleep(0.001)
"""
STEPS = """
import asyncio, sys
from progress_tracker import ProgressTracker
async def main():
    async with ProgressTracker.from_url(sys.argv[1]) as tracker:
        for value in range(1, 101):
            await tracker.update("job", value)
        await tracker.complete("job")
asyncio.run(main())
"""
EXIT = """
import atexit, sys, time
from progress_tracker import ProgressTracker, Settings
tracker = ProgressTracker(Settings.from_mapping(
    {"storage": {"connection_string": sys.argv[1]}, "min_interval": 3600}))
p = tracker.track("job").__enter__()
p.update(1)
while p._fresh: time.sleep(0.01)
p.update(77, message="last words")
"""
CHILDREN = """
import asyncio, random, sys
from progress_tracker import ProgressTracker, ProgressConflict, ProgressNotFound
url, seed = sys.argv[1], int(sys.argv[2])
async def main():
    rng = random.Random(seed)
    async with ProgressTracker.from_url(url) as tracker:
        print("ready", flush=True)
        order = list(range(200))
        rng.shuffle(order)
        for n in order:
            id = f"c{n}"
            await tracker.create(id=id, parent_id="batch", weight=1 + n % 7, exist_ok=True)
            try:
                for value in sorted(rng.uniform(0, 99) for _ in range(2)):
                    await tracker.update(id, value)
                if rng.random() < 0.7:
                    await tracker.complete(id)
                elif rng.random() < 0.5:
                    await tracker.fail(id, "no")
            except ProgressConflict:
                pass  # another process has ended it
asyncio.run(main())
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/progress.db"


@pytest.fixture
def children() -> "Iterator[list[subprocess.Popen[str]]]":
    started: list[subprocess.Popen[str]] = []
    yield started
    for each in started:
        each.kill()
        each.wait(10)
        if each.stdout is not None:
            each.stdout.close()


async def test_a_killed_writer_is_seen_by_a_watcher_elsewhere(
    url: str, tmp_path: Path, children: "list[subprocess.Popen[str]]"
) -> None:
    worker = start(script(tmp_path / "writer.py", WRITER), url)
    children.append(worker)
    settings = {"storage": {"connection_string": url}, "realtime": {"safety_poll": 0.3}}
    async with ProgressTracker(Settings.from_mapping(settings)) as tracker:
        states = tracker.watch("job", wait_for_create=60)
        moving = [await anext(states) for _ in range(5)]
        assert moving[-1].current
        worker.kill()
        await asyncio.to_thread(worker.wait)
        # its lease is long, for a busy machine may let it wait: now it is over
        with contextlib.closing(sqlite3.connect(tmp_path / "progress.db")) as link, link:
            link.execute("UPDATE progress SET stale_at = 1")
        async with asyncio.timeout(120):
            seen = [each async for each in states]
        assert (seen[-1].status, seen[-1].reason) == ("failed", "stalled")
        positions = [each.position for each in [*moving, *seen]]
        assert positions == sorted(set(positions))
        async with tracker.track("job", resume=True) as p:
            p.advance(0)
            assert p.epoch == 2
        found = await tracker.get("job")
        assert (found.current, found.status) == (seen[-1].current, "completed")


async def test_two_processes_on_one_file(
    url: str, tmp_path: Path, children: "list[subprocess.Popen[str]]"
) -> None:
    async with ProgressTracker.from_url(url) as tracker:
        await tracker.create(id="job")

        async def watch() -> list[tuple[tuple[int, int], float, bool]]:
            return [
                (each.position, each.progress, each.is_final) async for each in tracker.watch("job")
            ]

        watching = [asyncio.create_task(watch()) for _ in range(3)]
        await until(lambda: tracker.get_stats().watchers == 3)
        children.append(start(script(tmp_path / "steps.py", STEPS), url))
        async with asyncio.timeout(120):
            for each in watching:
                seen = await each
                positions = [position for position, _, _ in seen]
                assert positions == sorted(set(positions))
                assert [final for _, _, final in seen].count(True) == 1
                assert seen[-1] == ((1, 102), 100, True)


async def test_the_last_value_survives_the_end_of_the_interpreter(
    url: str, tmp_path: Path, children: "list[subprocess.Popen[str]]"
) -> None:
    worker = start(script(tmp_path / "exit.py", EXIT), url)
    children.append(worker)
    assert await asyncio.to_thread(worker.wait, 120) == 0
    async with ProgressTracker.from_url(url) as tracker:
        found = await tracker.get("job")
        assert (found.progress, found.message) == (77, "last words")


async def test_killed_writers_of_children_leave_exact_sums(
    url: str, tmp_path: Path, children: "list[subprocess.Popen[str]]"
) -> None:
    program = script(tmp_path / "children.py", CHILDREN)
    async with ProgressTracker.from_url(url) as tracker:
        await tracker.create(id="batch")
        for kill_at in (40, 120, None):
            running = [start(program, url, str(seed)) for seed in range(3)]
            children += running
            if kill_at is None:
                async with asyncio.timeout(120):
                    for each in running:
                        assert await asyncio.to_thread(each.wait) == 0
            else:

                async def enough(limit: int = kill_at) -> bool:
                    counts = (await tracker.get("batch")).children
                    return counts is not None and counts.total >= limit

                await until(enough, timeout=120)
                for each in running:
                    each.kill()
                    each.wait(10)
            store = tracker.store
            page = await tracker.list_progress(parent_id="batch", limit=1000)
            records: list[Record] = list(
                (await store.get_many([each.id for each in page])).values()
            )
            found = (await store.get_many(["batch"]))["batch"]
            assert found.kids == of_children(records)
            assert found.units == units_of(found.status, found.state, found.kids)
        assert found.kids.total == 200
        await store_rule(store, "batch", lambda base: rules.complete(base, base.updated_at))
