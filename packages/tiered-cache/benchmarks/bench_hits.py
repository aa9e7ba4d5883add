"""What a hit costs, against a hand-written dict with a ttl and a bare Redis GET.

Prints medians of five interleaved runs. Redis is measured where ``redis-server`` is on PATH.
"""

import asyncio
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable

from tiered_cache import CacheProvider

CALLS = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
RUNS = 5
PORT = 26399


async def nanoseconds(call: Callable[[], Awaitable[object]], count: int) -> float:
    """Return what one call costs."""
    begun = time.perf_counter()
    for _ in range(count):
        await call()
    return (time.perf_counter() - begun) / count * 1e9


def report(title: str, rows: dict[str, list[float]]) -> None:
    """Print medians and ratios to the first row."""
    print(title)
    floor = statistics.median(next(iter(rows.values())))
    for name, values in rows.items():
        middle = statistics.median(values)
        print(f"  {name:34} {middle:12,.0f} ns  {middle / floor:6.2f} x")


async def local() -> None:
    """Measure the decorator on L1."""
    cache = CacheProvider.from_url("memory://")
    known: dict[int, tuple[float, int]] = {}

    async def by_hand(n: int) -> int:
        found = known.get(n)
        if found is not None and found[0] > time.monotonic():
            return found[1]
        known[n] = time.monotonic() + 300, n
        return n

    @cache.cached(ttl=300)
    async def ours(n: int) -> int:
        return n

    @cache.cached(ttl=300, tags=["t"])
    async def tagged(n: int) -> int:
        return n

    rows: dict[str, list[float]] = {
        "hand-written dict with ttl": [],
        "cached": [],
        "cached, a tag": [],
    }
    for _ in range(RUNS):
        for name, function in zip(rows, (by_hand, ours, tagged), strict=True):
            await function(1)
            rows[name].append(await nanoseconds(lambda f=function: f(1), CALLS))
    report("hit in L1, asynchronous", rows)
    await cache.aclose()


async def remote() -> None:
    """Measure L2 alone against the client."""
    from redis.asyncio import Redis

    url = f"redis://127.0.0.1:{PORT}"
    cache = CacheProvider.from_url(f"{url}?l1=off")
    async with Redis.from_url(url) as client:
        await client.set("raw", b"x" * 1024)
        await cache.set("k", b"x" * 1024)
        rows: dict[str, list[float]] = {"redis-py GET of 1 KB": [], "get with L1 off": []}
        for _ in range(RUNS):
            rows["redis-py GET of 1 KB"].append(await nanoseconds(lambda: client.get("raw"), 2000))
            rows["get with L1 off"].append(await nanoseconds(lambda: cache.get("k"), 2000))
    report("hit in L2, one after the other", rows)
    await cache.aclose()


def main() -> None:
    """Run what can be run."""
    asyncio.run(local())
    program = shutil.which("redis-server")
    if program is None:
        print("no redis-server on PATH: L2 is left out")
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "--port", str(PORT), "--save", "", "--dir", folder]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            asyncio.run(remote())
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
