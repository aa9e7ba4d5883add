"""Leases are asked for together: whatever becomes of the call, nobody waits for ever."""

import asyncio
from collections.abc import Sequence

import pytest

from tiered_cache import CacheProvider
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
