"""Random interleavings of writers and late subscribers: nothing lost, nothing twice."""

import asyncio
import random
from collections.abc import Collection, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progress_tracker import Progress, ProgressTracker
from progress_tracker.adapters.memory import MemoryBackplane, MemoryStore
from progress_tracker.ports import Record, Write, Written
from progress_tracker.testing import FakeClock, settle


class Dice:
    """Lets a random number of loop turns pass."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    async def roll(self) -> None:
        for _ in range(self._rng.randint(0, 6)):
            await asyncio.sleep(0)


class SlowStore(MemoryStore):
    """Time passes before and after each access."""

    dice: Dice

    async def write(self, writes: Sequence[Write]) -> Sequence[Written]:
        await self.dice.roll()
        made = await super().write(writes)
        await self.dice.roll()
        return made

    async def get_many(self, ids: Collection[str]) -> Any:
        await self.dice.roll()
        found = await super().get_many(ids)
        await self.dice.roll()
        return found

    async def get(self, id: str) -> Record | None:
        return (await self.get_many([id])).get(id)


class SlowBackplane(MemoryBackplane):
    """Messages are late, and attaching takes a while."""

    dice: Dice

    async def publish(self, ids: Collection[str]) -> None:
        await self.dice.roll()
        await super().publish(ids)

    async def listen(self, ring: Any, wanted: Any) -> None:
        await self.dice.roll()
        await super().listen(ring, wanted)


class CutBackplane(SlowBackplane):
    """Loses what is published while it is cut off, as one over a network does."""

    cut = False

    async def publish(self, ids: Collection[str]) -> None:
        await self.dice.roll()
        if not self.cut:
            await MemoryBackplane.publish(self, ids)

    async def listen(self, ring: Any, wanted: Any) -> None:
        self.ring = ring
        await super().listen(ring, wanted)

    async def lose(self) -> None:
        """Be cut off for a while; then say that anything may have changed."""
        self.cut = True
        await self.dice.roll()
        self.cut = False
        self.ring(None)


async def _trial(seed: int, updates: int, watchers: int, restart: bool, cuts: int = 0) -> None:
    dice, rng = Dice(seed), random.Random(seed + 1)
    store, backplane = SlowStore(), CutBackplane()
    store.dice = backplane.dice = dice
    # on a clock that stands still the safety poll never helps
    async with ProgressTracker(store=store, backplane=backplane, clock=FakeClock()) as tracker:
        await tracker.create(id="x", total=updates)
        seen: list[list[Progress]] = [[] for _ in range(watchers)]

        async def watch(states: list[Progress]) -> None:
            for _ in range(rng.randint(0, 40)):
                await asyncio.sleep(0)
            async for state in tracker.watch("x"):
                states.append(state)
                await dice.roll()

        async def work() -> None:
            for _ in range(updates):
                await tracker.advance("x")
                await dice.roll()
            await tracker.fail("x", "no")
            if restart:
                await dice.roll()
                await tracker.restart("x")
                await tracker.complete("x")

        async def cutting() -> None:
            if cuts:
                await tracker.get("x")  # which listens
            for _ in range(cuts):
                for _ in range(rng.randint(0, 30)):
                    await asyncio.sleep(0)
                await backplane.lose()

        tasks = [asyncio.create_task(watch(each)) for each in seen]
        await asyncio.gather(work(), cutting(), *tasks)
        last = await tracker.get("x")
        for states in seen:
            positions = [each.position for each in states]
            assert positions == sorted(set(positions)), "rising, never twice"
            terminals = [each.epoch for each in states if each.is_final]
            assert len(terminals) == len(set(terminals)) == 1, "one terminal state ends a watch"
            assert states[-1].is_final
            assert states[-1].position == last.position or (restart and states[-1].epoch == 1)
        await settle()


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(0, 8), st.integers(1, 3), st.booleans())
def test_late_subscribers(seed: int, updates: int, watchers: int, restart: bool) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(120):
            await _trial(seed, updates, watchers, restart)

    asyncio.run(bounded())


@pytest.mark.parametrize("start", range(0, 3000, 500))
async def test_thousands_of_late_subscribers(start: int) -> None:
    """Up to three cuts in each trial; time stands still, so that nothing is found by polling."""
    for seed in range(start, start + 500):
        async with asyncio.timeout(120):
            rng = random.Random(seed)
            await _trial(
                seed, rng.randint(0, 8), rng.randint(1, 3), rng.random() < 0.3, rng.randint(0, 3)
            )


@pytest.mark.parametrize("turns", range(0, 60, 2))
async def test_cancelled_at_every_await(turns: int) -> None:
    """Wherever a call is cancelled, the state is old or new and nothing keeps running."""
    store, backplane = SlowStore(), SlowBackplane()
    store.dice = backplane.dice = Dice(7)
    async with ProgressTracker(store=store, backplane=backplane, clock=FakeClock()) as tracker:
        await tracker.create(id="p")
        await tracker.create(id="x", parent_id="p")

        async def work() -> None:
            async for _ in tracker.watch("x"):
                break
            await tracker.update("x", 50)
            await tracker.complete("x", 1)
            await tracker.delete("p")

        task = asyncio.create_task(work())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        found = await store.get_many(["x", "p"])
        if found:
            assert found["x"].units in {0, 50_000_000, 100_000_000}
            assert found["p"].units == found["x"].units
        await settle(60)
        assert tracker.get_stats().watchers == 0
        names = [each.get_name() for each in asyncio.all_tasks()]
        assert not [name for name in names if name.startswith(("progress.watch", "progress.read"))]
