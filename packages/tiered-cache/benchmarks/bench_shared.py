"""What the shared level costs where it hurts: stampedes, invalidation, patterns, a frozen Redis."""

import asyncio
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from measure import Table, has, options, redis_server, save

from _common.server import Server
from tiered_cache import CacheProvider, Settings

TASKS, WORK = 1000, 0.05


async def stampede(ask: Callable[[Callable[[], Any]], Any]) -> tuple[int, float, int]:
    """Return factory calls, milliseconds and errors of 1,000 tasks that miss one key."""
    calls = 0

    async def factory() -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(WORK)
        return 1

    begun = time.perf_counter()
    found = await asyncio.gather(*(ask(factory) for _ in range(TASKS)), return_exceptions=True)
    errors = sum(isinstance(each, BaseException) for each in found)
    return calls, (time.perf_counter() - begun) * 1000, errors


async def in_process(url: str, runs: int) -> list[Table]:
    took = Table("1,000 tasks, one cold key, a factory of 50 ms", "ms", bar="1 call, 70 ms")
    calls = Table("factory calls of the same", "calls", bar="1")
    ours = CacheProvider.from_url("memory://")
    shared = CacheProvider.from_url(url)
    await shared.get("x")
    peers: dict[str, Callable[[int], Callable[[Any], Any]]] = {
        "tiered-cache": lambda n: lambda factory: ours.get_or_set(f"s{n}", factory),
        "tiered-cache, with Redis": lambda n: lambda factory: shared.get_or_set(f"s{n}", factory),
    }
    if has("aiocache"):
        import aiocache

        def aio(n: int) -> Callable[[Any], Any]:
            made: dict[Any, Any] = {}

            def ask(factory: Any) -> Any:
                if not made:
                    made["f"] = aiocache.cached(ttl=60, key=f"a{n}")(factory)
                return made["f"]()

            return ask

        peers["aiocache cached"] = aio
    if has("cashews"):
        from cashews import Cache

        cashews = Cache()
        cashews.setup(url)

        def cash(n: int) -> Callable[[Any], Any]:
            made: dict[Any, Any] = {}

            def ask(factory: Any) -> Any:
                if not made:

                    async def call() -> Any:
                        return await factory()

                    made["f"] = cashews(ttl="60s", key=f"c{n}", lock=True)(call)
                return made["f"]()

            return ask

        peers["cashews lock=True, Redis"] = cash
    for n in range(runs):
        for name, make in peers.items():
            count, spent, _ = await stampede(make(n))
            took.add(name, spent)
            calls.add(name, count)
    await ours.aclose()
    await shared.aclose()
    return [took, calls]


CHILD = """
import asyncio, json, sys, time
from tiered_cache import CacheProvider
calls = 0
async def factory():
    global calls
    calls += 1
    await asyncio.sleep(0.05)
    return 1
async def main():
    async with CacheProvider.from_url(sys.argv[1]) as cache:
        await cache.get("warm")
        while not (await cache.get_stats()).trusted:
            await asyncio.sleep(0.01)
        for n in range(int(sys.argv[2])):
            print("ready", flush=True)
            sys.stdin.readline()
            calls, begun = 0, time.perf_counter()
            globals()["calls"] = 0
            await asyncio.gather(*(cache.get_or_set(f"p{n}", factory) for _ in range(250)))
            took = (time.perf_counter() - begun) * 1000
            print(json.dumps([globals()["calls"], took]), flush=True)
asyncio.run(main())
"""


def across_processes(url: str, runs: int) -> list[Table]:
    took = Table("4 processes of 250 tasks, one cold key", "ms", bar="1 call, 150 ms")
    calls = Table("factory calls of all four", "calls", bar="1")
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, url, str(runs)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for _ in range(runs):
        for each in children:
            each.stdout.readline()
        for each in children:
            each.stdin.write("\n")
            each.stdin.flush()
        found = [json.loads(each.stdout.readline()) for each in children]
        calls.add("tiered-cache", sum(count for count, _ in found))
        took.add("tiered-cache", max(spent for _, spent in found))
    for each in children:
        each.wait(10)
    return [took, calls]


# for each line of stdin: serves a value from its L1 until it no longer may, and tells when that was
OTHER = """
import asyncio, sys, time
from tiered_cache import CacheProvider
async def main():
    loop = asyncio.get_running_loop()
    async with CacheProvider.from_url(sys.argv[1]) as cache:
        while await loop.run_in_executor(None, sys.stdin.readline):
            while await cache.get("i1") != 1 or not (await cache.get_stats()).trusted:
                await asyncio.sleep(0.01)
            print("serves", flush=True)
            while await cache.get("i1") is not None:
                await asyncio.sleep(0)
            print(time.perf_counter(), flush=True)
asyncio.run(main())
"""


