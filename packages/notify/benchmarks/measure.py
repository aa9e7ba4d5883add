"""What the benchmarks share: interleaved rounds, medians and spread, ratios, recording."""

import contextlib
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

RESULTS = Path(__file__).parents[3] / "docs" / "notify" / "explanation" / "figures"


class Table:
    """Figures of one comparison, things a second: the first row is the floor of the ratios."""

    def __init__(self, name: str, title: str, bar: str) -> None:
        self.name, self.title, self.bar = name, title, bar
        self.rows: dict[str, list[float]] = {}

    def add(self, row: str, count: int, seconds: float) -> None:
        self.rows.setdefault(row, []).append(count / seconds)

    def lines(self) -> list[str]:
        """Return the table in Markdown."""
        made = [
            f"## {self.title}", "", f"Bar: {self.bar}.", "",
            "| what | a second, median | lowest to highest | speed against the first |",
            "|---|---|---|---|",
        ]  # fmt: skip
        floor = statistics.median(next(iter(self.rows.values())))
        for row, values in self.rows.items():
            middle = statistics.median(values)
            spread = f"{min(values):,.0f} to {max(values):,.0f}"
            made.append(f"| {row} | {middle:,.0f} | {spread} | {middle / floor:.2f} |")
        return [*made, ""]


def record(tables: list[Table], rounds: int) -> None:
    """Write the tables into the documentation."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    head = (
        f"{rounds} interleaved rounds, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, load averages at the end {load}."
    )
    text = [head, "", *(line for table in tables for line in table.lines())]
    (RESULTS / "results.inc").write_text("\n".join(text), encoding="utf-8")


def show(tables: list[Table]) -> None:
    for table in tables:
        print("\n".join(table.lines()))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextlib.contextmanager
def program(*command: str, port: int) -> Iterator[None]:
    """Run a server of its own process until the end of the block."""
    made = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield
    finally:
        made.kill()
        made.wait()
