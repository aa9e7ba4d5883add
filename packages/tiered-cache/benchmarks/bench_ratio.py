"""Hit ratios of L1 policies on traces: zipf, zipf with a scan, a loop; and on a trace of yours.

``--trace FILE`` replays one of yours, one key a line.
"""

import itertools
import random
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from measure import Table, has, options, save

from tiered_cache.ports import Entry
from tiered_cache.registry import LOCALS

KEYS, ACCESSES, SIZE = 100_000, 500_000, 1_000


def zipf(skew: float = 0.99) -> list[int]:
    rng = random.Random(7)
    weights = list(itertools.accumulate(1 / (n + 1) ** skew for n in range(KEYS)))
    return rng.choices(range(KEYS), cum_weights=weights, k=ACCESSES)


def with_scan(trace: list[int]) -> list[int]:
    rng, cold, mixed = random.Random(11), itertools.count(KEYS), list[int]()
    for key in trace:
        mixed.append(next(cold) if rng.random() < 0.2 else key)
    return mixed


def loop() -> list[int]:
    return [n % int(SIZE * 1.2) for n in range(ACCESSES)]


def replay_ours(name: str, trace: Iterable[Any]) -> float:
    tier, hits, count = LOCALS.load(name)(SIZE), 0, 0
    for key in trace:
        count += 1
        text = str(key)
        if tier.get(text) is not None:
            hits += 1
        else:
            tier.set(text, Entry(None, 1e12, 1e12))
    return hits / count * 100


def replay(get: Callable[[Any], Any], put: Callable[[Any], None], trace: Iterable[Any]) -> float:
    hits = count = 0
    for key in trace:
        count += 1
        if get(key) is not None:
            hits += 1
        else:
            put(key)
    return hits / count * 100


def peers() -> dict[str, Callable[[Iterable[Any]], float]]:
    found: dict[str, Callable[[Iterable[Any]], float]] = {}
    if has("cachetools"):
        import cachetools

        def tools(trace: Iterable[Any]) -> float:
            made: Any = cachetools.LRUCache(SIZE)
            return replay(made.get, lambda key: made.__setitem__(key, 1), trace)

        found["cachetools LRU"] = tools
    if has("theine"):
        import theine

        def tinylfu(trace: Iterable[Any]) -> float:
            made: Any = theine.Cache(SIZE)
            return replay(lambda key: made.get(key)[0], lambda key: made.set(key, 1), trace)

        found["theine W-TinyLFU"] = tinylfu
    if has("cachebox"):
        import cachebox

        def box(trace: Iterable[Any]) -> float:
            made: Any = cachebox.LRUCache(SIZE)
            return replay(made.get, lambda key: made.insert(key, 1), trace)

        found["cachebox LRU"] = box
    return found


def draw(out: Path | None, tables: list[Table]) -> None:
    if out is None or not has("matplotlib"):
        return
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4))
    names = list(tables[0].rows)
    width = 0.8 / len(names)
    for at, name in enumerate(names):
        places = [n + at * width for n in range(len(tables))]
        axes.bar(places, [each.middle(name) for each in tables], width, label=name)
    axes.set_xticks([n + 0.4 for n in range(len(tables))], [each.title for each in tables])
    axes.set_ylabel("hit ratio, %")
    axes.legend(fontsize=7, ncols=2)
    axes.set_title(f"L1 of {SIZE:,} entries, {KEYS:,} keys")
    figure.tight_layout()
    figure.savefig(out / "hit-ratio.svg", metadata={"Date": None})


def main() -> None:
    given = options(__doc__)
    base = zipf()
    traces: dict[str, tuple[list[Any], str]] = {
        "zipf 0.99": (base, ">= 57.5"),
        "zipf + 20 % scan": (with_scan(base), ">= 45.5"),
        "loop of 1.2 x": (loop(), ">= 60"),
    }
    for trace in given.traces:
        traces[trace.name] = (trace.read_text(encoding="utf-8").split(), "")
    tables: list[Table] = []
    for title, (keys, bar) in traces.items():
        table = Table(title, "% hits", bar=bar)
        for name in ("s3fifo", "sieve", "lru", "tinylfu"):
            if name != "tinylfu" or has("theine"):
                begun = time.perf_counter()
                table.add(f"tiered-cache {name}", replay_ours(name, keys))
                print(
                    title,
                    name,
                    f"{(time.perf_counter() - begun) / len(keys) * 1e9:,.0f} ns/access",
                )
        for name, run in peers().items():
            table.add(name, run(keys))
        tables.append(table)
    for table in tables:
        table.show(digits=1)
    draw(given.out, tables[:3])
    save(given.out, "ratio", tables)


if __name__ == "__main__":
    main()