class Other:
    """Another process; its messages and work are none of the event loop that is measured."""

    def __init__(self, url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", OTHER, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def serve(self) -> None:
        """Return once it serves the value from its L1."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "serves\n"

    def ended(self) -> float:
        """Return when it stopped to serve it; processes share the clock."""
        return float(self._process.stdout.readline())

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


async def invalidation(url: str, runs: int) -> list[Table]:
    from redis.asyncio import Redis

    once = Table("invalidate a tag on 10,000 values", "ms", bar="0.3 ms, one round trip")
    blind = Table("until another process no longer serves it", "ms", bar="2 ms")
    tagging = Table("set, without and with a tag", "us", bar="1.1 x")
    a, other = CacheProvider.from_url(url), Other(url)
    items = {f"i{n}": n for n in range(10_000)}
    client: Any = Redis.from_url(url)
    await client.ping()
    for run in range(runs):
        await a.set_many(items, tags=["t"])
        await asyncio.to_thread(other.serve)
        begun = time.perf_counter()
        await a.invalidate(["t"])
        blind.add("tiered-cache", (await asyncio.to_thread(other.ended) - begun) * 1000)
        # the values stay where they are: another time costs what the first one does
        for _ in range(20):
            begun = time.perf_counter()
            await client.execute_command("PING")
            once.add("a round trip (PING)", (time.perf_counter() - begun) * 1000)
            begun = time.perf_counter()
            await a.invalidate(["t"])
            once.add("tiered-cache", (time.perf_counter() - begun) * 1000)
        spent = {"tiered-cache set": 0.0, "tiered-cache set with a tag": 0.0}
        for start in range(0, 500, 20):  # in turns: what disturbs one soon disturbs the other, too
            for name, tags in zip(spent, (None, ["u"]), strict=True):
                begun = time.perf_counter()
                for n in range(start, start + 20):
                    await a.set(f"w{n}", n, tags=tags)
                spent[name] += time.perf_counter() - begun
        for name, seconds in spent.items():
            tagging.add(name, seconds / 500 * 1e6)
        if has("cashews"):
            from cashews import Cache

            cashews = Cache()
            cashews.setup(url)
            await asyncio.gather(
                *(cashews.set(f"c{run}{n}", n, expire=300, tags=["t"]) for n in range(2000))
            )
            begun = time.perf_counter()
            await cashews.delete_tags("t")
            once.add("cashews (2,000 values)", (time.perf_counter() - begun) * 1000)
    await client.aclose()
    await a.aclose()
    other.close()
    return [once, blind, tagging]


async def patterns(url: str) -> Table:
    from redis.asyncio import Redis

    table = Table("delete_pattern, 10 % of 100,000 keys", "ms", bar="1.2 x a raw SCAN COUNT 1000")
    settings = {"l2": {"connection_string": url, "timeout": 60}}
    cache = CacheProvider(Settings.from_mapping(settings))
    client: Any = Redis.from_url(url)
    await cache.get("x")
    for _ in range(3):
        await client.flushall()
        for start in range(0, 100_000, 5_000):
            pipe = client.pipeline(transaction=False)
            for n in range(start, start + 5_000):
                pipe.set(f"cache:v:{'hit' if n % 10 == 0 else 'miss'}:{n}", b"x")
                pipe.set(f"raw:{'hit' if n % 10 == 0 else 'miss'}:{n}", b"x")
            await pipe.execute()
        begun = time.perf_counter()
        found = [key async for key in client.scan_iter(match="raw:hit:*", count=1000)]
        for at in range(0, len(found), 1000):
            await client.unlink(*found[at : at + 1000])
        table.add("raw SCAN COUNT 1000 and UNLINK", (time.perf_counter() - begun) * 1000)
        begun = time.perf_counter()
        assert await cache.delete_pattern("hit:*") == 10_000
        table.add("tiered-cache", (time.perf_counter() - begun) * 1000)
    await client.aclose()
    await cache.aclose()
    return table


async def frozen(server: Server) -> list[Table]:
    first = Table("Redis frozen: the first get_or_set", "ms", bar="l2_timeout (100 ms) once")
    rest = Table("Redis frozen: each one after it", "ms", bar="1 ms + factory")
    for run in range(3):
        cache = CacheProvider.from_url(server.url)
        await cache.get("x")
        server.pause()
        try:
            for n in range(50):
                begun = time.perf_counter()
                await cache.get_or_set(f"f{run}{n}", lambda: 1)
                spent = (time.perf_counter() - begun) * 1000
                (rest if n else first).add("tiered-cache", spent)
            if has("cashews"):
                from cashews import Cache

                cashews = Cache()
                cashews.setup(server.url)
                begun = time.perf_counter()
                await cashews.get("x")
                first.add("cashews get", (time.perf_counter() - begun) * 1000)
        finally:
            server.resume()
        await cache.aclose()
    return [first, rest]


def main() -> None:
    logging.disable(logging.CRITICAL)
    given = options(__doc__)
    with redis_server() as server:
        tables = asyncio.run(in_process(server.url, given.runs))
        tables += across_processes(server.url, given.runs)
        tables += asyncio.run(invalidation(server.url, given.runs))
        tables.append(asyncio.run(patterns(server.url)))
        tables += asyncio.run(frozen(server))
    for table in tables:
        table.show(digits=2)
    save(given.out, "shared", tables)


if __name__ == "__main__":
    main()
