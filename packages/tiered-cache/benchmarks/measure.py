"""What the benchmarks share: interleaved runs, medians and spread, ratios, JSON, a Redis.

Each script takes ``--record``, which writes figures and pictures into the documentation, and
``--quick``, a smoke run whose figures say nothing.
"""

import argparse
import asyncio
import contextlib
import importlib.util
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RUNS = 5
DOCS = Path(__file__).parents[3] / "docs" / "tiered-cache" / "explanation" / "benchmarks"
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # its servers are ours too

from _common.redis_server import REDIS, run_redis  # noqa: E402  found by the line above
from _common.server import Server  # noqa: E402
from _common.services import locate_program  # noqa: E402


@dataclass(frozen=True)
class Options:
    """What was asked for.

    Attributes:
        runs: How often each row is measured.
        out: The folder for figures and pictures; None for a run that is only printed.
        traces: Files to replay, of the script that does so.
    """

    runs: int
    out: Path | None
    traces: tuple[Path, ...] = ()


def options(about: str | None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one run: the figures say nothing")
    parser.add_argument("--record", action="store_true", help=f"write to {DOCS.name}/ of the docs")
    parser.add_argument("--trace", type=Path, action="append", default=[], help="one key a line")
    given = parser.parse_args()
    if given.quick and given.record:
        parser.error("--quick gives no figures that are worth to be recorded")
    return Options(1 if given.quick else RUNS, DOCS if given.record else None, (*given.trace,))


class Table:
    """Figures of one benchmark: rows by name, one value for each run; smaller is better."""

    def __init__(self, title: str, unit: str, *, bar: str = "") -> None:
        self.title, self.unit, self.bar = title, unit, bar
        self.rows: dict[str, list[float]] = {}

    def add(self, name: str, value: float) -> None:
        self.rows.setdefault(name, []).append(value)

    def middle(self, name: str) -> float:
        return statistics.median(self.rows[name])

    def show(self, *, digits: int = 0) -> None:
        """Print medians, spread and the ratio to the first row."""
        print(f"\n{self.title}  [{self.unit}]" + (f"   bar: {self.bar}" if self.bar else ""))
        floor = self.middle(next(iter(self.rows)))
        for name, values in self.rows.items():
            value = statistics.median(values)
            low, high = min(values), max(values)
            ratio = value / floor if floor else float("nan")
            print(
                f"  {name:40} {value:14,.{digits}f}  ({low:,.{digits}f} to {high:,.{digits}f})"
                f"  {ratio:8.2f} x"
            )


def save(out: Path | None, name: str, tables: list[Table]) -> None:
    """Write the figures as JSON."""
    if out is None:
        return
    data = {
        "machine": {
            "python": sys.version.split()[0],
            "cpus": os.cpu_count(),
            "system": platform.platform(),
        },
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        "load": os.getloadavg(),
        "tables": [
            {"title": t.title, "unit": t.unit, "bar": t.bar, "rows": t.rows} for t in tables
        ],
    }
    path = out / f"{name}.json"
    path.write_text(json.dumps(data, indent=1), encoding="utf-8")
    print(f"\n{path}")


def bars(out: Path | None, name: str, table: Table) -> None:
    """Draw a table as bars, where matplotlib is installed."""
    if out is None or not has("matplotlib"):
        return
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 0.45 * len(table.rows) + 1.2))
    names = list(table.rows)[::-1]
    axes.barh(names, [table.middle(each) for each in names], color="#4477aa")
    axes.set_xscale("log")
    axes.set_xlabel(table.unit)
    axes.set_title(table.title)
    figure.tight_layout()
    figure.savefig(out / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)


def has(module: str) -> bool:
    """Whether a peer is installed."""
    return importlib.util.find_spec(module) is not None


async def per_call(call: Callable[[Any], Awaitable[object]], keys: list[Any]) -> float:
    """Return the nanoseconds of one call, awaited one after the other."""
    begun = time.perf_counter()
    for key in keys:
        await call(key)
    return (time.perf_counter() - begun) / len(keys) * 1e9


def per_call_blocking(call: Callable[[Any], object], keys: list[Any]) -> float:
    """Return the nanoseconds of one blocking call."""
    begun = time.perf_counter()
    for key in keys:
        call(key)
    return (time.perf_counter() - begun) / len(keys) * 1e9


async def per_call_by_tasks(
    call: Callable[[Any], Awaitable[object]], keys: list[Any], tasks: int
) -> float:
    """Return the nanoseconds of one call where so many tasks call side by side."""
    left = iter(keys)

    async def work() -> None:
        for key in left:
            await call(key)

    begun = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(tasks)))
    return (time.perf_counter() - begun) / len(keys) * 1e9


@contextlib.contextmanager
def redis_server() -> Iterator[Server]:
    """Give a Redis of our own."""
    with run_redis(locate_program(REDIS)) as server:
        yield server
