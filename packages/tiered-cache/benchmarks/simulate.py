"""What a cache does for those who wait: plots of stampedes, tags, outages and the backplane.

``python simulate.py FOLDER [PICTURE…]`` runs real caches, on a shared level in memory that freezes
for a while where one is to die, and draws what every request felt. Nothing is made up but the
fault.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from measure import redis_server

from tiered_cache import CacheProvider, Settings
from tiered_cache.testing import FlakyRemote, MemoryBackplane

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "tiered-cache"

FROM, UNTIL, END = 1.5, 3.5, 5.0
FACTORY, SLOW = 0.05, 0.4
KEYS = 20
QUERY, LIFE = 0.2, 1.0
COUNTS = (10, 100, 1_000, 10_000, 100_000)
Ask = Callable[[Callable[[], Awaitable[int]]], Awaitable[int]]


async def outage(
    options: dict[str, Any], *, timeout: float, breaker: bool
) -> list[tuple[float, float]]:
    """Return when requests came and how long they took, in seconds."""
    remote = FlakyRemote()
    settings = Settings.from_mapping({"l1": {"ttl": 0.3}, "l2": {"timeout": timeout}})
    cache = CacheProvider(settings, remote=remote, backplane=MemoryBackplane())
    found: list[tuple[float, float]] = []
    begun = time.perf_counter()

    async def factory() -> int:
        # whatever takes Redis away is felt by the database, too
        now = time.perf_counter() - begun
        await asyncio.sleep(SLOW if FROM < now < UNTIL else FACTORY)
        return 1

    async def ask(n: int) -> None:
        at = time.perf_counter()
        await cache.get_or_set(f"k{n % KEYS}", factory, ttl=0.5, **options)
        found.append((at - begun, time.perf_counter() - at))

    for n in range(KEYS):
        await cache.get_or_set(f"k{n}", factory, ttl=0.5, **options)
    begun = time.perf_counter()
    tasks: list[asyncio.Task[None]] = []
    n = 0
    while (now := time.perf_counter() - begun) < END:
        remote.frozen = FROM < now < UNTIL
        if not breaker and (shared := (await cache.opened()).shared) is not None:
            shared._breaker.is_open = False
        tasks.append(asyncio.create_task(ask(n)))
        n += 1
        await asyncio.sleep(0.01)
    await asyncio.gather(*tasks)
    await cache.aclose()
    return found


async def staleness(*, backplane: bool, ttl: float) -> list[tuple[float, float]]:
    """Return, over time, how old the value is that a process serves and another one invalidated."""
    shelf = FlakyRemote()
    hub = MemoryBackplane()
    settings = Settings.from_mapping({"l1": {"ttl": ttl}, "suspect_after": 100})
    planes = (
        [hub, MemoryBackplane(hub.hub)] if backplane else [MemoryBackplane(), MemoryBackplane()]
    )
    a, b = (
        CacheProvider(settings, remote=FlakyRemote(shelf=shelf.shelf), backplane=plane)
        for plane in planes
    )
    changed = time.perf_counter()
    found: list[tuple[float, float]] = []
    begun = time.perf_counter()
    version = 0
    while (now := time.perf_counter() - begun) < 4:
        if now > version + 1:
            version += 1
            changed = time.perf_counter()
            await a.invalidate(["t"])
        current = version
        value = await b.get_or_set("k", lambda current=current: current, tags=["t"])
        found.append((now, time.perf_counter() - changed if value != version else 0.0))
        await asyncio.sleep(0.01)
    await a.aclose()
    await b.aclose()
    return found


def by_hand() -> Ask:
    """Return a dict with a ttl as one writes it: whoever finds nothing asks the database."""
    known: dict[str, tuple[float, int]] = {}

    async def ask(factory: Callable[[], Awaitable[int]]) -> int:
        found = known.get("k")
        if found is not None and found[0] > time.monotonic():
            return found[1]
        value = await factory()
        known["k"] = time.monotonic() + LIFE, value
        return value

    return ask


async def stampede(ask: Ask) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Return the queries at the database over time, and how long each of 200 requests/s took."""
    begun, running = time.perf_counter(), 0
    queries: list[tuple[float, float]] = [(0.0, 0.0)]
    took: list[tuple[float, float]] = []

    async def factory() -> int:
        nonlocal running
        for step in (1, -1):
            running += step
            queries.append((time.perf_counter() - begun, running))
            if step == 1:
                await asyncio.sleep(QUERY)
        return 1

    async def request() -> None:
        at = time.perf_counter()
        await ask(factory)
        took.append((at - begun, time.perf_counter() - at))

    tasks: list[asyncio.Task[None]] = []
    while time.perf_counter() - begun < END:
        tasks.append(asyncio.create_task(request()))
        await asyncio.sleep(0.005)
    await asyncio.gather(*tasks)
    return queries, took


