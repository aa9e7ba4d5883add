"""Watching: nothing lost, nothing twice, in rising order."""

import asyncio
from typing import Any

import pytest

from helpers import until
from progress_tracker import (
    BackendError,
    InvalidProgress,
    Progress,
    ProgressNotFound,
    ProgressTracker,
    Settings,
)
from progress_tracker.adapters.memory import MemoryBackplane, MemoryStore
from progress_tracker.testing import ChaosStore, FakeClock, settle


async def collect(tracker: ProgressTracker, id: str, *args: Any, **kwargs: Any) -> list[Progress]:
    return [each async for each in tracker.watch(id, *args, **kwargs)]


async def test_it_begins_with_the_current_state_and_ends_with_the_last(
    tracker: ProgressTracker,
) -> None:
    await tracker.create(id="x")
    await tracker.update("x", 10)
    watching = asyncio.create_task(collect(tracker, "x"))
    await settle()
    for value in (20, 30):
        await tracker.update("x", value)
        await settle()
    await tracker.complete("x")
    states = await watching
    assert [each.progress for each in states] == [10, 20, 30, 100]
    assert [each.position for each in states] == [(1, 2), (1, 3), (1, 4), (1, 5)]
    assert tracker.get_stats().watchers == 0


async def test_an_ended_operation_gives_its_end_once(tracker: ProgressTracker) -> None:
    await tracker.create(id="x")
    await tracker.fail("x", "no")
    assert [each.status for each in await collect(tracker, "x")] == ["failed"]
    assert await collect(tracker, "x", (1, 2)) == []
    assert await collect(tracker, "x", "1:2") == []
    assert len(await collect(tracker, "x", (1, 1))) == 1


async def test_a_known_state_is_not_repeated(tracker: ProgressTracker) -> None:
    await tracker.create(id="x")
    watching = asyncio.create_task(collect(tracker, "x", (1, 1)))
    await settle()
    await tracker.complete("x")
    assert [each.position for each in await watching] == [(1, 2)]


async def test_a_position_ahead_of_the_store_means_lost_history(tracker: ProgressTracker) -> None:
    await tracker.create(id="x")
    states = tracker.watch("x", (3, 99))
    assert (await anext(states)).position == (1, 1)
    await states.aclose()


@pytest.mark.parametrize("versions", [1, 2, 4])
async def test_an_end_is_told_by_a_store_that_lost_its_last_moments(
    clock: FakeClock, versions: int
) -> None:
    """A server without persistence is back with an older state, and gives versions again."""
    store = MemoryStore()
    async with ProgressTracker(store=store, clock=clock) as tracker:
        await tracker.create(id="x")
        older = await store.get("x")
        assert older is not None
        watching = asyncio.create_task(collect(tracker, "x"))
        await settle()
        for value in range(1, versions):
            await tracker.update("x", value)
            await settle()
        store._state.records["x"] = older
        await tracker.complete("x")
        await settle()
        *seen, last = await watching
        assert [each.version for each in seen] == list(range(1, versions + 1))
        assert (last.version, last.status) == (2, "completed")
        assert not any(each.is_final for each in seen)


async def test_a_slow_watcher_gets_the_newest(tracker: ProgressTracker) -> None:
    await tracker.create(id="x")
    states = tracker.watch("x")
    await anext(states)
    for value in range(1, 50):
        await tracker.update("x", value)
    await tracker.complete("x")
    await settle()
    assert [each.status async for each in states] == ["completed"]


async def test_unknown_and_bad(tracker: ProgressTracker) -> None:
    with pytest.raises(ProgressNotFound):
        await collect(tracker, "nobody")
    await tracker.create(id="x")
    for since in ("x", (1,), 5):
        with pytest.raises(InvalidProgress):
            await collect(tracker, "x", since)
    with pytest.raises(InvalidProgress):
        await collect(tracker, "x", wait_for_create=-1)


async def test_waiting_for_creation(tracker: ProgressTracker, clock: FakeClock) -> None:
    watching = asyncio.create_task(collect(tracker, "x", wait_for_create=10))
    await clock.advance(5)
    await tracker.create(id="x")
    await settle()
    await tracker.complete("x")
    assert (await watching)[-1].status == "completed"
    late = asyncio.create_task(collect(tracker, "y", wait_for_create=10))
    await clock.advance(11)
    with pytest.raises(ProgressNotFound):
        await late


async def test_deletion_ends_a_watch(tracker: ProgressTracker, clock: FakeClock) -> None:
    for recreate in (False, True):
        await tracker.create(id="x")
        await tracker.update("x", 50)
        states = tracker.watch("x")
        await anext(states)
        await tracker.delete("x")
        if recreate:
            await clock.advance(1)
            await tracker.create(id="x")
        with pytest.raises(ProgressNotFound):
            await anext(states)


async def test_a_restart_goes_on(tracker: ProgressTracker) -> None:
    await tracker.create(id="x")
    states = tracker.watch("x")
    await anext(states)
    await tracker.fail("x", "no")
    await tracker.restart("x")
    await tracker.complete("x")
    await settle()
    seen = [each async for each in states]
    assert seen[-1].status == "completed"
    assert seen[-1].epoch == 2


async def test_many_watchers_share_one_read() -> None:
    store = ChaosStore(MemoryStore())
    async with ProgressTracker(store=store) as tracker:
        await tracker.create(id="x")
        watching = [asyncio.create_task(collect(tracker, "x")) for _ in range(50)]
        await until(lambda: tracker.get_stats().watchers == 50)
        await settle()
        before = store.faults["calls"]
        await tracker.update("x", 50)
        await settle()
        assert store.faults["calls"] - before <= 3
        await tracker.complete("x")
        for each in watching:
            assert (await each)[-1].status == "completed"


