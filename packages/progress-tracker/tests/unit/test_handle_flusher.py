"""The flusher: one write an interval, first and last values at once."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from helpers import chaotic, is_now, until
from progress_tracker import ProgressTracker, Settings
from progress_tracker.adapters.memory import MemoryStore
from progress_tracker.ports import Write, Written


async def test_updates_are_stored_while_the_loop_is_blocked(live: ProgressTracker) -> None:
    seen: list[Any] = []

    def look() -> None:
        while not done.is_set():
            seen.append(asyncio.run(other.get("x")).current)

    other = live
    if not live.store.capabilities.shared:
        pytest.skip("needs a second tracker on the same store")
    other = ProgressTracker.from_url(live.settings.storage.url())
    done, thread = threading.Event(), threading.Thread(target=look)
    async with live.track("x") as p:
        thread.start()
        deadline = time.monotonic() + 5
        while not any(seen) and time.monotonic() < deadline:
            p.advance()  # never lets the loop run
        done.set()
        await asyncio.to_thread(thread.join)
    await other.aclose()
    assert any(seen)


async def test_writes_are_coalesced(live: ProgressTracker) -> None:
    async with live.track("x", total=50_000) as p:
        begun = time.monotonic()
        for _ in p.iter(range(50_000)):
            p.update(message="working")
        took = time.monotonic() - begun
    found = await live.get("x")
    assert found.current == 50_000
    # one for each interval, one at the beginning, one at the end, one for rounding
    assert live.get_stats().writes <= took / 0.03 + 3


async def test_the_first_update_goes_at_once() -> None:
    tracker, _ = chaotic(min_interval=3600)
    async with tracker, tracker.track("x") as p:
        p.update(10)
        await until(lambda: is_now(tracker, "x", progress=10))
        p.update(20)
        p.log("an error", "error")
        await until(lambda: is_now(tracker, "x", progress=20))


async def test_aclose_stores_what_is_open(url: str) -> None:
    tracker = ProgressTracker(
        Settings.from_mapping({"storage": {"connection_string": url}, "min_interval": 3600})
    )
    store = tracker.store
    handle = tracker.track("x")
    async with handle as p:
        p.update(10)
        await until(lambda: is_now(tracker, "x", progress=10))
        p.update(70)
        await tracker.aclose()
        found = await store.get("x")
        assert found is not None
        assert found.units == 70_000_000
        p.update(80)
    found = await store.get("x")
    assert found is not None
    assert found.status == "completed"
    await store.aclose()


async def test_many_handles_share_calls_of_a_bounded_size() -> None:
    """Thousands of handles are one writer; no call holds a server up for long."""

    class Counting(MemoryStore):
        sizes: ClassVar[list[int]] = []

        def twin(self) -> "Counting":
            return Counting(state=self._state)

        async def write(self, writes: Sequence[Write]) -> Sequence[Written]:
            self.sizes.append(len(writes))
            return await super().write(writes)

    settings = Settings.from_mapping({"min_interval": 0.5})
    async with ProgressTracker(settings, store=Counting()) as tracker:
        with contextlib.ExitStack() as stack:
            handles = [stack.enter_context(tracker.track(f"x{n}")) for n in range(1200)]
            for turn in (1, 2):
                for each in handles:
                    each.update(turn)
                last = handles[-1].id
                await until(lambda turn=turn, last=last: is_now(tracker, last, progress=turn))
    assert max(Counting.sizes) <= 500
    assert max(Counting.sizes) > 100, "not one by one"
