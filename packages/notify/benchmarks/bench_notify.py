"""How fast it stores, hands over and shows: ``nox -s bench -- notify``.

Peers in the same run, repetitions in turn. What was stored, taken or heard is checked outside the
measured code. ``--record`` writes tables and plots into the documentation; what was not measured
this time stays there as it was.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[2]
DOCS: Final = ROOT / "docs" / "notify" / "explanation" / "benchmarks"
NAMES: Final = ("sending", "providers", "fan-out", "storm", "never-read")
SIZES: Final = (1000, 5000)
sys.path.insert(0, str(HERE.parent / "tests"))  # its servers are ours too

from harness import fanout, pages, providing, slow, storing, storm  # noqa: E402
from harness.bars import judge  # noqa: E402
from harness.results import Bar, Figure, Measure, Results, machine  # noqa: E402

from _common.postgres_server import (  # noqa: E402  found by the line above
    POSTGRES,
    fresh_database,
    run_postgres,
)
from _common.services import locate  # noqa: E402


def load(path: Path) -> Results:
    """Read what was recorded before; nothing if there is nothing."""
    if not path.exists():
        return Results()
    data = json.loads(path.read_text(encoding="utf-8"))
    measures = {
        name: Measure(
            each["title"],
            each["unit"],
            each["more"],
            {who: Figure(**figure) for who, figure in each["figures"].items()},
        )
        for name, each in data["measures"].items()
    }
    names = {each.name for each in dataclasses.fields(Bar)}
    bars = [Bar(**{k: v for k, v in each.items() if k in names}) for each in data["bars"]]
    return Results(data["about"], measures, bars)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
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


@contextlib.contextmanager
def database() -> Iterator[str]:
    """Give a fresh PostgreSQL database; a server of our own unless the environment names one."""
    if (url := os.environ.get("POSTGRES_URL")) is not None:
        yield url
        return
    with run_postgres(locate(POSTGRES)) as server, fresh_database(server) as found:
        yield found


def providers(results: Results, turns: int) -> None:
    """Measure what hands messages over."""
    smtp, http = free_port(), free_port()
    sink = ("-m", "aiosmtpd", "-n", "-c", "aiosmtpd.handlers.Sink", "-l", f"127.0.0.1:{smtp}")
    with (
        program(*sink, port=smtp),
        program(str(HERE / "http_sink.py"), str(http), port=http),
    ):
        for _ in range(turns):
            asyncio.run(providing.smtp(smtp, results))
            asyncio.run(providing.http(http, results))


def sending(results: Results, turns: int) -> None:
    """Measure what stores."""
    with database() as url:
        for _ in range(turns):
            asyncio.run(storing.sqlite(results))
            asyncio.run(storing.postgres(url, results))


async def prepared(url: str) -> None:
    """Make the tables of a server."""
    from notify import NotificationService

    async with NotificationService.from_url(url) as service:
        await service.setup()


def storms(results: Results, turns: int, *, quick: bool) -> None:
    """Measure what comes back all at once, on the embedded store and on a server."""
    clients, missed = (50, 20) if quick else (storm.CLIENTS, storm.MISSED)
    with tempfile.TemporaryDirectory() as folder, database() as url:
        asyncio.run(prepared(url))
        urls = {"SQLite": f"sqlite:///{folder}/n.db?synchronous=NORMAL", "PostgreSQL": url}
        asyncio.run(storm.run(results, urls, turns, clients, missed))


def measure(only: Sequence[str], sizes: Sequence[int], turns: int, *, quick: bool) -> Results:
    """Measure what is named."""
    results = Results(about=machine())
    turns = 1 if quick else turns
    if "sending" in only:
        sending(results, turns)
    if "providers" in only:
        providers(results, turns)
    if "fan-out" in only:
        for size in sizes:
            asyncio.run(fanout.run(results, 100 if quick else size, min(turns, 3)))
    if "storm" in only:
        storms(results, min(turns, 3), quick=quick)
    if "never-read" in only:
        few = (200, slow.MESSAGES) if quick else (slow.SOCKETS, slow.MESSAGES)
        asyncio.run(slow.run(results, *few))
    return results


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run: the figures say nothing")
    parser.add_argument("--only", default=",".join(NAMES), help=f"of {', '.join(NAMES)}")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="sockets of the fan-out")
    parser.add_argument("--repetitions", type=int, default=5, help="3 at most of sockets")
    parser.add_argument("--record", action="store_true", help="write into the documentation")
    options = parser.parse_args(argv)
    only = options.only.split(",")
    if unknown := set(only) - set(NAMES):
        parser.error(f"{sorted(unknown)} not among {', '.join(NAMES)}")
    sizes = [int(each) for each in options.sizes.split(",")]
    results = measure(only, sizes, options.repetitions, quick=options.quick)
    before = load(DOCS / "results.json") if options.record else Results()
    results.about = before.about | results.about
    results.measures = before.measures | results.measures
    results.bars = list(judge(results))
    head = ("measurement", "who", "median", "spread", "x ours")
    print(pages.table(head, pages.rows(results.measures.values())))
    print(pages.table(("measurement", "bar", "measured", ""), pages.bars(results.bars)))
    if options.record:
        results.save(DOCS / "results.json")
        pages.write(results, DOCS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
