"""A shared level that answers, but slowly: an operation waits for it no longer than a call may."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from tiered_cache import CacheProvider, Settings
from tiered_cache.ports import Read, Write
from tiered_cache.testing import FakeClock, MemoryBackplane, MemoryRemote, settle

LIMIT = 1.0  # a busy machine takes a share of it: see the floor of State.patience


class SlowRemote(MemoryRemote):
    """A read takes nearly all of the limit; leases and writes are answered when it is told to."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self.go, self.time = asyncio.Event(), clock

    async def read(self, keys: Sequence[str], tags: Sequence[str], *, fences: bool = True) -> Read:
        if keys:
            await self.time.advance(0.9 * LIMIT)
        return await super().read(keys, tags, fences=fences)

    async def acquire(self, name: str, token: str, ttl: float) -> bool:
        await self.go.wait()
        return await super().acquire(name, token, ttl)

    async def write(self, items: Sequence[Write]) -> Sequence[bool]:
        await self.go.wait()
        return await super().write(items)


@pytest.fixture
async def pair(clock: FakeClock) -> AsyncIterator[tuple[CacheProvider, CacheProvider, SlowRemote]]:
    """One process whose shared level is slow, and another one."""
    slow, plane = SlowRemote(clock), MemoryBackplane(clock=clock)
    quick = MemoryRemote(clock=clock, shelf=slow.shelf)
    settings = Settings.from_mapping({"l2": {"timeout": LIMIT}, "suspect_after": 1000})
    own = CacheProvider(settings, remote=slow, backplane=plane, clock=clock)
    other = CacheProvider(
        settings, remote=quick, backplane=MemoryBackplane(plane.hub, clock=clock), clock=clock
    )
    async with own, other:
        await other.get("x")
        yield own, other, slow


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0)


async def test_what_comes_later_goes_on_behind(
    pair: tuple[CacheProvider, CacheProvider, SlowRemote],
) -> None:
    own, other, slow = pair
    assert await own.get_or_set("k", lambda: 1, tags=["t"]) == 1
    assert not slow.shelf.values
    slow.go.set()
    await until(lambda: "k" in slow.shelf.values)
    await until(lambda: not slow.shelf.leases)
    assert await other.get("k") == 1
    found = await own.get_stats()
    assert (found.breaker, found.l2_errors, found.factory_calls) == ("closed", 0, 1)


async def test_what_is_deleted_meanwhile_is_not_stored_behind(
    pair: tuple[CacheProvider, CacheProvider, SlowRemote],
) -> None:
    own, other, slow = pair
    assert await own.get_or_set("k", lambda: "old") == "old"
    assert (await other.delete("k")).confirmed
    await settle()
    slow.go.set()
    await until(lambda: not slow.shelf.leases)
    assert await other.get("k") is None
    assert await own.get("k") is None
