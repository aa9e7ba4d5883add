"""One factory for many callers; cancellation, errors, re-entry."""

import asyncio

from clusters import Cluster
from tiered_cache import (
    MISSING,
    CacheContext,
    CacheProvider,
)
from tiered_cache.testing import (
    assert_single_flight,
    settle,
)


async def test_factories_of_both_kinds_and_with_a_context(cache: CacheProvider) -> None:
    async def later() -> int:
        return 2

    def decides(ctx: CacheContext) -> str:
        assert (ctx.key, ctx.ttl, ctx.stale) == ("c", 60.0, MISSING)
        ctx.tags.append("extra")
        return "made"

    def skips(ctx: CacheContext) -> int:
        ctx.skip = True
        return 3

    assert await cache.get_or_set("a", lambda: 1) == 1
    assert await cache.get_or_set("b", later) == 2
    assert await cache.get_or_set("c", decides, ttl=60) == "made"
    await cache.invalidate(["extra"])
    assert await cache.get("c") is None
    assert await cache.get_or_set("d", skips) == 3
    assert await cache.get("d") is None


async def test_one_factory_for_many_callers(cache: CacheProvider, cluster: Cluster) -> None:
    await assert_single_flight(cache, callers=1000)
    await assert_single_flight(cluster.a, callers=100)
    assert (await cache.get_stats()).coalesced == 999


async def test_a_cancelled_leader_hurts_nobody(cache: CacheProvider) -> None:
    go = asyncio.Event()

    async def factory() -> int:
        await go.wait()
        return 7

    callers = [asyncio.create_task(cache.get_or_set("k", factory)) for _ in range(3)]
    await settle()
    callers[0].cancel()
    callers[1].cancel()
    await settle()
    go.set()
    assert await callers[2] == 7
    assert callers[0].cancelled()
    assert await cache.get("k") == 7


async def test_a_factorys_error_reaches_all_and_is_not_cached(cache: CacheProvider) -> None:
    async def factory() -> int:
        await asyncio.sleep(0)
        raise LookupError("mine")

    results = await asyncio.gather(
        *(cache.get_or_set("k", factory) for _ in range(3)), return_exceptions=True
    )
    assert [type(each) for each in results] == [LookupError] * 3
    assert await cache.get_or_set("k", lambda: 1) == 1


async def test_reentry_does_not_deadlock(cache: CacheProvider) -> None:
    async def inner() -> int:
        return 1

    async def outer() -> int:
        return await cache.get_or_set("k", inner) + 1

    async with asyncio.timeout(60):
        assert await cache.get_or_set("k", outer) == 2
