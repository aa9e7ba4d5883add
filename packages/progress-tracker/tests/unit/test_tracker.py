"""The service on the store in memory, on a clock that stands still."""

import asyncio
import math
from typing import Any

import pytest

from progress_tracker import (
    InvalidProgress,
    ProgressCancelled,
    ProgressConflict,
    ProgressNotFound,
    ProgressOptions,
    ProgressStatus,
    ProgressTracker,
)
from progress_tracker._common.telemetry import correlated
from progress_tracker.testing import FakeClock

DONE = ProgressStatus.COMPLETED


def statuses(progress: Any) -> list[str]:
    return [str(each.status) for each in progress.stages]


async def test_create_returns_a_pending_operation(tracker: ProgressTracker) -> None:
    made = await tracker.create(id="f", stages=["a", "b"], metadata={"n": 1}, user_id="u", kind="k")
    assert (made.id, made.status, made.progress, made.position) == ("f", "pending", 0, (1, 1))
    assert (made.user_id, made.kind, made.metadata) == ("u", "k", {"n": 1})
    assert [each.name for each in made.stages or ()] == ["a", "b"]
    assert await tracker.get("f") == made


async def test_options_or_keywords(tracker: ProgressTracker) -> None:
    made = await tracker.create(ProgressOptions(id="x", total=5))
    assert made.total == 5
    with pytest.raises(TypeError, match="not both"):
        await tracker.create(ProgressOptions(id="y"), kind="k")
    with pytest.raises(TypeError):
        await tracker.create({"id": "y"})  # type: ignore[arg-type]


async def test_an_id_is_taken_once(tracker: ProgressTracker) -> None:
    await tracker.create(id="x", user_id="a")
    with pytest.raises(ProgressConflict):
        await tracker.create(id="x")
    again = await tracker.create(id="x", user_id="a", exist_ok=True)
    assert again.user_id == "a"
    with pytest.raises(ProgressConflict):
        await tracker.create(id="x", user_id="b", exist_ok=True)


async def test_ids_are_unguessable(tracker: ProgressTracker) -> None:
    first, second = await tracker.create(), await tracker.create()
    assert first.id != second.id
    assert len(first.id) == 32


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


async def test_users_see_only_their_own(tracker: ProgressTracker) -> None:
    await tracker.create(id="x", user_id="anna")
    for step in (
        tracker.get("x", user_id="ben"),
        tracker.update("x", 5, user_id="ben"),
        tracker.advance("x", user_id="ben"),
        tracker.complete("x", user_id="ben"),
        tracker.fail("x", "no", user_id="ben"),
        tracker.cancel("x", user_id="ben"),
        tracker.request_cancel("x", user_id="ben"),
        tracker.skip_stage("x", "a", user_id="ben"),
        tracker.restart("x", user_id="ben"),
        anext(tracker.watch("x", user_id="ben")),
    ):
        with pytest.raises(ProgressNotFound, match="no operation 'x'"):
            await step
    assert not await tracker.delete("x", user_id="ben")
    assert [each.id for each in await tracker.list_progress(user_id="ben")] == []
    await tracker.update("x", 5, user_id="anna")
    assert await tracker.delete("x", user_id="anna")


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, True, -1, 100.1, "5", None, 10**400, [1]]
)
async def test_bad_percents_write_nothing(tracker: ProgressTracker, value: Any) -> None:
    await tracker.create(id="x", stages=["a"])
    before = await tracker.get("x")
    for step in (tracker.update("x", value), tracker.update("x", value, "a")):
        with pytest.raises(InvalidProgress):
            await step
    with tracker.track() as p, pytest.raises(InvalidProgress):
        p.update("5" if value is None else value)
    assert await tracker.get("x") == before


@pytest.mark.parametrize("n", [math.nan, math.inf, True, -1, "1", None])
async def test_bad_increments_write_nothing(tracker: ProgressTracker, n: Any) -> None:
    await tracker.create(id="x")
    with pytest.raises(InvalidProgress):
        await tracker.advance("x", n)
    with tracker.track() as p, pytest.raises(InvalidProgress):
        p.advance(n)
    assert (await tracker.get("x")).version == 1


@pytest.mark.parametrize(
    "options",
    [
        {"id": "x" * 201}, {"id": ""}, {"id": "a\nb"}, {"id": "\udc00"}, {"id": 5},
        {"metadata": {"x": "y" * 70_000}}, {"metadata": {"x": math.nan}},
        {"metadata": {"x": "\udc00"}}, {"metadata": {"x": "\x00"}}, {"metadata": {"x": object()}},
        {"metadata": {1: 2}}, {"metadata": [1]},
        {"stages": "abc"}, {"stages": ["a", "a"]}, {"stages": [""]}, {"stages": ["a"] * 1001},
        {"stages": ["a"], "weights": {"b": 1}}, {"stages": ["a"], "weights": [1, 2]},
        {"stages": ["a"], "weights": [0]}, {"stages": ["a"], "weights": [math.nan]},
        {"weights": [1]}, {"total": -1}, {"total": math.nan}, {"weight": 0, "id": "w"},
        {"user_id": "a\tb"}, {"kind": ""}, {"parent_id": "\n"},
    ],
)  # fmt: skip
async def test_bad_options_write_nothing(tracker: ProgressTracker, options: Any) -> None:
    with pytest.raises(InvalidProgress):
        await tracker.create(**options)
    with pytest.raises(InvalidProgress):
        tracker.track(**options)
    assert await tracker.list_progress() == []


