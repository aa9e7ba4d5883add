"""``rate`` and ``eta``."""

import pytest

from progress_tracker import (
    ProgressTracker,
)
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
