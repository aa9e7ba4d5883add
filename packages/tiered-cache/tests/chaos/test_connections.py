"""Connections to Redis: few for those who wait, none lost or mixed up by cancelled callers."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("redis")

import redis

from _common.proxy import Proxy
from _common.server import Server
from tiered_cache import CacheProvider, Settings

pytestmark = [pytest.mark.chaos, pytest.mark.integration, pytest.mark.slow]

Pair = tuple[CacheProvider, CacheProvider]


def make(port: int | None, **l2: Any) -> CacheProvider:
    named = {"connection_string": f"redis://127.0.0.1:{port}", "timeout": 5, **l2}
    return CacheProvider(Settings.from_mapping({"l1": {"max_size": 10}, "l2": named}))


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(120):
        while not await check():
            await asyncio.sleep(0.01)


async def is_well(cache: CacheProvider) -> bool:
    await cache.get("look")
    found = await cache.get_stats()
    return found.trusted and found.breaker == "closed"


@pytest.fixture
def proxy(own_redis: Server) -> Iterator[Proxy]:
    assert own_redis.port is not None
    with Proxy(own_redis.port) as made:
        yield made


@pytest.fixture
async def pair(
    own_redis: Server, proxy: Proxy
) -> AsyncIterator[tuple[CacheProvider, CacheProvider]]:
    """Two processes' caches; the connections of the second one are counted by the proxy."""
    async with make(own_redis.port) as leader, make(proxy.port) as waiter:
        await until(lambda: is_well(leader))
        await until(lambda: is_well(waiter))
        yield leader, waiter


@pytest.mark.parametrize(("keys", "callers"), [(1, 1000), (100, 10)])
async def test_those_who_wait_for_another_process_need_two(
    pair: Pair, proxy: Proxy, keys: int, callers: int
) -> None:
    leader, waiter = pair
    go, begun = asyncio.Event(), asyncio.Semaphore(0)

    async def slow(n: int) -> int:
        begun.release()
        await go.wait()
        return n

    async def never() -> int:
        raise AssertionError("another process computes it")

    leading = [
        asyncio.create_task(leader.get_or_set(f"k{n}", lambda n=n: slow(n))) for n in range(keys)
    ]
    for _ in range(keys):
        await begun.acquire()
    before = proxy.accepted
    waiting = [
        asyncio.create_task(waiter.get_or_set(f"k{n}", never))
        for n in range(keys)
        for _ in range(callers)
    ]
    # everybody looked a few times
    asked = proxy.requests
    await until(lambda: _more(proxy, asked + 20))
    during = proxy.accepted
    go.set()
    assert await asyncio.gather(*waiting) == [n for n in range(keys) for _ in range(callers)]
    assert await asyncio.gather(*leading) == list(range(keys))
    assert during - before <= 2
    assert (await waiter.get_stats()).factory_calls == 0


async def _more(proxy: Proxy, requests: int) -> bool:
    return proxy.requests >= requests


async def test_cancelled_callers_lose_and_mix_up_nothing(own_redis: Server) -> None:
    rng = random.Random(3)
    with redis.Redis(port=own_redis.port, socket_timeout=5) as admin:
        # longer than the test waits: a lease that nobody gives back is seen
        async with make(own_redis.port, lease=600) as cache:
            await until(lambda: is_well(cache))
            for n in range(50):
                await cache.set(f"k{n}", n, tags=[f"t{n}"])
            work: list[Callable[[int], Awaitable[Any]]] = [
                lambda n: cache.get(f"k{n}"),
                lambda n: cache.get_or_set(f"new{n}{rng.random()}", lambda: n, tags=["u"]),
                lambda n: cache.set(f"other{n}", n),
                lambda n: cache.delete(f"none{n}"),
                lambda n: cache.invalidate([f"none{n}"]),
                lambda n: cache.get_many([f"k{n}", f"k{49 - n}"]),
            ]
            most = 0
            for n in range(600):
                task = asyncio.ensure_future(work[n % len(work)](n % 50))
                for _ in range(rng.randrange(12)):
                    await asyncio.sleep(0)
                if n % 2:
                    await asyncio.sleep(rng.random() * 0.0005)  # while the answer is on its way
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                m = rng.randrange(50)
                assert await cache.get(f"k{m}") == m, "nobody gets another's answer"
                most = max(most, len(admin.client_list()))
            assert most < 15
            await until(lambda: is_well(cache))
            # what goes on behind cancelled callers ends, and gives its lease back
            await until(lambda: _nothing_behind(admin))
        await until(lambda: _only_admin(admin))


async def _nothing_behind(admin: Any) -> bool:
    names = {task.get_name() for task in asyncio.all_tasks()}
    return names.isdisjoint({"cache-lease", "cache-factory"}) and not admin.keys("cache:l:*")


async def _only_admin(admin: Any) -> bool:
    return len(admin.client_list()) == 1