async def test_deep_metadata_is_refused(tracker: ProgressTracker) -> None:
    deep: Any = {}
    for _ in range(100):
        deep = {"x": deep}
    with pytest.raises(InvalidProgress, match="deeper"):
        await tracker.create(metadata=deep)


async def test_unknown_stages_and_messages(tracker: ProgressTracker) -> None:
    await tracker.create(id="x", stages=["a"])
    await tracker.create(id="y")
    for step in (
        tracker.update("x", 5, "b"),
        tracker.update("y", 5, "b"),
        tracker.advance("y", 1, "b"),
        tracker.update("x", 5, message="\udc00"),
        tracker.update("x", 5, message=5),  # type: ignore[arg-type]
        tracker.complete("x", object()),
        tracker.list_progress(limit=0),
        tracker.list_progress(status="lost"),  # type: ignore[arg-type]
        tracker.restart("y", "b"),
    ):
        with pytest.raises((InvalidProgress, ProgressConflict)):
            await step
    await tracker.update("x", 5, message="m" * 5000)
    assert len((await tracker.get("x")).message or "") == 2000


async def test_an_error_that_cannot_be_printed(tracker: ProgressTracker) -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    await tracker.create(id="x")
    await tracker.fail("x", Broken())
    assert (await tracker.get("x")).error == "<unprintable error>"
    await tracker.create(id="y")
    await tracker.fail("y", ValueError("\udc00" + "x" * 5000))
    assert len((await tracker.get("y")).error or "") == 2000


async def test_children_make_their_parents_percent(tracker: ProgressTracker) -> None:
    await tracker.create(id="p", user_id="u")
    for n in range(4):
        await tracker.create(id=f"c{n}", parent_id="p")
    assert (await tracker.get("p")).status == "pending"
    await tracker.update("c0", 50)
    await tracker.complete("c1")
    await tracker.fail("c2", "no")
    await tracker.cancel("c3")
    found = await tracker.get("p")
    assert (found.progress, found.status) == (37.5, "processing")
    children = found.children
    assert children is not None
    assert (children.total, children.completed, children.failed, children.cancelled) == (4, 1, 1, 1)
    assert children.active == 1
    listed = await tracker.list_progress(parent_id="p")
    assert sorted(each.id for each in listed) == ["c0", "c1", "c2", "c3"]
    await tracker.complete("p")
    with pytest.raises(ProgressConflict):
        await tracker.create(parent_id="p")
    with pytest.raises(ProgressNotFound):
        await tracker.create(parent_id="nobody")
    assert await tracker.delete("p")
    assert await tracker.list_progress() == []


async def test_nesting_has_an_end(tracker: ProgressTracker) -> None:
    parent = (await tracker.create()).id
    for _ in range(16):
        parent = (await tracker.create(parent_id=parent)).id
    with pytest.raises(ProgressConflict, match="deep"):
        await tracker.create(parent_id=parent)


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


async def test_speed_and_time_left(tracker: ProgressTracker, clock: FakeClock) -> None:
    await tracker.create(id="x", total=100)
    await tracker.advance("x", 0)
    assert (await tracker.get("x")).eta is None
    for _ in range(20):
        await clock.advance(1)
        await tracker.advance("x", 2)
    found = await tracker.get("x")
    assert found.rate == pytest.approx(2, rel=0.01)
    assert found.eta == pytest.approx(30, rel=0.01)
    await tracker.create(id="staged", stages=["a", "b"])
    for n in range(11):
        await tracker.update("staged", n, "a")
        await clock.advance(1)
    found = await tracker.get("staged")
    assert found.rate == pytest.approx(0.5, rel=0.01), "percent of the whole"
    assert found.eta == pytest.approx(190, rel=0.01)
    await tracker.complete("x")
    assert (await tracker.get("x")).eta is None


async def test_a_parents_time_left(tracker: ProgressTracker, clock: FakeClock) -> None:
    async with tracker.track("p", total=4) as p:
        await tracker.create(id="a", parent_id="p")
        await clock.advance(10)
        await tracker.complete("a")
        found = await tracker.get("p")
        assert found.eta == pytest.approx(30)
        p.update(message="going")


async def test_the_correlation_id_is_kept(tracker: ProgressTracker) -> None:
    with correlated("abc"):
        await tracker.create(id="x", metadata={"a": 1})
        async with tracker.track("y"):
            pass
    assert (await tracker.get("x")).metadata == {"a": 1, "correlation_id": "abc"}
    assert (await tracker.get("y")).metadata["correlation_id"] == "abc"


async def test_figures(tracker: ProgressTracker) -> None:
    await tracker.create(id="x")
    await tracker.update("x", 1)
    await tracker.complete("x")
    stats = tracker.get_stats()
    assert (stats.operations, stats.completed, stats.writes, stats.active) == (1, 1, 2, 0)


async def test_request_cancel_reaches_all_parts(tracker: ProgressTracker) -> None:
    await tracker.create(id="p")
    await tracker.create(id="c", parent_id="p")
    await tracker.create(id="done", parent_id="p")
    await tracker.complete("done")
    await tracker.request_cancel("p")
    await tracker.request_cancel("p")
    assert (await tracker.get("c")).cancel_requested
    with pytest.raises(ProgressCancelled):
        async with tracker.track("c") as p:
            p.advance()
    assert (await tracker.get("c")).status == "cancelled"
