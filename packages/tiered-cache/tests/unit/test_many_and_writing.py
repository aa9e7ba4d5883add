"""Many keys at once, the lock, and writing through and behind."""

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from clusters import Cluster
from tiered_cache import MISSING, CacheProvider, ConfigurationError, sync
from tiered_cache.testing import FakeClock, settle


async def test_one_factory_call_for_the_missing_keys(cluster: Cluster) -> None:
    calls: list[list[str]] = []

    async def factory(keys: list[str]) -> dict[str, str]:
        calls.append(keys)
        await asyncio.sleep(0)
        return {key: key.upper() for key in keys if key != "absent"}

    await cluster.a.set("b", "cached")
    keys = ["a", "b", "c", "absent"]
    found = await cluster.a.get_or_set_many(keys, factory, tags=["t"])
    assert found == {"a": "A", "b": "cached", "c": "C"}
    assert calls == [["a", "c", "absent"]]
    assert await cluster.b.get_or_set_many(["a", "c"], factory) == {"a": "A", "c": "C"}
    await cluster.a.invalidate(["t"])
    await settle()
    assert await cluster.b.get_or_set_many(["b", "a"], dict.fromkeys) == {"b": "cached", "a": None}
    assert await cluster.a.get_or_set_many([], factory) == {}


async def test_overlapping_callers_share_and_do_not_block_each_other(cache: CacheProvider) -> None:
    calls: list[list[str]] = []
    go = asyncio.Event()

    async def factory(keys: list[str]) -> dict[str, int]:
        calls.append(keys)
        await go.wait()
        return dict.fromkeys(keys, len(calls))

    orders = (["a", "b"], ["b", "c"], ["c", "a"], ["b", "a", "c"])
    callers = [asyncio.create_task(cache.get_or_set_many(each, factory)) for each in orders]
    await settle()
    single = asyncio.create_task(cache.get_or_set("c", lambda: "alone"))
    await settle()
    go.set()
    async with asyncio.timeout(60):
        results = await asyncio.gather(*callers)
        await single
    assert [list(each) for each in results] == [list(each) for each in orders]
    assert sorted(key for keys in calls for key in keys) == ["a", "b", "c"]


async def test_the_factorys_error_reaches_every_caller(cache: CacheProvider) -> None:
    def factory(keys: list[str]) -> dict[str, int]:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await cache.get_or_set_many(["a", "b"], factory)
    assert await cache.get_or_set_many(["a", "b"], lambda keys: dict.fromkeys(keys, 1)) == {
        "a": 1,
        "b": 1,
    }


async def test_get_many_is_one_call_of_l2(cluster: Cluster) -> None:
    await cluster.a.set_many({f"k{n}": n for n in range(50)})
    calls: list[int] = []
    read = cluster.other.read

    async def counting(keys: Any, tags: Any, **named: Any) -> Any:
        calls.append(len(keys))
        return await read(keys, tags, **named)

    cluster.other.read = counting  # type: ignore[method-assign]
    assert await cluster.b.get_many([f"k{n}" for n in range(60)]) == {f"k{n}": n for n in range(50)}
    assert calls == [60]


async def test_the_lock(cluster: Cluster, cache: CacheProvider, clock: FakeClock) -> None:
    for first, second in ((cluster.a, cluster.b), (cache, cache)):
        order: list[str] = []

        async def work(owner: CacheProvider, name: str, order: list[str] = order) -> None:
            async with owner.lock("k") as held:
                assert held
                order.append(name)
                await asyncio.sleep(0)
                order.append(name)

        tasks = [asyncio.create_task(work(*each)) for each in ((first, "a"), (second, "b"))]
        while not all(task.done() for task in tasks):
            await clock.advance(0.1)
        await asyncio.gather(*tasks)
        assert order in (["a", "a", "b", "b"], ["b", "b", "a", "a"])
        async with first.lock("k"):
            late = asyncio.create_task(second.lock("k", wait=1).__aenter__())
            await clock.advance(2)
            assert await late is False
    with pytest.raises(ConfigurationError, match="wait"):
        await cache.lock("k", wait=-1).__aenter__()


class Store:
    """An application's own store."""

    def __init__(self) -> None:
        self.rows: dict[str, Any] = {}
        self.batches: list[int] = []
        self.broken = False

    def write(self, changes: Mapping[str, Any]) -> None:
        if self.broken:
            raise OSError("the store is down")
        self.batches.append(len(changes))
        for key, value in changes.items():
            if value is MISSING:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value


