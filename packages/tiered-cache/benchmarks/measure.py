"""What the benchmarks share: interleaved runs, medians and spread, ratios, JSON, a Redis.

Figures and pictures go into the folder that ``BENCH_OUT`` names. The documentation shows those in
``docs/tiered-cache/explanation/benchmarks``.
"""

import asyncio
import contextlib
import importlib.util
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RUNS = 5
OUT = Path(os.environ.get("BENCH_OUT") or Path(tempfile.gettempdir()) / "tiered-cache-bench")


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


def save(name: str, tables: list[Table], **more: Any) -> None:
    """Write the figures as JSON."""
    OUT.mkdir(parents=True, exist_ok=True)
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
        **more,
    }
    path = OUT / f"{name}.json"
    path.write_text(json.dumps(data, indent=1), encoding="utf-8")
    print(f"\n{path}")


def bars(name: str, table: Table, *, log: bool = True) -> None:
    """Draw a table as bars, where matplotlib is installed."""
    if importlib.util.find_spec("matplotlib") is None:
        return
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 0.45 * len(table.rows) + 1.2))
    names = list(table.rows)[::-1]
    axes.barh(names, [table.middle(each) for each in names], color="#4477aa")
    if log:
        axes.set_xscale("log")
    axes.set_xlabel(table.unit)
    axes.set_title(table.title)
    figure.tight_layout()
    OUT.mkdir(parents=True, exist_ok=True)
    figure.savefig(OUT / f"{name}.svg", metadata={"Date": None})
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
def redis_server(port: int = 26399) -> Iterator[str | None]:
    """Give the URL of a Redis of our own; None where there is no program."""
    program = shutil.which("redis-server")
    if program is None:
        print("no redis-server on PATH: what needs it is left out")
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [
            program,
            "--port",
            str(port),
            "--save",
            "",
            "--dir",
            folder,
            "--loglevel",
            "warning",
        ]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            time.sleep(0.4)
            yield f"redis://127.0.0.1:{port}"
        finally:
            server.kill()
            server.wait()