async def stampedes(path: Path) -> None:
    """Draw the load of a database behind three caches, and what their callers feel."""
    figure, (above, below) = plt.subplots(2, 1, figsize=(8, 5), sharex=True)
    async with CacheProvider.from_url("memory://") as cache:
        asks: dict[str, Ask] = {
            "a dict with a ttl": by_hand(),
            "one call for all": lambda factory: cache.get_or_set("k", factory, ttl=LIFE),
            "... and ahead of time (eager_refresh)": lambda factory: cache.get_or_set(
                "eager", factory, ttl=LIFE, eager_refresh=0.7
            ),
        }
        for name, ask in asks.items():
            queries, took = await stampede(ask)
            above.step(*zip(*queries, strict=True), where="post", lw=1.2, label=name)
            below.plot(
                *zip(*((at, value * 1000) for at, value in took), strict=True),
                ".",
                ms=3,
                rasterized=True,
            )
            print(f"{name:45} at most {max(n for _, n in queries):3.0f} queries at once")
    above.set_ylabel("queries at once")
    above.set_yscale("symlog", linthresh=1)
    above.set_yticks([0, 1, 10, 40], ["0", "1", "10", "40"])
    above.set_ylim(0, 400)
    above.legend(fontsize=8, ncols=3, loc="upper center")
    above.set_title(
        f"200 requests a second for a value of {LIFE:g} s, a query of {QUERY * 1000:g} ms"
    )
    below.set_ylabel("ms a request")
    below.set_xlabel("seconds")
    finish(figure, path)


async def invalidated(cache: CacheProvider) -> float:
    """Return how many milliseconds it takes until the shared level confirmed."""
    begun = time.perf_counter()
    done = await cache.invalidate(["t"])
    assert done.confirmed
    return (time.perf_counter() - begun) * 1000


async def tags(path: Path) -> None:
    """Draw what it costs to invalidate a tag, by the number of values that carry it."""
    from redis.asyncio import Redis

    ours: list[float] = []
    sets: list[float] = []
    with redis_server() as server:
        settings = Settings.from_mapping(
            {"l1": {"enabled": False}, "l2": {"connection_string": server.url, "timeout": 5}}
        )
        async with CacheProvider(settings) as cache, Redis.from_url(server.url) as raw:
            for count in COUNTS:
                keys = [f"{count}:{n}" for n in range(count)]
                for at in range(0, count, 1000):
                    some = keys[at : at + 1000]
                    await cache.set_many(dict.fromkeys(some, "value"), tags=["t"])
                    await raw.mset({f"raw:{key}": "value" for key in some})
                    await raw.sadd("raw:tag", *(f"raw:{key}" for key in some))
                ours.append(min([await invalidated(cache) for _ in range(5)]))
                begun = time.perf_counter()
                members = list(await raw.smembers("raw:tag"))
                for at in range(0, count, 1000):
                    await raw.unlink(*members[at : at + 1000])
                await raw.unlink("raw:tag")
                sets.append((time.perf_counter() - begun) * 1000)
    figure, axes = plt.subplots(figsize=(8, 3.6))
    axes.plot(COUNTS, sets, "o-", label="a Redis set of the tag's keys, each deleted")
    axes.plot(COUNTS, ours, "o-", label="a version for each tag (this cache)")
    axes.set(xscale="log", yscale="log", xlabel="values with the tag", ylabel="ms")
    axes.set_title("Invalidating a tag")
    axes.legend(fontsize=8)
    print(
        "invalidate", [round(each, 2) for each in ours], "sets", [round(each, 1) for each in sets]
    )
    finish(figure, path)


def finish(figure: Any, path: Path) -> None:
    """Write a picture that is the same for the same figures."""
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None}, dpi=160)
    plt.close(figure)
    print(path)


def draw(
    path: Path, title: str, label: str, lines: dict[str, list[tuple[float, float]]], scale: float
) -> None:
    figure, axes = plt.subplots(figsize=(8, 3.6))
    for name, points in lines.items():
        axes.plot(
            [at for at, _ in points], [value * scale for _, value in points], ".", ms=3, label=name
        )
    axes.set_xlabel("seconds")
    axes.set_ylabel(label)
    axes.set_title(title)
    axes.legend(fontsize=8)
    finish(figure, path)


def summary(lines: dict[str, list[tuple[float, float]]], pick: Callable[[float], bool]) -> None:
    for name, points in lines.items():
        values = sorted(value for at, value in points if pick(at))
        print(f"{name:45} median {values[len(values) // 2] * 1000:8.1f} ms,"
              f" worst {values[-1] * 1000:8.1f} ms")  # fmt: skip


async def outages(path: Path) -> None:
    """Draw what requests feel while the shared level is frozen."""
    lines = {
        "no breaker, one second of patience": await outage({}, timeout=1.0, breaker=False),
        "breaker (as it comes)": await outage({}, timeout=0.1, breaker=True),
        "breaker, max_stale, soft_timeout": await outage(
            {"max_stale": 60, "soft_timeout": 0.02}, timeout=0.1, breaker=True
        ),
    }
    summary(lines, lambda at: FROM < at < UNTIL)
    title = f"Redis freezes from {FROM:g} to {UNTIL:g} s, the database slows to {SLOW * 1000:g} ms"
    draw(path, title, "ms a request", lines, 1000)


async def backplane(path: Path) -> None:
    """Draw how old what is served is, where another process invalidates."""
    old = {
        "L1 alone knows its ttl (2 s)": await staleness(backplane=False, ttl=2),
        "with the backplane": await staleness(backplane=True, ttl=2),
    }
    title = "Another process invalidates each second"
    draw(path, title, "age of what is served, ms", old, 1000)


PICTURES = {"stampede": stampedes, "tags": tags, "outage": outages, "backplane": backplane}


async def main(folder: Path, *names: str) -> None:
    """Draw the pictures of those names, or all."""
    logging.disable(logging.CRITICAL)
    for name in names or PICTURES:
        await PICTURES[name](folder / f"{name}.svg")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
