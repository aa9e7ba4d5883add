"""What a hit costs: L1 by decorators and by the facade, L2 one by one and by 64 tasks."""

import asyncio
import functools
import logging
import tempfile
import time
from typing import Any
from urllib.parse import urlsplit

from measure import (
    Table,
    bars,
    has,
    options,
    per_call,
    per_call_blocking,
    per_call_by_tasks,
    redis_server,
    save,
)  # fmt: skip

from tiered_cache import CacheProvider, Settings, sync

CALLS = 50_000
KEYS = [n % 1000 for n in range(CALLS)]
FEW = KEYS[:5_000]


async def hits_of_coroutines(runs: int) -> Table:
    table = Table("async decorator, hit in L1", "ns", bar="2 x a hand-written dict with ttl")
    cache = CacheProvider(Settings.from_mapping({"l1": {"max_size": 10_000}}))
    known: dict[int, tuple[float, int]] = {}

    async def by_hand(n: int) -> int:
        found = known.get(n)
        if found is not None and found[0] > time.monotonic():
            return found[1]
        known[n] = time.monotonic() + 300, n
        return n

    async def plain(n: int) -> int:
        return n

    class Owner:
        @cache.cached(ttl=300)
        async def method(self, n: int) -> int:
            return n

    calls: dict[str, tuple[Any, list[int]]] = {
        "hand-written dict with ttl": (by_hand, KEYS),
        "a coroutine call alone": (plain, KEYS),
        "tiered-cache": (cache.cached(ttl=300)(plain), KEYS),
        "tiered-cache, a tag": (cache.cached(ttl=300, tags=["t"], namespace="t")(plain), KEYS),
        "tiered-cache, a method": (Owner().method, KEYS),
    }
    if has("cachebox"):
        import cachebox

        calls["cachebox"] = (cachebox.cached(cachebox.TTLCache(2000, 300))(plain), KEYS)
    if has("theine"):
        from datetime import timedelta

        import theine

        made = theine.Memoize(2000, timedelta(seconds=300))(plain)
        calls["theine"] = (made, KEYS)
    if has("aiocache"):
        import aiocache

        calls["aiocache"] = (aiocache.cached(ttl=300)(plain), FEW)
    if has("cashews"):
        from cashews import Cache

        cashews = Cache()
        cashews.setup("mem://?size=2000")
        calls["cashews"] = (cashews(ttl="300s", key="n:{n}")(plain), FEW)
    for call, _ in calls.values():
        for n in range(1000):
            for _ in range(3):
                await call(n)
    for _ in range(runs):
        for name, (call, keys) in calls.items():
            table.add(name, await per_call(call, keys))
    await cache.aclose()
    return table


def hits_of_functions(runs: int) -> list[Table]:
    table = Table("sync decorator, hit in L1", "ns", bar="300 ns")
    cache = CacheProvider(Settings.from_mapping({"l1": {"max_size": 10_000}}))

    def plain(n: int) -> int:
        return n

    calls: dict[str, tuple[Any, list[int]]] = {
        "functools.lru_cache": (functools.lru_cache(2000)(plain), KEYS),
        "tiered-cache": (cache.cached(ttl=300)(plain), KEYS),
    }
    if has("cachetools"):
        import cachetools

        calls["cachetools LRU"] = (cachetools.cached(cachetools.LRUCache(2000))(plain), KEYS)
        calls["cachetools TTL"] = (cachetools.cached(cachetools.TTLCache(2000, 300))(plain), KEYS)
    if has("cachebox"):
        import cachebox

        calls["cachebox"] = (cachebox.cached(cachebox.TTLCache(2000, 300))(plain), KEYS)
    if has("theine"):
        from datetime import timedelta

        import theine

        calls["theine"] = (theine.Memoize(2000, timedelta(seconds=300))(plain), KEYS)
    if has("dogpile"):
        from dogpile.cache import make_region

        region = make_region().configure("dogpile.cache.memory", expiration_time=300)
        calls["dogpile.cache memory"] = (region.cache_on_arguments()(plain), FEW)
    if has("diskcache"):
        import diskcache

        disk = diskcache.Cache(tempfile.mkdtemp())
        calls["diskcache"] = (disk.memoize(expire=300)(plain), FEW[:1000])
    for call, _ in calls.values():
        for n in range(1000):
            for _ in range(3):
                call(n)
    facade = Table("sync facade, get of a hit in L1", "ns", bar="2,000 ns")
    blocking = sync.CacheProvider(cache)
    blocking.set("k", 1)
    gets: dict[str, Any] = {"tiered-cache facade": blocking.get}
    if has("django"):
        from django.conf import settings

        settings.configure()
        from django.core.cache.backends.locmem import LocMemCache

        local = LocMemCache("bench", {})
        local.set("k", 1)
        gets["Django locmem"] = local.get
    for _ in range(runs):
        for name, (call, keys) in calls.items():
            table.add(name, per_call_blocking(call, keys))
        for name, get in gets.items():
            facade.add(name, per_call_blocking(lambda _, get=get: get("k"), FEW))
    blocking.close()
    return [table, facade]


async def gets_of_l2(url: str, runs: int) -> list[Table]:
    from redis.asyncio import BlockingConnectionPool, Redis

    one = Table("get of 1 KB from L2, one after the other", "ns", bar="1.3 x redis-py GET")
    many = Table("get of 1 KB from L2, 64 tasks", "ns/op", bar="12,000 ns/op")
    value = {"text": "x" * 1000}
    names = [f"k{n % 200}" for n in range(4000)]
    cache = CacheProvider.from_url(f"{url}?l1=off")
    pool: Any = BlockingConnectionPool.from_url(url, max_connections=64)
    client = Redis(connection_pool=pool)
    for n in range(200):
        await cache.set(f"k{n}", value)
        await client.set(f"raw:k{n}", b"x" * 1000)
    calls: dict[str, Any] = {
        "redis-py GET": lambda key: client.get(f"raw:{key}"),
        "tiered-cache": cache.get,
    }
    if has("aiocache"):
        import aiocache
        from aiocache.serializers import JsonSerializer

        peer = aiocache.RedisCache(
            endpoint="127.0.0.1",
            port=urlsplit(url).port,
            serializer=JsonSerializer(),
            pool_max_size=64,
        )
        for n in range(200):
            await peer.set(f"k{n}", value)
        calls["aiocache json"] = peer.get
    if has("cashews"):
        from cashews import Cache

        cashews = Cache()
        cashews.setup(url, max_connections=64)
        for n in range(200):
            await cashews.set(f"c:k{n}", value, expire=300)
        calls["cashews"] = lambda key: cashews.get(f"c:{key}")
    for _ in range(runs):
        for name, call in calls.items():
            one.add(name, await per_call(call, names[:1000]))
            many.add(name, await per_call_by_tasks(call, names, 64))
    await cache.aclose()
    await client.aclose()
    return [one, many]


def main() -> None:
    logging.disable(logging.CRITICAL)
    given = options(__doc__)
    tables = [asyncio.run(hits_of_coroutines(given.runs)), *hits_of_functions(given.runs)]
    with redis_server() as server:
        tables += asyncio.run(gets_of_l2(server.url, given.runs))
    for table in tables:
        table.show()
    bars(given.out, "hits-async", tables[0])
    bars(given.out, "hits-sync", tables[1])
    save(given.out, "hits", tables)


if __name__ == "__main__":
    main()
