"""A time limit is for the other side: what keeps our own loop busy does not count."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from tiered_cache import CacheProvider, Settings
from tiered_cache.adapters.memory import MemoryRemote
from tiered_cache.ports import Read
from tiered_cache.resilience.limits import Limit


async def test_an_answer_that_came_while_the_loop_was_busy_is_in_time() -> None:
    answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with Limit(0.05):
        asyncio.get_running_loop().call_later(0.01, answer.set_result, 1)
        asyncio.get_running_loop().call_soon(time.sleep, 0.12)  # who blocks the loop
        assert await answer == 1


async def test_what_does_not_answer_is_given_up_also_by_a_loop_that_is_busy() -> None:
    loop = asyncio.get_running_loop()
    is_over = False

    def busy() -> None:
        time.sleep(0.015)  # every timer is late, and none for long
        if not is_over:
            loop.call_soon(busy)

    loop.call_soon(busy)
    begun = loop.time()
    with pytest.raises(TimeoutError):
        async with Limit(0.05):
            await loop.create_future()
    assert loop.time() - begun < 0.5
    is_over = True


async def test_a_cancellation_stays_one() -> None:
    async def wait() -> None:
        async with Limit(60):
            await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class Late(MemoryRemote):
    """Answers at once, but somebody blocks the event loop right then."""

    async def read(self, keys: Sequence[str], tags: Sequence[str], *, fences: bool = True) -> Read:
        loop = asyncio.get_running_loop()
        arrived = loop.create_future()
        loop.call_later(0.01, arrived.set_result, None)
        loop.call_soon(time.sleep, 0.12)
        await arrived
        return await super().read(keys, tags, fences=fences)


async def test_a_blocked_loop_opens_no_breaker() -> None:
    settings = Settings.from_mapping({"l2": {"timeout": 0.05}})
    async with CacheProvider(settings, remote=Late()) as cache:
        assert await cache.get_or_set("k", lambda: 1) == 1
        stats = await cache.get_stats()
        assert (stats.l2_errors, stats.breaker) == (0, "closed")
