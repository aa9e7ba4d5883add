"""Nothing stale after an invalidation: here, elsewhere, and while a factory runs."""

import asyncio
from typing import Any

import pytest

from clusters import Cluster
from tiered_cache import (
    CacheProvider,
)
from tiered_cache.testing import (
    FakeClock,
    settle,
)


async def test_invalidation_during_the_factory_wins(cache: CacheProvider, cluster: Cluster) -> None:
    """The open hole of the best peer: a value computed before the invalidation is not kept."""
    for subject in (cache, cluster.a):
        for change in (
            lambda c: c.invalidate(["t"]),
            lambda c: c.delete("k"),
            lambda c: c.clear(),
            lambda c: c.delete_pattern("k*"),
            lambda c: c.set("k", "new", tags=["t"]),
        ):
            go = asyncio.Event()

            async def factory(go: asyncio.Event = go) -> str:
                await go.wait()
                return "old"

            caller = asyncio.create_task(subject.get_or_set("k", factory, tags=["t"]))
            await settle()
            await change(subject)
            go.set()
            assert await caller == "old"
            assert await subject.get("k") in {None, "new"}
            await subject.delete("k")


async def test_invalidation_elsewhere_during_the_factory_wins(cluster: Cluster) -> None:
    for change in (lambda: cluster.b.invalidate(["t"]), lambda: cluster.b.delete("k")):
        go = asyncio.Event()

        async def factory(go: asyncio.Event = go) -> str:
            await go.wait()
            return "old"

        caller = asyncio.create_task(cluster.a.get_or_set("k", factory, tags=["t"]))
        await settle()
        # also when no message arrives: the fence and the versions of L2 refuse the value
        cluster.planes[0].cut()
        assert (await change()).confirmed
        go.set()
        assert await caller == "old"
        cluster.planes[0].heal()
        assert await cluster.a.get("k") is None
        assert await cluster.b.get("k") is None


async def test_changes_reach_the_other_process(cluster: Cluster) -> None:
    await cluster.a.set("k", 1, tags=["t"])
    assert await cluster.b.get("k") == 1
    await cluster.a.set("k", 2, tags=["t"])
    await settle()
    assert await cluster.b.get("k") == 2
    await cluster.b.invalidate(["t"])
    await settle()
    assert await cluster.a.get("k") is None
    await cluster.a.set("k", 3)
    assert await cluster.b.get("k") == 3
    await cluster.b.clear()
    await settle()
    assert await cluster.a.get("k") is None
    await cluster.a.set("pattern:1", 1)
    assert await cluster.b.get("pattern:1") == 1
    assert await cluster.a.delete_pattern("pattern:*") == 1
    await settle()
    assert await cluster.b.get("pattern:1") is None


async def test_a_process_without_heartbeat_doubts_its_l1(
    cluster: Cluster, clock: FakeClock
) -> None:
    await cluster.a.set("k", "old", tags=["t"])
    assert await cluster.b.get("k") == "old"
    cluster.planes[1].cut()
    await cluster.a.invalidate(["t"])
    await cluster.a.set("k", "new", tags=["t"])
    await clock.advance(2.1)
    assert await cluster.b.get("k") == "new"
    assert not (await cluster.b.get_stats()).trusted


async def test_a_gap_in_the_messages_empties_l1(cluster: Cluster) -> None:
    await cluster.a.set("k", "old")
    assert await cluster.b.get("k") == "old"
    cluster.planes[1].cut()
    await cluster.a.set("k", "new")
    cluster.planes[1].heal()
    assert await cluster.b.get("k") == "new"


async def test_a_pattern_means_the_same_in_both_levels(cluster: Cluster) -> None:
    keys = ["k1", "k2", "k!", "k*"]
    for pattern, left in (("k[^1]", ["k1"]), ("k[!1]", ["k2", "k*"]), (r"k\*", ["k1", "k2", "k!"])):
        await cluster.a.set_many(dict.fromkeys(keys, "v"))
        assert await cluster.a.delete_pattern(pattern) == len(keys) - len(left)
        await settle()
        assert list(await cluster.a.get_many(keys)) == left
        assert list(await cluster.b.get_many(keys)) == left


async def test_clear_and_delete_pattern_alone(cache: CacheProvider) -> None:
    await cache.set_many({"a:1": 1, "a:2": 2, "b:1": 3})
    assert await cache.delete_pattern("a:*") == 2
    assert await cache.get_many(["a:1", "b:1"]) == {"b:1": 3}
    assert (await cache.clear()).confirmed
    assert await cache.get("b:1") is None
    assert await cache.delete("b:1")


@pytest.mark.parametrize("how", ["get", "get_or_set"])
async def test_what_is_read_in_a_silence_is_as_old_as_the_silence(
    cluster: Cluster, clock: FakeClock, how: str
) -> None:
    """Versions of tags are as of the last sign of life, whenever the value was read."""
    await cluster.a.set("k", "old", tags=["t"])
    await cluster.b.set("other", 1, tags=["t"])
    await settle()
    cluster.planes[1].cut()
    assert (await cluster.a.invalidate(["t"])).confirmed
    await clock.advance(1.9)
    # not yet distrusted: b takes the value of L2 for fresh
    ask = cluster.b.get if how == "get" else lambda key: cluster.b.get_or_set(key, lambda: "new")
    assert await ask("k") == "old"
    await clock.advance(0.2)
    assert await ask("k") == (None if how == "get" else "new")


async def test_a_gap_while_a_value_is_set_makes_it_no_miss(cluster: Cluster) -> None:
    """The versions that a value carries are those that L2 told, whatever is forgotten meanwhile."""
    write = cluster.remote.write

    async def interrupted(items: Any) -> Any:
        cluster.planes[0].heal()  # a gap: all versions are unknown again
        return await write(items)

    cluster.remote.write = interrupted  # type: ignore[method-assign]
    await cluster.a.set("k", 1, tags=["t"])
    await cluster.a.set("k", 2, tags=["t"])
    await settle()
    assert await cluster.b.get("k") == 2


async def test_a_gap_costs_the_others_nothing_that_is_computed_meanwhile(cluster: Cluster) -> None:
    """What changed in the gap the shared level knows: what it accepts is good for everybody."""
    go = asyncio.Event()

    async def factory() -> str:
        await go.wait()
        return "made"

    caller = asyncio.create_task(cluster.a.get_or_set("k", factory))
    await settle()
    cluster.planes[0].cut()
    cluster.planes[0].heal()
    go.set()
    assert await caller == "made"
    assert await cluster.b.get("k") == "made"


@pytest.mark.parametrize("gap", [False, True])
async def test_a_pattern_deletes_what_is_computed_meanwhile(cluster: Cluster, gap: bool) -> None:
    """The pattern found nothing in the shared level yet, nor a flight after a gap."""
    go = asyncio.Event()

    async def factory() -> str:
        await go.wait()
        return "old"

    caller = asyncio.create_task(cluster.a.get_or_set("key:1", factory))
    await settle()
    if gap:
        cluster.planes[0].cut()
        cluster.planes[0].heal()
    await cluster.a.delete_pattern("key:*")
    go.set()
    assert await caller == "old"
    assert await cluster.a.get("key:1") is None
    assert await cluster.b.get("key:1") is None
