"""Handles: how they begin and end, and who may write."""

import asyncio
import time
from typing import Any

import pytest

from helpers import is_now, until
from progress_tracker import (
    ProgressCancelled,
    ProgressConflict,
    ProgressError,
    ProgressNotFound,
    ProgressTracker,
    Settings,
    rules,
)
from progress_tracker.ports import Record, State
from progress_tracker.testing import store_rule


async def test_it_completes(live: ProgressTracker) -> None:
    async with live.track("x", kind="k", user_id="u", metadata={"a": 1}) as p:
        assert (p.id, p.epoch, p.cancelled, p.fenced) == ("x", 1, False, False)
        found = await live.get("x")
        assert (found.status, found.kind, found.user_id) == ("processing", "k", "u")
        p.update(40, message="hello")
        await until(lambda: is_now(live, "x", progress=40, message="hello"))
        p.result = {"pages": [1, 2]}
    found = await live.get("x")
    assert (found.status, found.progress, found.result) == ("completed", 100, {"pages": [1, 2]})
    assert live.get_stats().active == 0


async def test_it_fails_and_the_exception_passes(live: ProgressTracker) -> None:
    with pytest.raises(ValueError, match="boom"):
        async with live.track("x", stages=["a", "b"]) as p:
            p.stage("a")
            p.advance(3)
            raise ValueError("boom")
    found = await live.get("x")
    assert (found.status, found.error, found.error_type) == ("failed", "boom", "ValueError")
    assert found.stages is not None
    assert (found.stages[0].status, found.stages[0].current) == ("failed", 3)


async def test_a_released_operation_goes_on(live: ProgressTracker) -> None:
    with pytest.raises(ConnectionError):
        async with live.track("x", stages=["a", "b"], total=None) as p:
            p.stage("a", total=10)
            p.advance(4)
            p.release("tried again soon")
            assert p.released
            p.advance(1)  # what is told until the end of the block is kept
            raise ConnectionError("the server is away")
    found = await live.get("x")
    assert (found.status, found.message, found.error) == ("processing", "tried again soon", None)
    assert found.stages is not None
    assert (found.stages[0].status, found.stages[0].current) == ("processing", 5)
    p.update(message="late")  # nobody's report any more
    async with live.track("x", resume=True) as again:
        assert (again.epoch, again.count) == (2, 5)
        again.advance(5)
    assert await is_now(live, "x", status="completed", progress=100)


async def test_a_cancelled_task_may_release(live: ProgressTracker) -> None:
    entered = asyncio.Event()

    async def work() -> None:
        async with live.track("x") as p:
            try:
                p.update(30)
                entered.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                p.release()
                raise

    task = asyncio.create_task(work())
    await entered.wait()
    await live.request_cancel("x")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: is_now(live, "x", status="processing", progress=30))
    # whoever takes it up hears of the wish
    with pytest.raises(ProgressCancelled):
        async with live.track("x", resume=True) as again:
            again.update(40)
    assert await is_now(live, "x", status="cancelled")


async def test_a_released_operation_has_the_time_that_it_was_made_with(
    live: ProgressTracker,
) -> None:
    async with live.track("x") as p:
        held = await live.store.get("x")
        p.release()
    found = await live.store.get("x")
    assert held is not None
    assert found is not None
    assert (held.writer, held.stale_after) == (p.writer, live.settings.lease)
    assert (found.writer, found.stale_after) == (None, live.settings.stale_after)


async def test_a_cancelled_task_cancels(live: ProgressTracker) -> None:
    entered = asyncio.Event()

    async def work() -> None:
        async with live.track("x") as p:
            p.update(30)
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: is_now(live, "x", status="cancelled", progress=30))


async def test_a_task_cancelled_while_it_begins(live: ProgressTracker) -> None:
    async def work() -> None:
        async with live.track("x"):
            await asyncio.Event().wait()  # the background thread may have been quicker than we

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: live.get_stats().cancelled == 1)
    assert (await live.get("x")).status == "cancelled"


def test_blocking_code(url: str) -> None:
    tracker = ProgressTracker.from_url(url)
    with tracker.track("x", total=3) as p:
        for _ in p.iter(range(3)):
            pass
    with pytest.raises(KeyError), tracker.track("y"):
        raise KeyError("k")
    with pytest.raises(KeyboardInterrupt), tracker.track("z"):
        raise KeyboardInterrupt
    states = {
        each.id: (str(each.status), each.current) for each in asyncio.run(tracker.list_progress())
    }
    assert states == {"x": ("completed", 3), "y": ("failed", None), "z": ("cancelled", None)}
    asyncio.run(tracker.aclose())


async def test_blocking_use_inside_a_loop(live: ProgressTracker) -> None:
    with live.track("x") as p:
        p.advance(2)
    assert (await live.get("x")).current == 2


async def test_children(live: ProgressTracker) -> None:
    async with live.track("p", user_id="u", total=4) as p:
        for _ in range(2):
            async with p.child(kind="part") as c:
                c.update(10)
        found = await live.get("p")
        assert found.progress == 50
        with pytest.raises(ValueError, match="no"):
            async with p.child("bad", weight=2, metadata={"a": 1}, stages=["s"]) as c:
                raise ValueError("no")
    found = await live.get("bad")
    assert (found.parent_id, found.user_id, found.status) == ("p", "u", "failed")
    with pytest.raises(ProgressConflict):
        async with p.child():
            pass


