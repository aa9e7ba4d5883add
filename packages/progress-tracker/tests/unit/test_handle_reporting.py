"""``p.update``, ``p.stage``, ``p.iter``, ``p.log``: what is said, and what is stored of it."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from helpers import chaotic, is_now, until
from progress_tracker import (
    InvalidProgress,
    ProgressTracker,
)


async def test_stages_go_at_once() -> None:
    tracker, _ = chaotic(min_interval=3600)
    async with tracker, tracker.track("x", stages=["a", "b", "c"]) as p:
        p.update(5)
        await until(lambda: is_now(tracker, "x", stage="a"))
        p.stage("b", total=4, message="next")
        await until(lambda: is_now(tracker, "x", stage="b", message="next", total=4))
        p.advance(2)
        p.stage("c")
        await until(lambda: is_now(tracker, "x", stage="c"))
        found = await tracker.get("x")
        assert found.stages is not None
        assert [each.progress for each in found.stages] == [100, 100, 0]
        p.update(50, "a")
        p.advance(5, "b")
        p.skip_stage("c")
    found = await tracker.get("x")
    assert found.stages is not None
    assert found.stages[1].current == 2, "what is over takes no more"


async def test_units_before_a_stage_is_named_are_of_the_first(live: ProgressTracker) -> None:
    async with live.track("x", stages=["a", "b"], total=10) as p:
        p.advance(5)
        await until(lambda: is_now(live, "x", stage="a", current=5, progress=25))
        p.advance(10, "b")
        await until(lambda: is_now(live, "x", stage="b", current=10, progress=100))


async def test_loops(live: ProgressTracker) -> None:
    async def numbers() -> AsyncIterator[int]:
        for n in range(5):
            yield n

    async with live.track("x") as p:
        assert list(p.iter([1, 2, 3])) == [1, 2, 3]
        assert [n async for n in p.iter("ab")] == ["a", "b"]
        assert [n async for n in p.iter(numbers())] == [0, 1, 2, 3, 4]
        assert list(p.iter(n for n in (1, 2))) == [1, 2]
        await until(lambda: is_now(live, "x", current=12, total=5))
    async with live.track("y", total=100) as p:
        for _ in p.iter(range(10)):
            pass
        await until(lambda: is_now(live, "y", current=10, total=100, progress=10))


async def test_a_growing_total(live: ProgressTracker) -> None:
    async with live.track("x") as p:
        p.update(current=5, total=10)
        await until(lambda: is_now(live, "x", progress=50))
        p.update(total=100)
        await until(lambda: is_now(live, "x", total=100))
        assert (await live.get("x")).progress == 50, "never backwards"
        p.update(current=80)
        await until(lambda: is_now(live, "x", progress=80))


async def test_threads_share_a_handle(live: ProgressTracker) -> None:
    async with live.track("x") as p:
        threads = [
            threading.Thread(target=lambda: [p.advance() for _ in range(10_000)]) for _ in range(4)
        ]
        for each in threads:
            each.start()
        for each in threads:
            await asyncio.to_thread(each.join)
    assert (await live.get("x")).current == 40_000


async def test_logs(live: ProgressTracker) -> None:
    async with live.track("x", stages=["a"]) as p:
        for n in range(60):
            p.log(f"line {n}", "warning")
        p.stage("a")
        p.log("done")
        with pytest.raises(InvalidProgress):
            p.log("x", "loud")  # type: ignore[arg-type]
    logs = (await live.get("x")).logs
    assert len(logs) == 50
    assert (logs[-1].message, logs[-1].level, logs[-1].stage) == ("done", "info", "a")
    assert logs[0].message == "line 11"
