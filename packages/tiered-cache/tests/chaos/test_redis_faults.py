"""A real Redis that is killed, restarted and frozen under a cache."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

pytest.importorskip("redis")

from _common.server import Server
from stalls import Stalls
from tiered_cache import BackendError, CacheProvider, Settings

pytestmark = [pytest.mark.chaos, pytest.mark.integration, pytest.mark.slow]
LIMIT = 0.3  # more than the default: a busy machine is no fault of the server
SLACK = 2.0  # beside what the machine lost; five seconds of a socket are longer


def settings(server: Server, *, strict: bool = False, timeout: float = LIMIT) -> Settings:
    return Settings.from_mapping(
        {"strict": strict, "l2": {"connection_string": server.url, "timeout": timeout}}
    )


@pytest.fixture
async def pair(own_redis: Server) -> AsyncIterator[tuple[CacheProvider, CacheProvider]]:
    async with CacheProvider(settings(own_redis)) as a, CacheProvider(settings(own_redis)) as b:
        await until(a, lambda: is_trusted(a))
        await until(b, lambda: is_trusted(b))
        yield a, b


async def is_trusted(cache: CacheProvider) -> bool:
    await cache.get("look")
    found = await cache.get_stats()
    return found.trusted and found.breaker == "closed"


async def until(
    _: CacheProvider, check: Callable[[], Awaitable[bool]], seconds: float = 60
) -> None:
    async with asyncio.timeout(seconds):
        while not await check():
            await asyncio.sleep(0.05)


async def timed(work: Awaitable[object]) -> tuple[object, float]:
    """Return what comes of it, and the seconds it took, without those that the machine lost."""
    begun = time.perf_counter()
    with Stalls() as stalls:
        value = await work
        return value, time.perf_counter() - begun - stalls.seconds


async def test_killed_and_restarted(
    own_redis: Server, pair: tuple[CacheProvider, CacheProvider]
) -> None:
    a, b = pair
    await a.set("k", 1, tags=["t"])
    own_redis.kill()
    for n in range(5):
        value, took = await timed(a.get_or_set(f"new{n}", lambda n=n: n))
        assert value == n
        assert took < LIMIT + SLACK
    assert not (await a.delete("k")).confirmed
    assert await a.get("k") is None
    own_redis.restart()
    await until(a, lambda: is_trusted(a))
    await until(b, lambda: is_trusted(b))
    await a.set("after", 2)
    await until(b, lambda: sees(b, "after", 2))


async def sees(cache: CacheProvider, key: str, value: object) -> bool:
    return await cache.get(key) == value


@pytest.mark.parametrize("change", ["invalidate", "delete", "clear"])
async def test_frozen_and_changed_meanwhile(
    own_redis: Server, pair: tuple[CacheProvider, CacheProvider], change: str
) -> None:
    a, b = pair
    await a.set("k", "old", tags=["t"])
    await until(b, lambda: sees(b, "k", "old"))
    own_redis.pause()
    value, took = await timed(a.get_or_set("x", lambda: "made"))
    assert value == "made"
    assert took < LIMIT + SLACK
    # the breaker is open: nobody waits for the timeout any more
    rest = [(await timed(a.get_or_set(f"y{n}", lambda n=n: n)))[1] for n in range(20)]
    assert sorted(rest)[10] < 0.05
    done = await {"invalidate": lambda: a.invalidate(["t"]), "delete": lambda: a.delete("k"),
                  "clear": a.clear}[change]()  # fmt: skip
    assert not done.confirmed
    assert await a.get("k") is None
    own_redis.resume()
    # the values in Redis outlived the fault: only the replay can tell the others
    await until(a, lambda: is_trusted(a))
    await until(b, lambda: sees(b, "k", None))
    assert await b.get_or_set("k", lambda: "new") == "new"


async def test_strict_raises(own_redis: Server) -> None:
    async with CacheProvider(settings(own_redis, strict=True, timeout=5)) as cache:
        await until(cache, lambda: is_trusted(cache))
        assert (await cache.invalidate(["t"])).confirmed
        own_redis.kill()
        with pytest.raises(BackendError, match="did not confirm"):
            await cache.invalidate(["t"])
        with pytest.raises(BackendError, match="did not confirm"):
            await cache.delete("k")


async def test_down_from_the_beginning(own_redis: Server) -> None:
    own_redis.kill()
    async with CacheProvider(settings(own_redis)) as cache:
        value, took = await timed(cache.get_or_set("k", lambda: 1))
        assert value == 1
        assert took < LIMIT + SLACK
        own_redis.restart()
        await until(cache, lambda: is_trusted(cache))
        await cache.set("k", 2)
        assert await cache.get("k") == 2
