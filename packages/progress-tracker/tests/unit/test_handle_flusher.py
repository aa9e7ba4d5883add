"""The flusher: one write an interval, first and last values at once."""

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Collection, Sequence
from typing import Any, ClassVar

import pytest

from helpers import chaotic, is_now, until
from progress_tracker import BackendError, ProgressTracker, Settings
from progress_tracker.adapters.memory import MemoryStore
from progress_tracker.handle import flusher, troubles
from progress_tracker.ports import Beat, Write, Written


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
        deadline = time.monotonic() + 60
        while not any(seen) and time.monotonic() < deadline:
            p.advance()  # never lets the loop run
        done.set()
        await asyncio.to_thread(thread.join)
    await other.aclose()
    assert any(seen)


async def test_writes_are_coalesced(live: ProgressTracker) -> None:
    begun = time.monotonic()
    async with live.track("x", total=50_000) as p:
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


class Choosy(MemoryStore):
    """Cannot read some operations, as after somebody else wrote into them; counts its calls."""

    def __init__(self, *, state: object = None, unreadable: set[str] | None = None) -> None:
        super().__init__(state=state)
        self.unreadable = set[str]() if unreadable is None else unreadable

    def twin(self) -> "Choosy":
        return Choosy(state=self._state, unreadable=self.unreadable)

    def _look(self, ids: Sequence[str]) -> None:
        if self.unreadable & set(ids):
            raise BackendError("the stored record cannot be read")

    async def write(self, writes: Sequence[Write]) -> Sequence[Written]:
        self._look([each.record.id for each in writes])
        return await super().write(writes)

    async def touch(self, beats: Sequence[Beat]) -> Sequence[bool | None]:
        self._look([each.id for each in beats])
        return await super().touch(beats)

    async def get_many(self, ids: Collection[str]) -> Any:
        self._look(list(ids))
        return await super().get_many(ids)


async def test_one_that_cannot_be_stored_holds_up_no_other(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reports, leases and ends of the others go on, and its own once it can be stored again."""
    for module in (flusher, troubles):
        monkeypatch.setattr(module, "APART", 0.2)
    store = Choosy()
    settings = Settings.from_mapping({"min_interval": 0.02, "lease": 5.0})

    async def renewed(id: str, than: float) -> bool:
        found = await store.get(id)
        return found is not None and (found.stale_at or 0.0) > than

    async with ProgressTracker(settings, store=store) as tracker:
        async with tracker.track("silent"), tracker.track("good") as good:
            async with tracker.track("ended"), tracker.track("bad") as bad:
                bad.advance()
                await until(lambda: is_now(tracker, "bad", current=1))
                store.unreadable |= {"bad", "ended"}
                bad.advance()
                for turn in range(1, 4):
                    good.advance()
                    await until(lambda turn=turn: is_now(tracker, "good", current=turn))
            found = await store.get("silent")
            assert found is not None
            await until(lambda: renewed("silent", found.stale_at or 0.0))
            good.advance()
            await until(lambda: is_now(tracker, "good", current=4))
            store.unreadable.clear()
            for id in ("bad", "ended"):
                await until(lambda id=id: is_now(tracker, id, status="completed"))
        assert (await tracker.get("bad")).current == 2
    assert caplog.messages.count("progress.report_failed") == 1
    assert "progress.store_down" not in caplog.messages


async def test_counts_that_no_store_holds() -> None:
    """What a loop adds up is not checked for each item: it is cut, and breaks nobody's report."""
    async with ProgressTracker.from_url("memory://") as tracker:
        async with tracker.track("x", total=10) as p, tracker.track("y") as other:
            p.advance()
            for count in (10**400, math.nan, -5, "many"):
                p.count = count  # type: ignore[assignment]  # as a bar of tqdm may
                other.advance()
                await until(lambda: is_now(tracker, "y", current=other.count))
            p.count = 10**400
        assert (await tracker.get("x")).current == 1e15
        await tracker.create(id="z")
        for _ in range(3):
            await tracker.advance("z", 10**15)
        assert (await tracker.get("z")).current == 1e15