async def test_a_stalled_worker_is_seen_by_a_watcher(
    tracker: ProgressTracker, clock: FakeClock
) -> None:
    await tracker.create(id="x")
    await tracker.update("x", 10)
    watching = asyncio.create_task(collect(tracker, "x"))
    await settle()
    await clock.advance(3602)
    states = await watching
    assert (states[-1].status, states[-1].reason) == ("failed", "stalled")


class _Deaf(MemoryBackplane):
    """Loses every message."""

    async def publish(self, ids: Any) -> None:
        pass


async def test_a_lossy_backplane_heals_by_the_safety_poll(clock: FakeClock) -> None:
    async with ProgressTracker(clock=clock, store=MemoryStore(), backplane=_Deaf()) as tracker:
        await tracker.create(id="x")
        watching = asyncio.create_task(collect(tracker, "x"))
        await settle()
        await tracker.complete("x")
        await clock.advance(14)
        assert not watching.done()
        await clock.advance(2)
        assert (await watching)[-1].status == "completed"


async def test_the_store_may_be_down_meanwhile(clock: FakeClock) -> None:
    store = ChaosStore(MemoryStore())
    async with ProgressTracker(clock=clock, store=store) as tracker:
        await tracker.create(id="x")
        watching = asyncio.create_task(collect(tracker, "x"))
        await settle()
        await tracker.complete("x")
        store.faults["down"] = True
        await clock.advance(5)
        assert not watching.done()
        store.faults["down"] = False
        await clock.advance(2)
        assert (await watching)[-1].status == "completed"


async def test_without_realtime_watchers_poll(clock: FakeClock) -> None:
    settings = Settings.from_mapping({"realtime": {"enabled": False}})
    async with ProgressTracker(settings, clock=clock) as tracker:
        await tracker.create(id="x")
        watching = asyncio.create_task(collect(tracker, "x"))
        await settle()
        await tracker.complete("x")
        await settle()
        assert not watching.done()
        await clock.advance(1.1)
        assert (await watching)[-1].status == "completed"


async def test_callbacks(tracker: ProgressTracker, caplog: pytest.LogCaptureFixture) -> None:
    await tracker.create(id="x", user_id="u")
    seen: list[float] = []
    later: list[float] = []

    def broken(progress: Progress) -> None:
        raise ValueError("mine")

    async def slow(progress: Progress) -> None:
        later.append(progress.progress)

    stop_broken = tracker.subscribe("x", broken)
    stop = tracker.subscribe("x", lambda progress: seen.append(progress.progress))
    tracker.subscribe("x", slow, user_id="u")
    tracker.subscribe("x", seen.append, user_id="somebody else")  # type: ignore[arg-type]
    await settle()
    await tracker.update("x", 10)
    await settle()
    stop()
    stop()
    await settle()
    await tracker.complete("x")
    await settle()
    assert (seen, later) == ([0, 10], [0, 10, 100])
    assert caplog.messages.count("progress.callback_failed") == 1
    assert "progress.subscription_ended" in caplog.messages
    stop_broken()


async def test_unsubscribe_inside_a_callback(tracker: ProgressTracker) -> None:
    await tracker.create(id="x")
    seen: list[float] = []

    def once(progress: Progress) -> None:
        seen.append(progress.progress)
        stop()

    stop = tracker.subscribe("x", once)
    await settle()
    await tracker.update("x", 10)
    await settle()
    assert seen == [0]


def test_subscribe_needs_a_loop() -> None:
    with pytest.raises(RuntimeError):
        ProgressTracker.from_url("memory://").subscribe("x", print)


async def test_cancelled_watchers_leave_nothing(tracker: ProgressTracker) -> None:
    await tracker.create(id="x")
    tasks = [asyncio.create_task(collect(tracker, "x")) for _ in range(5)]
    await settle()
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await settle()
    assert tracker.get_stats().watchers == 0
    names = [task.get_name() for task in asyncio.all_tasks()]
    assert not [name for name in names if name.startswith("progress.")]


async def test_closing_ends_watches(
    tracker: ProgressTracker, caplog: pytest.LogCaptureFixture
) -> None:
    await tracker.create(id="x")
    seen: list[Progress] = []
    watching = asyncio.create_task(collect(tracker, "x"))
    tracker.subscribe("x", seen.append)
    await settle()
    assert len(seen) == 1
    await tracker.aclose()
    with pytest.raises(BackendError, match="closed"):
        async with asyncio.timeout(60):
            await watching
    await until(lambda: "progress.subscription_failed" in caplog.messages)


async def test_a_broken_adapter_call_does_not_end_a_watch(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    async with ProgressTracker(Settings(), store=store, clock=clock) as tracker:
        await tracker.create(id="x")
        watching = asyncio.create_task(collect(tracker, "x"))
        await settle()
        right = store.get_many

        async def broken(ids: Any) -> Any:
            raise RuntimeError("a bug")

        store.get_many = broken  # type: ignore[method-assign]
        tracker._parts.topics.ring(["x"])
        await settle()
        store.get_many = right  # type: ignore[method-assign]
        await tracker.complete("x")
        await clock.advance(2)
        async with asyncio.timeout(60):
            assert (await watching)[-1].status == "completed"
        assert "progress.read_failed" in caplog.messages


async def test_bad_subscriptions(tracker: ProgressTracker) -> None:
    with pytest.raises(TypeError, match="callable"):
        tracker.subscribe("x", None)  # type: ignore[arg-type]
    with pytest.raises(InvalidProgress):
        tracker.subscribe("x", print, wait_for_create=-1)
