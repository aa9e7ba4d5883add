"""Stale values that stand in, time limits of factories, eager refresh."""

import asyncio
from typing import Any

import pytest

from clusters import Cluster
from tiered_cache import (
    MISSING,
    CacheContext,
    CacheFactoryTimeout,
    CacheOptions,
    CacheProvider,
)
from tiered_cache.testing import (
    FakeClock,
    settle,
)


async def test_fail_safe(cache: CacheProvider, clock: FakeClock) -> None:
    options = CacheOptions(ttl=10, max_stale=100, tags=["t"])

    async def broken() -> int:
        raise OSError("down")

    await cache.set("k", 1, options)
    await clock.advance(11)
    assert await cache.get("k") is None
    assert await cache.get_or_set("k", broken, options) == 1
    stats = await cache.get_stats()
    assert (stats.stale_served, stats.factory_errors) == (1, 1)
    # re-armed: the next callers do not try at once
    assert await cache.get_or_set("k", broken, options) == 1
    assert (await cache.get_stats()).factory_calls == 1
    await clock.advance(100)
    with pytest.raises(OSError, match="down"):
        await cache.get_or_set("k", broken, options)


async def test_soft_invalidation_may_be_served_as_stale_and_hard_may_not(
    cache: CacheProvider,
) -> None:
    options = CacheOptions(ttl=10, max_stale=100, tags=["t"])

    async def broken() -> int:
        raise OSError("down")

    await cache.set("k", 1, options)
    await cache.invalidate(["t"], soft=True)
    assert await cache.get("k") is None
    assert await cache.get_or_set("k", broken, options) == 1
    await cache.set("k", 2, options)
    await cache.invalidate(["t"])
    with pytest.raises(OSError, match="down"):
        await cache.get_or_set("k", broken, options)


async def test_soft_timeout_serves_stale_and_finishes_behind(
    cache: CacheProvider, clock: FakeClock
) -> None:
    go = asyncio.Event()

    async def slow() -> str:
        await go.wait()
        return "new"

    options = CacheOptions(ttl=10, max_stale=100, soft_timeout=0.01)
    await cache.set("k", "old", options)
    await clock.advance(11)
    assert await cache.get_or_set("k", slow, options) == "old"
    go.set()
    async with asyncio.timeout(60):
        while await cache.get("k") != "new":
            await asyncio.sleep(0.001)


async def test_hard_timeout(cache: CacheProvider, clock: FakeClock) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    with pytest.raises(CacheFactoryTimeout, match=r"0\.01 s"):
        await cache.get_or_set("k", never, hard_timeout=0.01)
    options = CacheOptions(ttl=10, max_stale=100, hard_timeout=0.01)
    await cache.set("k", 1, options)
    await clock.advance(11)
    assert await cache.get_or_set("k", never, options) == 1


async def test_eager_refresh(cache: CacheProvider, clock: FakeClock, cluster: Cluster) -> None:
    for subject in (cache, cluster.a):
        numbers = iter(range(10))
        options = CacheOptions(ttl=10, eager_refresh=0.5)
        assert await subject.get_or_set("e", lambda: next(numbers), options) == 0  # noqa: B023
        await clock.advance(6)
        assert await subject.get_or_set("e", lambda: next(numbers), options) == 0  # noqa: B023
        await settle()
        assert await subject.get("e") == 1
        await clock.advance(6)
        assert await subject.get("e") == 1


async def broken() -> int:
    raise OSError("down")


STALE = CacheOptions(ttl=10, max_stale=100, tags=["t"])


async def both_have_it(cluster: Cluster) -> None:
    await cluster.a.set("k", "old", STALE)
    await settle()
    assert await cluster.b.get("k") == "old"
    assert (await cluster.b.get_stats()).keys == 1


@pytest.mark.parametrize("change", ["delete", "set", "invalidate"])
async def test_cut_off_and_deleted_elsewhere(
    cluster: Cluster, clock: FakeClock, change: str
) -> None:
    """No message told of it: the shared level must, before the value stands in."""
    await both_have_it(cluster)
    cluster.planes[1].cut()
    await {
        "delete": lambda: cluster.a.delete("k"),
        "set": lambda: cluster.a.set("k", "new", STALE),
        "invalidate": lambda: cluster.a.invalidate(["t"]),
    }[change]()
    await clock.advance(11)
    if change == "set":
        assert await cluster.b.get_or_set("k", broken, STALE) == "new"
        return
    seen: list[Any] = []

    async def looks(context: CacheContext) -> int:
        seen.append(context.stale)
        raise OSError("down")

    with pytest.raises(OSError, match="down"):
        await cluster.b.get_or_set("k", looks, STALE)
    assert seen == [MISSING]


