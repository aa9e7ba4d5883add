"""A time limit is for the other side: what keeps our own loop busy does not count."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

import pytest

from tiered_cache import CacheProvider, Settings
from tiered_cache.adapters.memory import MemoryRemote
from tiered_cache.ports import Read
from tiered_cache.resilience.limits import Limit


class Passing:
    """The time of an event loop, ours to pass: what holds the loop up is as long as it says."""

    def __init__(self) -> None:
        self._now = 1000.0

    def __call__(self) -> float:
        return self._now

    def hold(self, seconds: float) -> None:
        """Let a time pass in which nothing else of the loop runs."""
        self._now += seconds


@pytest.fixture
async def passing(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Passing]:
    made = Passing()
    with monkeypatch.context() as patch:
        patch.setattr(asyncio.get_running_loop(), "time", made)
        yield made


async def test_an_answer_that_came_while_the_loop_was_busy_is_in_time(passing: Passing) -> None:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[int] = loop.create_future()
    async with Limit(0.05):
        loop.call_later(0.01, answer.set_result, 1)
        loop.call_soon(passing.hold, 0.12)  # who blocks the loop
        assert await answer == 1


async def test_what_does_not_answer_is_given_up_also_by_a_loop_that_is_busy(
    passing: Passing,
) -> None:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[None] = loop.create_future()
    begun = loop.time()

    def busy() -> None:
        passing.hold(0.015)  # every timer is late, and none for long
        if loop.time() - begun > 0.2:
            answer.set_result(None)
        elif not answer.done():
            loop.call_soon(busy)

    loop.call_soon(busy)
    with pytest.raises(TimeoutError):
        async with Limit(0.05):
            await answer


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