async def test_a_handle_must_be_entered(tracker: ProgressTracker) -> None:
    p = tracker.track("x")
    assert p.epoch == 0
    with pytest.raises(ProgressError, match="enter"):
        p.update(5)
    with pytest.raises(ProgressError, match="enter"):
        p.advance()
    with pytest.raises(ProgressNotFound):
        async with tracker.track(parent_id="nobody"):
            pass


async def test_a_request_to_cancel_reaches_the_worker(live: ProgressTracker) -> None:
    with pytest.raises(ProgressCancelled):
        async with live.track("x") as p:
            child = p.child()
            async with child:
                await live.request_cancel("x")
                assert p.cancelled
                assert child.cancelled
                p.log("cleaning up")
                for _ in p.iter(range(5)):
                    raise AssertionError("no further item")
    found = await live.get("x")
    assert (found.status, found.logs[0].message) == ("cancelled", "cleaning up")


async def test_a_request_of_another_process(url: str) -> None:
    if url == "memory://":
        pytest.skip("one process")
    settings = Settings.from_mapping({"storage": {"connection_string": url}, "lease": 0.5})
    ours, theirs = ProgressTracker(settings), ProgressTracker(settings)
    async with ours, theirs, ours.track("x") as p:
        await theirs.request_cancel("x")
        await until(lambda: p.cancelled)  # though nothing is written meanwhile
        with pytest.raises(ProgressCancelled):
            p.update(5)
        late = p.child()
        assert late.cancelled


@pytest.mark.parametrize("read", [True, False])
async def test_a_request_reaches_who_takes_over(live: ProgressTracker, read: bool) -> None:
    """Its first worker is gone; whether anybody looked before the second began, or not."""
    await live.create(id="x")
    now = time.time() - 60

    def gone(base: Record) -> Record:
        return rules.take_over(base, now, "gone", 1.0, State(), resume=False)

    await store_rule(live.store, "x", gone)
    await live.request_cancel("x")
    if read:
        assert (await live.get("x")).reason == "stalled"
    with pytest.raises(ProgressCancelled):
        async with live.track("x") as p:
            p.update(5)
    found = await live.get("x")
    assert (found.status, found.epoch) == ("cancelled", 3)
    async with live.track("x") as p:
        p.update(5)  # the request was answered


async def test_a_zombie_is_refused(live: ProgressTracker) -> None:
    async with live.track("x", total=10) as old:
        old.advance(6)
        await until(lambda: is_now(live, "x", current=6))
        async with live.track("x", total=10) as new:
            assert new.epoch == 2
            assert (await live.get("x")).current in {0, None}
            old.advance(1)
            new.advance(2)
            await until(lambda: old.fenced)
            old.update(99)
            await until(lambda: is_now(live, "x", current=2))
    found = await live.get("x")
    assert (found.status, found.epoch, found.current) == ("completed", 2, 2)


@pytest.mark.parametrize("stages", [None, ["s"]])
async def test_totals_of_loops_are_of_their_worker(
    live: ProgressTracker, stages: list[str] | None
) -> None:
    """Who begins anew has loops of their own; what was planned or said holds."""

    async def run(id: str, items: int, *, total: int | None = None, **options: Any) -> float | None:
        async with live.track(id, stages=stages, **options) as p:
            if stages:
                p.stage("s", total=total)
            elif total is not None:
                p.update(total=total)
            for _ in p.iter(range(items)):
                pass
        found = await live.get(id)
        return found.stages[0].total if found.stages else found.total

    assert await run("x", 3) == 3
    assert await run("x", 20) == 20
    assert await run("x", 5, resume=True) == 20, "the rest of the same loop"
    assert await run("x", 4) == 4
    assert await run("x", 3, total=500) == 500
    assert await run("x", 2) == (2 if stages else 500), "stages are planned anew"
    await live.create(id="y", stages=stages, total=500)
    for _ in range(2):
        async with live.track("y") as p:
            for _ in p.iter(range(20)):
                pass
        found = await live.get("y")
        assert (found.stages[0].total if found.stages else found.total) == 500
    await live.create(id="z", stages=stages)
    for items in (3, 7):
        async with live.track("z") as p:
            for _ in p.iter(range(items)):
                pass
        found = await live.get("z")
        assert (found.stages[0].total if found.stages else found.total) == items


async def test_resume_keeps_the_counts(live: ProgressTracker) -> None:
    with pytest.raises(RuntimeError):
        async with live.track("x", stages=["a", "b"]) as p:
            p.stage("a", total=4)
            p.advance(4)
            p.stage("b", total=10)
            p.advance(7)
            p.log("first run")
            raise RuntimeError
    async with live.track("x", resume=True) as p:
        p.advance(1)
        await until(lambda: is_now(live, "x", current=8, stage="b"))
        found = await live.get("x")
        assert (found.progress, found.epoch, found.error) == (90, 2, None)
        assert found.logs[0].message == "first run"
    async with live.track("x", stages=["other"]) as p:
        found = await live.get("x")
        assert [each.name for each in found.stages or ()] == ["other"]
        assert found.progress == 0


async def test_a_live_handle_never_stalls(url: str) -> None:
    """Its lease is renewed by the background, long before it ends, without any progress."""
    settings = Settings.from_mapping({"storage": {"connection_string": url}, "lease": 5.0})
    async with ProgressTracker(settings) as tracker, tracker.track("x"):

        async def stale_at() -> float:
            found = await tracker.store.get("x")
            assert found is not None
            return found.stale_at or 0.0

        for _ in range(2):
            before = await stale_at()

            async def renewed(than: float = before) -> bool:
                return await stale_at() > than

            await until(renewed)
        assert (await tracker.get("x")).status == "processing"