async def test_cut_off_and_deleted_while_the_factory_runs(
    cluster: Cluster, clock: FakeClock
) -> None:
    await both_have_it(cluster)
    cluster.planes[1].cut()
    await clock.advance(11)
    go = asyncio.Event()

    async def slow() -> int:
        await go.wait()
        raise OSError("down")

    caller = asyncio.create_task(cluster.b.get_or_set("k", slow, STALE))
    await settle()
    await cluster.a.delete("k")
    await clock.advance(3)
    go.set()
    with pytest.raises(OSError, match="down"):
        await caller


@pytest.mark.parametrize("max_stale", [None, 100])
@pytest.mark.parametrize("why", ["the factory fails", "another process computes it"])
async def test_standing_in_again_and_again_earns_no_trust(
    cluster: Cluster, clock: FakeClock, why: str, max_stale: float | None
) -> None:
    """A stale value that stands in is as doubtful as before: within the bound L2 is asked."""
    options = CacheOptions(ttl=60, tags=["t"], max_stale=max_stale)
    await cluster.a.set("k", "old", options)
    await settle()
    assert await cluster.b.get("k") == "old"
    await cluster.a.invalidate(["t"], soft=True)
    await settle()
    cluster.planes[1].cut()
    await cluster.a.delete("k")
    if why == "another process computes it":
        assert await cluster.remote.acquire("k", "another", 60.0)
    found: list[str] = []
    for _ in range(12):
        asked = asyncio.ensure_future(cluster.b.get_or_set("k", broken, options))
        await settle()
        found.append(str(asked.result()) if asked.done() and not asked.exception() else "doubt")
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await clock.advance(0.4)
    await cluster.remote.release("k", "another")
    await clock.advance(1.0)  # what flies still lands
    assert found[0] == "old"  # the silence is not noticed yet
    assert set(found[6:]) == {"doubt"}  # 2.4 s later it is, whatever stood in meanwhile


async def test_cut_off_and_untouched(cluster: Cluster, clock: FakeClock) -> None:
    """What the shared level still has may stand in."""
    await both_have_it(cluster)
    cluster.planes[1].cut()
    await clock.advance(11)
    assert await cluster.b.get_or_set("k", broken, STALE) == "old"


async def test_nobody_can_be_asked(cluster: Cluster, clock: FakeClock) -> None:
    """L2 and backplane away: fail-safe is for such times, where it was asked for."""
    plain = CacheOptions(ttl=60)
    await cluster.b.set("k", "old", STALE)
    await cluster.b.set("plain", "old", plain)
    cluster.planes[1].cut()
    cluster.other.down = True
    await clock.advance(11)
    assert await cluster.b.get_or_set("k", broken, STALE) == "old"
    with pytest.raises(OSError, match="down"):
        await cluster.b.get_or_set("plain", broken, plain)


async def test_a_blocking_function_asks_too(cluster: Cluster, clock: FakeClock) -> None:
    calls: list[int] = []

    @cluster.b.cached(ttl=10, max_stale=100, key="k")
    def load() -> str:
        calls.append(1)
        if len(calls) > 1:
            raise OSError("down")
        return "old"

    assert await asyncio.to_thread(load) == "old"
    cluster.planes[1].cut()
    await clock.advance(11)
    assert await asyncio.to_thread(load) == "old"
    await cluster.a.delete("k")
    await clock.advance(11)
    with pytest.raises(OSError, match="down"):
        await asyncio.to_thread(load)


async def test_a_sliding_value_that_stands_in_does_not_become_fresh(
    cache: CacheProvider, clock: FakeClock
) -> None:
    options = CacheOptions(ttl=10, max_stale=100, sliding=True)
    await cache.set("k", "old", options)
    await clock.advance(11)
    assert await cache.get_or_set("k", broken, options) == "old"
    await clock.advance(1.1)
    assert await cache.get("k") is None


async def test_a_failed_refresh_behind_is_counted_and_told(
    cache: CacheProvider, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    options = CacheOptions(ttl=10, eager_refresh=0.5)
    await cache.set("k", 1, options)
    await clock.advance(6)
    assert await cache.get_or_set("k", broken, options) == 1
    await settle()
    assert (await cache.get_stats()).factory_errors == 1
    assert "cache.refresh_failed" in caplog.text
