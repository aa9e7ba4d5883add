"""``rate`` and ``eta``."""

from typing import Any

import pytest

from progress_tracker import InvalidProgress, ProgressTracker
from progress_tracker.testing import FakeClock


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


async def _run(tracker: ProgressTracker, clock: FakeClock, *seconds: float) -> None:
    """Do an operation of two stages that take so long."""
    made = await tracker.create(kind="import", stages=["read", "write"])
    for stage, spent in zip(("read", "write"), seconds, strict=True):
        await tracker.update(made.id, 0, stage)
        await clock.advance(spent)
        await tracker.update(made.id, 100, stage)
    await tracker.complete(made.id)


async def test_the_first_guess_is_what_earlier_ones_took(
    tracker: ProgressTracker, clock: FakeClock
) -> None:
    """The median of the kind at first, its own speed at last."""
    for seconds in (50, 10, 40):  # a median of 60 s
        await _run(tracker, clock, seconds, 20)
    await clock.advance(61)  # what was known of the kind is a minute old
    await tracker.create(id="x", kind="import", total=100)
    await tracker.create(id="other", kind="export", total=100)
    for id in ("x", "other"):
        await tracker.update(id, 0)
    assert (await tracker.get("x")).eta == pytest.approx(60)
    assert (await tracker.get("other")).eta is None
    for n in range(1, 100):  # twice as slow as the others
        await clock.advance(1.2)
        await tracker.advance("x")
        if n == 20:
            early = (await tracker.get("x")).eta
    assert early == pytest.approx(0.2 * 96 + 0.8 * 48, rel=0.02)
    assert (await tracker.get("x")).eta == pytest.approx(1.2, rel=0.02)


async def test_the_guess_survives_a_takeover(tracker: ProgressTracker, clock: FakeClock) -> None:
    await _run(tracker, clock, 30, 30)
    await tracker.create(id="x", kind="import")
    async with tracker.track("x"):
        assert (await tracker.get("x")).eta == pytest.approx(60)


async def test_weights_are_learned(tracker: ProgressTracker, clock: FakeClock) -> None:
    assert await tracker.learned_weights("import") == {}
    for seconds in (10, 1000, 10):  # one was unusually slow
        await _run(tracker, clock, seconds, 30)
    failed = await tracker.create(kind="import", stages=["read", "write"])
    await tracker.update(failed.id, 0, "read")
    await clock.advance(500)
    await tracker.fail(failed.id, "no")
    learned = await tracker.learned_weights("import")
    assert learned == {"read": 0.5, "write": 1.5}
    more = await tracker.learned_weights("import", ["read", "check", "write"])
    assert more == {"read": 0.5, "check": 1.0, "write": 1.5}
    made = await tracker.create(kind="import", stages=["read", "write"], weights=learned)
    await tracker.update(made.id, 100, "read")
    assert (await tracker.get(made.id)).progress == 25
    assert await tracker.learned_weights("import", runs=1) == {"read": 0.5, "write": 1.5}


@pytest.mark.parametrize(
    "wrong", [{"kind": ""}, {"kind": "k", "runs": 0}, {"kind": "k", "stages": ["a", "a"]}]
)
async def test_nonsense_is_refused(tracker: ProgressTracker, wrong: Any) -> None:
    with pytest.raises(InvalidProgress):
        await tracker.learned_weights(**wrong)
