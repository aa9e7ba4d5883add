"""Handles: what costs no I/O, and what is stored of it."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from helpers import until
from progress_tracker import (
    BackendError,
    InvalidProgress,
    ProgressCancelled,
    ProgressConflict,
    ProgressError,
    ProgressHandle,
    ProgressNotFound,
    ProgressTracker,
    Settings,
)
from progress_tracker.adapters.memory import MemoryStore
from progress_tracker.testing import ChaosStore


@pytest.fixture
async def live(url: str) -> AsyncIterator[ProgressTracker]:
    """A tracker in real time, in memory and in a file."""
    settings = Settings.from_mapping(
        {"storage": {"connection_string": url}, "min_interval": 0.03, "lease": 1.0}
    )
    async with ProgressTracker(settings) as made:
        yield made


def chaotic(**settings: Any) -> tuple[ProgressTracker, ChaosStore]:
    store = ChaosStore(MemoryStore())
    chosen = {"min_interval": 0.02, "retry_budget": 0.1, "lease": 1.0, **settings}
    return ProgressTracker(Settings.from_mapping(chosen), store=store), store


async def test_it_completes(live: ProgressTracker) -> None:
    async with live.track("x", kind="k", user_id="u", metadata={"a": 1}) as p:
        assert (p.id, p.epoch, p.cancelled, p.fenced) == ("x", 1, False, False)
        found = await live.get("x")
        assert (found.status, found.kind, found.user_id) == ("processing", "k", "u")
        p.update(40, message="hello")
        await until(lambda: _is(live, "x", progress=40, message="hello"))
        p.result = {"pages": [1, 2]}
    found = await live.get("x")
    assert (found.status, found.progress, found.result) == ("completed", 100, {"pages": [1, 2]})
    assert live.get_stats().active == 0


async def _is(tracker: ProgressTracker, id: str, **expected: Any) -> bool:
    found = await tracker.get(id)
    return all(getattr(found, name) == value for name, value in expected.items())


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
    await until(lambda: _is(live, "x", status="cancelled", progress=30))


async def test_a_task_cancelled_while_it_begins(live: ProgressTracker) -> None:
    async def work() -> None:
        async with live.track("x"):
            raise AssertionError("not entered")

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


async def test_updates_are_stored_while_the_loop_is_blocked(live: ProgressTracker) -> None:
    seen: list[Any] = []

    def look() -> None:
        while not done.is_set():
            seen.append(asyncio.run(other.get("x")).current)

    other = live
    if not live.store.capabilities.shared:
        pytest.skip("needs a second tracker on the same store")
    other = ProgressTracker.from_url(live.settings.storage.url())
    done, thread = threading.Event(), threading.Thread(target=look)
    async with live.track("x") as p:
        thread.start()
        deadline = time.monotonic() + 5
        while not any(seen) and time.monotonic() < deadline:
            p.advance()  # never lets the loop run
        done.set()
        await asyncio.to_thread(thread.join)
    await other.aclose()
    assert any(seen)


async def test_writes_are_coalesced(live: ProgressTracker) -> None:
    async with live.track("x", total=50_000) as p:
        begun = time.monotonic()
        for _ in p.iter(range(50_000)):
            p.update(message="working")
        took = time.monotonic() - begun
    found = await live.get("x")
    assert found.current == 50_000
    # one for each interval, one at the beginning, one at the end, one for rounding
    assert live.get_stats().writes <= took / 0.03 + 3


async def test_the_first_update_goes_at_once() -> None:
    tracker, _ = chaotic(min_interval=3600)
    async with tracker, tracker.track("x") as p:
        p.update(10)
        await until(lambda: _is(tracker, "x", progress=10))
        p.update(20)
        p.log("an error", "error")
        await until(lambda: _is(tracker, "x", progress=20))


async def test_stages_go_at_once() -> None:
    tracker, _ = chaotic(min_interval=3600)
    async with tracker, tracker.track("x", stages=["a", "b", "c"]) as p:
        p.update(5)
        await until(lambda: _is(tracker, "x", stage="a"))
        p.stage("b", total=4, message="next")
        await until(lambda: _is(tracker, "x", stage="b", message="next", total=4))
        p.advance(2)
        p.stage("c")
        await until(lambda: _is(tracker, "x", stage="c"))
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
        await until(lambda: _is(live, "x", stage="a", current=5, progress=25))
        p.advance(10, "b")
        await until(lambda: _is(live, "x", stage="b", current=10, progress=100))


async def test_loops(live: ProgressTracker) -> None:
    async def numbers() -> AsyncIterator[int]:
        for n in range(5):
            yield n

    async with live.track("x") as p:
        assert list(p.iter([1, 2, 3])) == [1, 2, 3]
        assert [n async for n in p.iter("ab")] == ["a", "b"]
        assert [n async for n in p.iter(numbers())] == [0, 1, 2, 3, 4]
        assert list(p.iter(n for n in (1, 2))) == [1, 2]
        await until(lambda: _is(live, "x", current=12, total=5))
    async with live.track("y", total=100) as p:
        for _ in p.iter(range(10)):
            pass
        await until(lambda: _is(live, "y", current=10, total=100, progress=10))


async def test_a_growing_total(live: ProgressTracker) -> None:
    async with live.track("x") as p:
        p.update(current=5, total=10)
        await until(lambda: _is(live, "x", progress=50))
        p.update(total=100)
        await until(lambda: _is(live, "x", total=100))
        assert (await live.get("x")).progress == 50, "never backwards"
        p.update(current=80)
        await until(lambda: _is(live, "x", progress=80))


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


async def test_a_zombie_is_refused(live: ProgressTracker) -> None:
    async with live.track("x", total=10) as old:
        old.advance(6)
        await until(lambda: _is(live, "x", current=6))
        async with live.track("x", total=10) as new:
            assert new.epoch == 2
            assert (await live.get("x")).current in {0, None}
            old.advance(1)
            new.advance(2)
            await until(lambda: old.fenced)
            old.update(99)
            await until(lambda: _is(live, "x", current=2))
    found = await live.get("x")
    assert (found.status, found.epoch, found.current) == ("completed", 2, 2)


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
        await until(lambda: _is(live, "x", current=8, stage="b"))
        found = await live.get("x")
        assert (found.progress, found.epoch, found.error) == (90, 2, None)
        assert found.logs[0].message == "first run"
    async with live.track("x", stages=["other"]) as p:
        found = await live.get("x")
        assert [each.name for each in found.stages or ()] == ["other"]
        assert found.progress == 0


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


async def test_a_live_handle_never_stalls(url: str) -> None:
    settings = Settings.from_mapping({"storage": {"connection_string": url}, "lease": 0.2})
    async with ProgressTracker(settings) as tracker, tracker.track("x"):
        await asyncio.sleep(0.5)  # the lease is real time
        assert (await tracker.get("x")).status == "processing"


async def test_the_store_goes_away_and_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    tracker, store = chaotic()
    async with tracker:
        async with tracker.track("x") as p:
            p.update(10)
            await until(lambda: _is(tracker, "x", progress=10))
            store.faults["down"] = True
            for value in range(11, 50):
                p.update(value)
            await until(lambda: "progress.store_down" in caplog.messages)
            p.update(60)
            before = store.faults["calls"]
            await until(lambda: store.faults["calls"] >= before + 2)  # it was tried in vain
            store.faults["down"] = False
            await until(lambda: _is(tracker, "x", progress=60))
            await until(lambda: "progress.store_back" in caplog.messages)
            store.faults["down"] = True
        assert "progress.end_delayed" in caplog.messages
        store.faults["down"] = False
        await until(lambda: _is(tracker, "x", status="completed"))
    assert caplog.messages.count("progress.store_down") <= 2


async def test_store_errors_can_be_raised() -> None:
    tracker, store = chaotic(on_store_error="raise")
    async with tracker:
        with pytest.raises(BackendError):
            async with tracker.track("x") as p:
                store.faults["down"] = True
                deadline = time.monotonic() + 5
                while time.monotonic() < deadline:
                    p.update(50)
                    p.advance()
                    await asyncio.sleep(0.001)
                raise AssertionError("no error came")
        store.faults["down"] = False
        with pytest.raises(BackendError):
            async with tracker.track("y"):
                store.faults["down"] = True


async def test_begin_and_end_have_a_budget() -> None:
    tracker, store = chaotic()
    store.faults["down"] = True
    with pytest.raises(BackendError):
        async with tracker.track("x"):
            raise AssertionError("not entered")
    for step in (tracker.create(id="x"), tracker.complete("x"), tracker.fail("x", "no")):
        with pytest.raises(BackendError):
            await step
    store.faults["down"] = False
    await tracker.aclose()


async def test_lost_answers_count_once() -> None:
    tracker, store = chaotic(retry_budget=5)
    async with tracker:
        store.faults["lose_answers"] = 1
        assert (await tracker.create(id="x", total=10)).version == 1
        store.faults["lose_answers"] = 1
        await tracker.advance("x", 3)
        await tracker.advance("x", 2)
        found = await tracker.get("x")
        assert (found.current, found.version) == (5, 3)
        async with tracker.track("y") as p:
            for n in range(30):
                store.faults["lose_answers"] = n % 2
                p.advance()
                await asyncio.sleep(0.005)
        assert (await tracker.get("y")).current == 30
        await tracker.create(id="z")
        store.faults["lose_answers"] = 1
        await tracker.complete("z")


async def test_plain_updates_wait_for_the_store(caplog: pytest.LogCaptureFixture) -> None:
    tracker, store = chaotic()
    async with tracker:
        await tracker.create(id="x", stages=["a", "b"], total=10)
        await tracker.create(id="gone")
        store.faults["down"] = True
        await tracker.update("x", 10, "a")
        await tracker.update("x", 20, "a")
        await tracker.advance("x", 3, "b")
        await tracker.update("gone", 5)
        assert "progress.update_delayed" in caplog.messages
        store.faults["down"] = False
        assert await tracker.delete("gone")
        await until(lambda: _is(tracker, "x", stage="b", current=3))
        store.faults["down"] = True
        await tracker.advance("x", 4, "b")
        store.faults["down"] = False
        await tracker.complete("x")
        found = await tracker.get("x")
        assert found.stages is not None
        assert (found.status, found.stages[1].current) == ("completed", 7)
        await until(lambda: "progress.refused" in caplog.messages)


async def test_plain_updates_may_raise() -> None:
    tracker, store = chaotic(on_store_error="raise")
    async with tracker:
        await tracker.create(id="x")
        store.faults["down"] = True
        with pytest.raises(BackendError):
            await tracker.update("x", 10)
        store.faults["down"] = False
        await until(lambda: _is(tracker, "x", progress=10))


async def test_tracked_functions(live: ProgressTracker) -> None:
    @live.tracked(stages=["a", "b"], id=lambda n: f"job-{n}", user_id="u")
    async def work(n: int, p: ProgressHandle) -> int:
        p.stage("b")
        return n * 2

    @live.tracked
    def blocking(x: int, *, handle: "ProgressHandle") -> str:
        handle.update(50)
        return f"{x}{handle.id}"

    @live.tracked()
    def plain() -> int:
        """Say something."""
        return 7

    assert await work(4) == 8
    found = await live.get("job-4")
    assert (found.status, found.stage, found.user_id) == ("completed", "b", "u")
    assert found.kind == "test_tracked_functions.<locals>.work"
    assert blocking(1).startswith("1")
    assert await asyncio.to_thread(plain) == 7
    assert plain.__doc__ == "Say something."
    assert len(await live.list_progress(status="completed")) == 3  # type: ignore[arg-type]


async def test_aclose_stores_what_is_open(url: str) -> None:
    tracker = ProgressTracker(
        Settings.from_mapping({"storage": {"connection_string": url}, "min_interval": 3600})
    )
    store = tracker.store
    handle = tracker.track("x")
    async with handle as p:
        p.update(10)
        await until(lambda: _is(tracker, "x", progress=10))
        p.update(70)
        await tracker.aclose()
        found = await store.get("x")
        assert found is not None
        assert found.units == 70_000_000
        p.update(80)
    found = await store.get("x")
    assert found is not None
    assert found.status == "completed"
    await store.aclose()
