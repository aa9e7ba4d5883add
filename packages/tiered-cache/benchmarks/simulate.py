"""What fail-safe, soft timeouts and the backplane do when the shared level dies: plots.

``python simulate.py FOLDER`` runs real caches on a shared level in memory that freezes for a while,
and draws the latency of every request. Nothing is made up but the fault.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

from tiered_cache import CacheProvider, Settings
from tiered_cache.testing import FlakyRemote, MemoryBackplane

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "tiered-cache"

FROM, UNTIL, END = 1.5, 3.5, 5.0
FACTORY, SLOW = 0.05, 0.4
KEYS = 20


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
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    print(path)


def summary(lines: dict[str, list[tuple[float, float]]], pick: Callable[[float], bool]) -> None:
    for name, points in lines.items():
        values = sorted(value for at, value in points if pick(at))
        print(f"{name:45} median {values[len(values) // 2] * 1000:8.1f} ms,"
              f" worst {values[-1] * 1000:8.1f} ms")  # fmt: skip


async def main(folder: Path) -> None:
    logging.disable(logging.CRITICAL)
    lines = {
        "no breaker, one second of patience": await outage({}, timeout=1.0, breaker=False),
        "breaker (as it comes)": await outage({}, timeout=0.1, breaker=True),
        "breaker, max_stale, soft_timeout": await outage(
            {"max_stale": 60, "soft_timeout": 0.02}, timeout=0.1, breaker=True
        ),
    }
    summary(lines, lambda at: FROM < at < UNTIL)
    draw(
        folder / "outage.svg",
        f"Redis freezes from {FROM:g} to {UNTIL:g} s, the database slows to {SLOW * 1000:g} ms",
        "ms a request",
        lines,
        1000,
    )
    old = {
        "L1 alone knows its ttl (2 s)": await staleness(backplane=False, ttl=2),
        "with the backplane": await staleness(backplane=True, ttl=2),
    }
    draw(folder / "backplane.svg", "Another process invalidates each second",
         "age of what is served, ms", old, 1000)  # fmt: skip


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
