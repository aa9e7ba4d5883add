"""What other programs wrote under our names in Redis is a miss, and in the way of nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

pytest.importorskip("redis")

import redis

from tiered_cache import CacheProvider, Settings

pytestmark = pytest.mark.integration
LONG = "9" * 400

FOREIGN: dict[str, tuple[str, list[str]]] = {
    "a value of another type": ("v:k", ["LPUSH", "x"]),
    "a fence that is no number": ("f:k", ["SET", "abc"]),
    "a fence that is infinite": ("f:k", ["SET", "inf"]),
    "a fence of another type": ("f:k", ["HSET", "a", "b"]),
    "a lease of another type": ("l:k", ["LPUSH", "x"]),
    "a number that is none": ("seq", ["SET", "abc"]),
    "a number at its end": ("seq", ["SET", "9223372036854775807"]),
    "a number of another type": ("seq", ["LPUSH", "x"]),
    "a version that is none": ("tags", ["HSET", "*", "<html>"]),
    "a version that is infinite": ("tags", ["HSET", "t", f"{LONG}:{LONG}"]),
    "a version with a sign": ("tags", ["HSET", "t", "-5:-5"]),
    "a highest version that is none": ("tags", ["HSET", "", "1:nan"]),
}


@pytest.fixture(params=FOREIGN)
def foreign(request: pytest.FixtureRequest, redis_url: str, redis_prefix: str) -> None:
    name, (command, *args) = FOREIGN[request.param]
    with redis.Redis.from_url(redis_url) as admin:
        if command != "HSET":
            admin.delete(f"{redis_prefix}{name}")
        admin.execute_command(command, f"{redis_prefix}{name}", *args)


@pytest.fixture
def make(redis_url: str, redis_prefix: str) -> Callable[[], CacheProvider]:
    l2: Any = {"connection_string": redis_url, "key_prefix": redis_prefix, "timeout": 5}
    return lambda: CacheProvider(Settings.from_mapping({"l2": l2}))


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await check():
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("foreign")
async def test_it_is_in_the_way_of_nothing(make: Callable[[], CacheProvider]) -> None:
    async with make() as one, make() as other:

        async def trusted() -> bool:
            return (await one.get_stats()).trusted and (await other.get_stats()).trusted

        await one.get("anything")
        await other.get("anything")
        await until(trusted)  # the listeners got over it, too
        assert await one.get("k") is None
        assert await one.get_or_set("k", lambda: 1, tags=["t"]) == 1
        async with one.lock("k"):
            pass
        await one.get_or_set("k", lambda: 2, tags=["t"])
        await one.set("k", 3, tags=["t"])
        assert await other.get("k") == 3
        assert (await one.invalidate(["t"], soft=True)).confirmed
        assert (await one.invalidate(["t"])).confirmed

        async def gone() -> bool:
            return await other.get("k") is None

        await until(gone)
        assert await other.get_or_set("k", lambda: 4, tags=["t"]) == 4
        await one.delete("k")
        assert (await one.clear()).confirmed
        for each in (one, other):
            found = await each.get_stats()
            assert (found.breaker_opened, found.l2_errors, found.pending) == (0, 0, 0)


async def test_a_lost_version_makes_nothing_valid(
    make: Callable[[], CacheProvider], redis_url: str, redis_prefix: str
) -> None:
    """A tag whose version was overwritten had perhaps been invalidated."""
    async with make() as cache:
        await cache.set("k", "old", tags=["t"])
    with redis.Redis.from_url(redis_url) as admin:
        admin.hset(f"{redis_prefix}tags", "t", "foreign")
        async with make() as cache:
            assert await cache.get("k") is None
        assert b":" in admin.hget(f"{redis_prefix}tags", "t")
