"""Stalled operations, retention, figures."""

import pytest

from progress_tracker import (
    ProgressConflict,
    ProgressNotFound,
    ProgressStatus,
    ProgressTracker,
)
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