async def test_write_through(cluster: Cluster) -> None:
    store = Store()
    users = cluster.a.write_through(store.write, ttl=60)
    await users.set("u:1", "Ada")
    await users.set_many({"u:2": "Bob", "u:3": "Eve"})
    assert store.batches == [1, 2]
    await settle()
    assert await cluster.b.get_many(["u:1", "u:2"]) == {"u:1": "Ada", "u:2": "Bob"}
    await users.delete("u:1")
    await settle()
    assert await cluster.b.get("u:1") is None
    assert store.rows == {"u:2": "Bob", "u:3": "Eve"}
    store.broken = True
    with pytest.raises(OSError, match="down"):
        await users.set("u:2", "new")
    # nobody knows what the store has: nothing is served from the cache
    assert await cluster.a.get("u:2") is None


async def test_write_behind_batches_and_keeps_the_last(
    cache: CacheProvider, clock: FakeClock
) -> None:
    store = Store()
    counts = cache.write_behind(store.write, max_delay=5, max_batch=3)
    for n in range(10):
        await counts.set("k", n)
    assert await cache.get("k") == 9
    assert (store.rows, counts.pending) == ({}, 1)
    await clock.advance(5)
    assert (store.rows, store.batches, counts.pending) == ({"k": 9}, [1], 0)
    await counts.set_many({str(n): n for n in range(7)})
    await settle()
    assert store.batches == [1, 3, 3]
    await counts.delete("k")
    await counts.flush()
    assert "k" not in store.rows
    assert len(store.rows) == 7


async def test_write_behind_tries_again(cache: CacheProvider, clock: FakeClock) -> None:
    store = Store()
    store.broken = True
    counts = cache.write_behind(store.write, max_delay=1)
    await counts.set("a", 1)
    await clock.advance(1)
    await counts.set("a", 2)
    assert counts.failures == 1
    store.broken = False
    await clock.advance(10)
    assert store.rows == {"a": 2}
    assert store.batches == [1]


async def test_write_behind_is_bounded(cache: CacheProvider, clock: FakeClock) -> None:
    store = Store()
    store.broken = True
    counts = cache.write_behind(store.write, max_delay=1, max_batch=2, max_pending=2)
    await counts.set_many({"a": 1, "b": 2})
    late = asyncio.create_task(counts.set("c", 3))
    await settle()
    assert not late.done()
    await counts.set("a", 5)
    store.broken = False
    await clock.advance(10)
    await late
    await clock.advance(10)
    assert store.rows == {"a": 5, "b": 2, "c": 3}
    for wrong in ({"max_delay": 0}, {"max_batch": 0}, {"max_pending": 1}):
        with pytest.raises(ConfigurationError, match="max_"):
            cache.write_behind(store.write, **wrong)


async def test_what_waits_is_stored_at_close(clock: FakeClock) -> None:
    store = Store()
    cache = CacheProvider.from_url("memory://", clock=clock)
    await cache.write_behind(store.write).set("a", 1)
    await cache.aclose()
    assert store.rows == {"a": 1}


def test_blocking_code_has_all_of_it() -> None:
    store = Store()
    with sync.CacheProvider.from_url("memory://") as cache:
        me = threading.get_ident()
        found = cache.get_or_set_many(["a"], lambda keys: {"a": threading.get_ident()})
        assert found == {"a": me}
        cache.write_through(store.write).set("x", 1)
        behind = cache.write_behind(store.write)
        behind.set_many({"y": 2})
        behind.flush()
        behind.delete("x")
        behind.flush()
        assert store.rows == {"y": 2}
        with cache.lock("k") as held, cache.lock("other") as too:
            assert held
            assert too


@pytest.mark.parametrize("made", [None, ["a"], "a", 5])
async def test_a_factory_of_many_returns_a_mapping(cache: CacheProvider, made: Any) -> None:
    async with asyncio.timeout(60):
        with pytest.raises(ConfigurationError, match=f"mapping.* not a {type(made).__name__}"):
            await cache.get_or_set_many(["a", "b"], lambda _: made)
        # nobody waits for what failed
        assert await cache.get_or_set_many(["a", "b"], dict.fromkeys) == {"a": None, "b": None}


async def test_write_behind_never_stores_an_older_value_last(cache: CacheProvider) -> None:
    stored: dict[str, Any] = {}
    begun, go = asyncio.Event(), asyncio.Event()

    async def writer(changes: Mapping[str, Any]) -> None:
        begun.set()
        if "old" in changes.values():
            await go.wait()
        stored.update(changes)

    behind = cache.write_behind(writer, max_batch=1)
    await behind.set("k", "old")
    await begun.wait()
    await behind.set("k", "new")
    flushed = asyncio.create_task(behind.flush())
    await settle()
    assert stored == {}  # the call with the newer value waits for that with the older one
    go.set()
    await flushed
    assert stored == {"k": "new"}
    assert behind.pending == 0
