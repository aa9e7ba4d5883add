"""Leases are asked for together: whatever becomes of the call, nobody waits for ever."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tiered_cache import CacheProvider, Settings
from tiered_cache.testing import FakeClock, MemoryBackplane, MemoryRemote


class Stuck(MemoryRemote):
    """Its first call for leases never ends."""

    calls = 0

    async def acquire_many(self, leases: Sequence[tuple[str, str]], ttl: float) -> Sequence[bool]:
        self.calls += 1
        if self.calls == 1:
            await asyncio.Event().wait()
        return await super().acquire_many(leases, ttl)


@pytest.mark.parametrize("count", [1, 600])
async def test_an_ended_call_leaves_nobody_waiting(clock: FakeClock, count: int) -> None:
    remote = Stuck(clock=clock)
    cache = CacheProvider(remote=remote, backplane=MemoryBackplane(clock=clock), clock=clock)
    async with cache:
        shared = (await cache.opened()).shared
        assert shared is not None
        asking = [asyncio.create_task(shared.acquire(f"k{n}")) for n in range(count)]
        while not remote.calls:
            await asyncio.sleep(0)
        assert shared._asking is not None
        shared._asking.cancel()
        async with asyncio.timeout(30):
            assert await asyncio.gather(*asking) == [True] * count
            later = await shared.acquire("later")
        assert not isinstance(later, bool)
        await shared.release(later)


class Late(MemoryRemote):
    """Its call for leases with a certain number, from 1, reaches it when it is let."""

    def __init__(self, number: int, clock: FakeClock, shelf: Any) -> None:
        super().__init__(clock=clock, shelf=shelf)
        self.left, self.asked, self.free = number, asyncio.Event(), asyncio.Event()

    async def acquire_many(self, leases: Sequence[tuple[str, str]], ttl: float) -> Sequence[bool]:
        self.left -= 1
        if self.left == 0:
            self.asked.set()
            await self.free.wait()
        return await super().acquire_many(leases, ttl)


@pytest.mark.parametrize("has_waited", [False, True])
async def test_who_asks_late_for_a_lease_computes_nothing_twice(
    clock: FakeClock, *, has_waited: bool
) -> None:
    """Between a look and a lease another process may have stored the value and given its back."""
    remote = MemoryRemote(clock=clock)
    late = Late(2 if has_waited else 1, clock, remote.shelf)
    settings = Settings.from_mapping({"l2": {"timeout": 60}})
    here, there = (
        CacheProvider(settings, remote=each, backplane=MemoryBackplane(clock=clock), clock=clock)
        for each in (late, remote)
    )
    go_on = asyncio.Event()

    async def made_there() -> str:
        await go_on.wait()
        return "there"

    async with here, there:
        first = None
        if has_waited:
            first = asyncio.create_task(there.get_or_set("k", made_there))
            await turns()
        second = asyncio.create_task(here.get_or_set("k", lambda: "here"))
        while not late.asked.is_set():
            await clock.advance(0.01)
        go_on.set()
        assert await (first or there.get_or_set("k", made_there)) == "there"
        await turns()
        assert not remote.shelf.leases
        if not has_waited:
            await clock.advance(0.03)
        late.free.set()
        assert await second == "there"
        await turns()
        assert not remote.shelf.leases
        stats = await here.get_stats()
        assert (stats.misses, stats.shared_flights) == (0, 1)


async def turns() -> None:
    for _ in range(50):
        await asyncio.sleep(0)
