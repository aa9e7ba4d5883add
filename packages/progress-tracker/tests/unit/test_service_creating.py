"""``create``, and whose operations one sees."""

import pytest

from progress_tracker import (
    InvalidProgress,
    ProgressConflict,
    ProgressNotFound,
    ProgressOptions,
    ProgressTracker,
)
from progress_tracker._common.telemetry import correlated


async def test_create_returns_a_pending_operation(tracker: ProgressTracker) -> None:
    made = await tracker.create(id="f", stages=["a", "b"], metadata={"n": 1}, user_id="u", kind="k")
    assert (made.id, made.status, made.progress, made.position) == ("f", "pending", 0, (1, 1))
    assert (made.user_id, made.kind, made.metadata) == ("u", "k", {"n": 1})
    assert [each.name for each in made.stages or ()] == ["a", "b"]
    assert await tracker.get("f") == made


async def test_errors_say_which_value(tracker: ProgressTracker) -> None:
    await tracker.create(id="x")
    for options, words in (
        ({"stages": ["a", "b", "a"]}, "twice: 'a'"),
        ({"stages": ["a", "b"], "weights": [1]}, r"2 numbers.*not \[1\]"),
        ({"metadata": [1]}, r"not \[1\]"),
    ):
        with pytest.raises(InvalidProgress, match=words):
            await tracker.create(**options)  # type: ignore[arg-type]
    with pytest.raises(ProgressConflict, match="'x' is taken; exist_ok=True"):
        await tracker.create(id="x")
    with pytest.raises(TypeError, match=r"keywords like id=….*'y'"):
        await tracker.create("y")  # type: ignore[arg-type]


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


async def test_the_correlation_id_is_kept(tracker: ProgressTracker) -> None:
    with correlated("abc"):
        await tracker.create(id="x", metadata={"a": 1})
        async with tracker.track("y"):
            pass
    assert (await tracker.get("x")).metadata == {"a": 1, "correlation_id": "abc"}
    assert (await tracker.get("y")).metadata["correlation_id"] == "abc"
