"""Stalled operations, retention, figures."""

from collections.abc import Collection, Mapping

import pytest

from progress_tracker import (
    BackendError,
    ProgressConflict,
    ProgressNotFound,
    ProgressStatus,
    ProgressTracker,
)
from progress_tracker.adapters.memory import MemoryStore
from progress_tracker.ports import Record
from progress_tracker.testing import FakeClock

DONE = ProgressStatus.COMPLETED


async def test_nobody_writes_any_more(tracker: ProgressTracker, clock: FakeClock) -> None:
    await tracker.create(id="x")
    await clock.advance(4000)
    assert (await tracker.get("x")).status == "pending", "what waits has not stalled"
    await tracker.update("x", 5)
    await clock.advance(3599)
    assert (await tracker.get("x")).status == "processing"
    await clock.advance(2)
    found = await tracker.get("x")
    assert (found.status, found.reason) == ("failed", "stalled")
    assert tracker.get_stats().failed == 1
    with pytest.raises(ProgressConflict):
        await tracker.update("x", 6)
    assert (await tracker.restart("x")).reason is None


async def test_a_listing_notices_too(tracker: ProgressTracker, clock: FakeClock) -> None:
    await tracker.create(id="x")
    await tracker.update("x", 5)
    await clock.advance(3601)
    (found,) = await tracker.list_progress(status="processing")  # type: ignore[arg-type]
    assert found.reason == "stalled"


async def test_one_that_cannot_be_read_keeps_no_other(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Unreadable(MemoryStore):
        async def get_many(self, ids: Collection[str]) -> Mapping[str, Record]:
            if "bad" in ids:
                raise BackendError("the stored record of 'bad' cannot be read")
            return await super().get_many(ids)

    store = MemoryStore()
    async with ProgressTracker(store=store, clock=clock) as tracker:
        for id in ("bad", "good"):
            await tracker.create(id=id)
            await tracker.update(id, 5)
        await tracker.create(id="old")
        await tracker.complete("old")
    async with ProgressTracker(store=Unreadable(state=store._state), clock=clock) as tracker:
        await clock.advance(90_000)
        swept = await tracker.sweep()
        assert (swept.stalled, swept.deleted) == (1, 1)
        assert (await tracker.get("good")).reason == "stalled"
    assert "progress.not_swept" in caplog.messages


async def test_sweep_deletes_what_is_old(tracker: ProgressTracker, clock: FakeClock) -> None:
    for name in ("done", "cancelled", "failed", "slow", "open"):
        await tracker.create(id=name)
    await tracker.create(id="part", parent_id="open")
    await tracker.complete("part")
    await tracker.complete("done")
    await tracker.cancel("cancelled")
    await tracker.fail("failed", "no")
    await tracker.update("slow", 1)
    await clock.advance(86_401)
    swept = await tracker.sweep()
    assert (swept.stalled, swept.deleted) == (2, 2), "slow, and open by its part"
    left = {each.id for each in await tracker.list_progress()}
    assert left == {"failed", "slow", "open", "part"}
    await clock.advance(604_801)
    assert (await tracker.sweep()).deleted == 4


async def test_it_sweeps_by_itself_once_a_minute(
    tracker: ProgressTracker, clock: FakeClock
) -> None:
    await tracker.create(id="x")
    await tracker.complete("x")
    await clock.advance(86_500)
    await tracker.create(id="y")
    await clock.advance(0)
    with pytest.raises(ProgressNotFound):
        await tracker.get("x")
    await tracker.complete("y")
    await clock.advance(30)
    assert (await tracker.get("y")).status is DONE


async def test_figures(tracker: ProgressTracker) -> None:
    await tracker.create(id="x")
    await tracker.update("x", 1)
    await tracker.complete("x")
    stats = tracker.get_stats()
    assert (stats.operations, stats.completed, stats.writes, stats.active) == (1, 1, 2, 0)
