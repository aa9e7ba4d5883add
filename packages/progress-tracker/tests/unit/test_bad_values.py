"""What cannot be progress is refused, and nothing is written."""

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from progress_tracker import (
    ConfigurationError,
    InvalidProgress,
    ProgressConflict,
    ProgressNotFound,
    ProgressTracker,
)


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


async def test_numbers_of_other_libraries(tracker: ProgressTracker) -> None:
    """NumPy registers its numbers as these do; what is stored of them is Python's."""
    half = Fraction(1, 2)
    await tracker.create(id="x", total=Fraction(10))  # type: ignore[arg-type]
    await tracker.advance("x", half)  # type: ignore[arg-type]
    await tracker.update("x", 40 + half)  # type: ignore[arg-type]
    found = await tracker.get("x")
    assert (found.current, found.total, found.progress) == (0.5, 10, 40.5)
    assert {type(found.current), type(found.total)} == {float}
    for wrong in (Decimal(1), 1j, Fraction(-1)):
        with pytest.raises(InvalidProgress):
            await tracker.advance("x", wrong)  # type: ignore[arg-type]


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


HUGE = 10**5000


@pytest.mark.parametrize(
    "id", ["", "\ud800", "a\x00b", 5, None, [], b"x", pytest.param(HUGE, id="huge")]
)
async def test_what_cannot_be_an_id_is_absent(url: str, id: Any) -> None:
    async with ProgressTracker.from_url(url) as tracker:
        for step in (
            tracker.get(id),
            tracker.update(id, 5),
            tracker.advance(id),
            tracker.complete(id),
            anext(tracker.watch(id)),
        ):
            with pytest.raises(ProgressNotFound):
                await step
        assert not await tracker.delete(id)


@pytest.mark.parametrize("value", ["", "\ud800", 5, [], pytest.param(HUGE, id="huge")])
async def test_bad_filters(url: str, value: Any) -> None:
    async with ProgressTracker.from_url(url) as tracker:
        for name in ("user_id", "parent_id", "kind"):
            with pytest.raises(InvalidProgress):
                await tracker.list_progress(**{name: value})
        with pytest.raises(ConfigurationError, match="cursor"):
            await tracker.list_progress(cursor=value)
        with pytest.raises(ConfigurationError, match="cursor"):
            await tracker.list_progress(cursor="1.0:\ud800")
    if value != []:
        with pytest.raises(InvalidProgress):
            await tracker.list_progress(status=value)


@pytest.mark.parametrize("value", ["1", 1.5, True, -1, pytest.param(HUGE, id="huge")])
async def test_bad_epochs_and_positions(tracker: ProgressTracker, value: Any) -> None:
    await tracker.create(id="x")
    for step in (
        tracker.update("x", 5, epoch=value),
        tracker.advance("x", epoch=value),
        tracker.complete("x", epoch=value),
        tracker.fail("x", "no", epoch=value),
        tracker.cancel("x", epoch=value),
        anext(tracker.watch("x", (math.inf, 1))),  # type: ignore[arg-type]
    ):
        with pytest.raises(InvalidProgress):
            await step
    assert (await tracker.get("x")).version == 1


def test_bad_constructions() -> None:
    with pytest.raises(ConfigurationError, match="Settings"):
        ProgressTracker({"storage": {}})  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="URL"):
        ProgressTracker.from_url(5)  # type: ignore[arg-type]
    for url in ("sqlite:///\ud800.db", "sqlite:///a\x00b.db"):
        with pytest.raises(ConfigurationError, match="control"):
            _ = ProgressTracker.from_url(url).store
