"""``update``, ``advance``, how operations end, and ``restart``."""

import asyncio
from typing import Any

import pytest

from progress_tracker import (
    InvalidProgress,
    ProgressCancelled,
    ProgressConflict,
    ProgressTracker,
)


def statuses(progress: Any) -> list[str]:
    return [str(each.status) for each in progress.stages]


async def test_a_percent_never_runs_backwards(tracker: ProgressTracker) -> None:
    await tracker.create(id="x")
    for value in (10, 50, 30.5, 50):
        await tracker.update("x", value)
    found = await tracker.get("x")
    assert (found.progress, found.status) == (50, "processing")
    assert found.version == 3, "what changes nothing is not stored"


async def test_stages(tracker: ProgressTracker) -> None:
    await tracker.create(id="x", stages=["a", "b", "c"])
    await tracker.update("x", 40)
    found = await tracker.get("x")
    assert (found.stage, statuses(found)) == ("a", ["processing", "pending", "pending"])
    await tracker.update("x", 50, "b", message="working")
    found = await tracker.get("x")
    assert statuses(found) == ["completed", "processing", "pending"]
    assert (found.progress, found.stage, found.message) == (50, "b", "working")
    await tracker.update("x", 99, "a")
    assert (await tracker.get("x")).stage == "b", "a late write of an earlier stage loses"
    await tracker.update("x", 60)
    found = await tracker.get("x")
    assert found.stages is not None
    assert found.stages[1].progress == 60
    await tracker.complete("x", {"pages": 3})
    found = await tracker.get("x")
    assert statuses(found) == ["completed"] * 3
    assert all(each.progress == 100 for each in found.stages or ())
    assert (found.progress, found.result, found.status) == (100, {"pages": 3}, "completed")
    assert found.completed_at is not None


async def test_weights(tracker: ProgressTracker) -> None:
    await tracker.create(id="x", stages=["a", "b"], weights={"a": 3})
    await tracker.update("x", 100, "a")
    assert (await tracker.get("x")).progress == 75
    await tracker.create(id="y", stages=["a", "b"], weights=[1, 9])
    await tracker.update("y", 100, "a")
    assert (await tracker.get("y")).progress == 10


async def test_a_stage_that_is_skipped_has_no_part(tracker: ProgressTracker) -> None:
    await tracker.create(id="x", stages=["a", "b", "c"])
    await tracker.update("x", 100, "a")
    await tracker.skip_stage("x", "b")
    await tracker.skip_stage("x", "b")
    found = await tracker.get("x")
    assert found.progress == 50
    assert found.stages is not None
    assert found.stages[1].skipped
    with pytest.raises(ProgressConflict):
        await tracker.skip_stage("x", "a")
    with pytest.raises(InvalidProgress):
        await tracker.skip_stage("x", "z")


async def test_advance_counts_against_a_growing_total(tracker: ProgressTracker) -> None:
    await tracker.create(id="x", total=4)
    await tracker.advance("x")
    await tracker.advance("x", 2)
    found = await tracker.get("x")
    assert (found.current, found.total, found.progress) == (3, 4, 75)
    await tracker.create(id="unknown")
    await tracker.advance("unknown", 7)
    found = await tracker.get("unknown")
    assert (found.current, found.total, found.progress) == (7, None, 0)
    await tracker.create(id="staged", stages=["a", "b"], total=10)
    await tracker.advance("staged", 5, "b")
    found = await tracker.get("staged")
    assert (found.current, found.total, found.progress) == (5, 10, 25)


async def test_no_increment_is_lost_between_writers(tracker: ProgressTracker) -> None:
    await tracker.create(id="x", total=200)
    await asyncio.gather(*(tracker.advance("x") for _ in range(100)))
    assert (await tracker.get("x")).current == 100


async def test_fail_marks_the_running_stage(tracker: ProgressTracker) -> None:
    await tracker.create(id="x", stages=["a", "b", "c"])
    await tracker.update("x", 100, "a")
    await tracker.update("x", 30, "b")
    await tracker.fail("x", ValueError("no disk"))
    found = await tracker.get("x")
    assert statuses(found) == ["completed", "failed", "pending"]
    assert (found.status, found.error, found.error_type) == ("failed", "no disk", "ValueError")
    assert found.reason is None


async def test_a_terminal_state_takes_no_write(tracker: ProgressTracker) -> None:
    await tracker.create(id="x")
    await tracker.complete("x")
    before = await tracker.get("x")
    for step in (
        tracker.update("x", 5),
        tracker.advance("x"),
        tracker.complete("x"),
        tracker.fail("x", "late"),
        tracker.cancel("x"),
        tracker.request_cancel("x"),
    ):
        with pytest.raises(ProgressConflict):
            await step
    assert await tracker.get("x") == before


async def test_fail_with_a_cancellation_cancels(tracker: ProgressTracker) -> None:
    await tracker.create(id="x")
    await tracker.fail("x", ProgressCancelled("stop"))
    assert (await tracker.get("x")).status == "cancelled"


async def test_restart_recovers_from_the_failed_stage(tracker: ProgressTracker) -> None:
    await tracker.create(id="x", stages=["a", "b", "c"])
    await tracker.update("x", 100, "a")
    await tracker.update("x", 60, "b")
    with pytest.raises(ProgressConflict):
        await tracker.restart("x")
    await tracker.fail("x", "crash")
    again = await tracker.restart("x")
    assert (again.status, again.epoch, again.stage, again.error) == ("pending", 2, "b", None)
    assert statuses(again) == ["completed", "pending", "pending"]
    assert again.stages is not None
    assert again.stages[1].progress == 60, "counters are kept"
    await tracker.update("x", 10, "b")
    found = await tracker.get("x")
    assert found.stages is not None
    assert found.stages[1].progress == 10, "the new epoch may run backwards once"
    with pytest.raises(ProgressConflict):
        await tracker.update("x", 20, "b", epoch=1)
    await tracker.update("x", 20, "b", epoch=2)


async def test_restart_from_a_stage(tracker: ProgressTracker) -> None:
    await tracker.create(id="x", stages=["a", "b"])
    await tracker.complete("x")
    again = await tracker.restart("x", "a")
    assert statuses(again) == ["pending", "pending"]
    assert again.progress == 0
    await tracker.create(id="plain", total=10)
    await tracker.advance("plain", 4)
    await tracker.cancel("plain")
    again = await tracker.restart("plain")
    assert (again.current, again.progress) == (4, 40)
