"""Tags that only the factory names, invalidated while it runs: its value must not be kept."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from clusters import Cluster
from tiered_cache import CacheContext, CacheProvider
from tiered_cache.testing import FakeClock, settle


def held(go: asyncio.Event) -> Callable[[CacheContext], Awaitable[str]]:
    """Return a factory that waits for ``go`` and names the tag ``late``."""

    async def factory(context: CacheContext) -> str:
        await go.wait()
        context.tags.append("late")
        return "old"

    return factory


async def run_while(
    cache: CacheProvider, change: Callable[[], Awaitable[Any]], **options: Any
) -> None:
    go = asyncio.Event()
    caller = asyncio.create_task(cache.get_or_set("k", held(go), **options))
    await settle()
    await change()
    go.set()
    assert await caller == "old"


@pytest.mark.parametrize("known", [False, True], ids=["new-tag", "known-tag"])
@pytest.mark.parametrize("cut", [False, True], ids=["hears", "cut-off"])
async def test_invalidated_elsewhere(cluster: Cluster, known: bool, cut: bool) -> None:
    if known:
        await cluster.a.set("other", 1, tags=["late"])

    async def change() -> None:
        if cut:
            cluster.planes[0].cut()
        assert (await cluster.b.invalidate(["late"])).confirmed

    await run_while(cluster.a, change)
    assert await cluster.a.get("k") is None
    assert await cluster.b.get("k") is None


async def test_learnt_by_another_call_meanwhile(cluster: Cluster) -> None:
    """No message, and a read for another key brings the new version: it is not that of before."""
    await cluster.a.set("other", 1, tags=["late"])

    async def change() -> None:
        cluster.planes[0].cut()
        await cluster.b.invalidate(["late"])
        await cluster.clock.advance(3)
        await cluster.a.get_or_set("third", lambda: 1, tags=["late"])

    await run_while(cluster.a, change)
    assert await cluster.a.get("k") is None
    assert await cluster.b.get("k") is None


async def test_l2_away_before_and_back_meanwhile(cluster: Cluster, clock: FakeClock) -> None:
    cluster.remote.down = True

    async def change() -> None:
        cluster.planes[0].cut()
        await cluster.b.invalidate(["late"])
        cluster.remote.down = False
        await clock.advance(1.5)

    await run_while(cluster.a, change)
    assert await cluster.a.get("k") is None


async def test_untouched_tags_are_kept(cluster: Cluster) -> None:
    """Also where another tag is invalidated meanwhile, and where L2 or its use is away."""
    await run_while(cluster.a, lambda: cluster.b.invalidate(["another"]))
    assert await cluster.b.get("k") == "old"
    await cluster.b.invalidate(["late"])
    await settle()
    assert await cluster.a.get("k") is None
    await run_while(cluster.a, settle, skip_l2=True)
    assert await cluster.a.get("k") == "old"
    await cluster.a.delete("k")
    cluster.remote.down = True
    await run_while(cluster.a, settle)
    assert await cluster.a.get("k") == "old"
