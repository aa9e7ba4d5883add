"""How fast progress is told, stored and shown: ``nox -s bench -- progress-tracker``.

Peers in the same run, repetitions in turn. ``--record`` writes tables and plots into the
documentation; what was not measured this time stays there as it was.
"""

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
DOCS: Final = ROOT / "docs" / "progress-tracker" / "explanation" / "benchmarks"
GROUPS: Final = {
    "ticks": ("loop", "update", "stream"),
    "writes": ("write-Redis", "write-PostgreSQL", "write-SQLite"),
    "children": ("children-Redis", "children-PostgreSQL", "children-SQLite"),
    "fan-out": ("fan-out-1000", "fan-out-5000"),
    "memory": ("memory-1000", "memory-5000"),
    "never-read": ("beside",),
}
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # its servers are ours too

from harness import families, peers, ticks, writes  # noqa: E402
from harness._common import fanout, slow  # noqa: E402
from harness._common.command import Benchmarks, Wanted, main  # noqa: E402
from harness._common.results import Results, machine  # noqa: E402
from harness.bars import judge  # noqa: E402
from harness.contenders import OWN, SERVERS  # noqa: E402

from _common.postgres_server import POSTGRES, run_postgres  # noqa: E402  found by the line above
from _common.redis_server import REDIS, run_redis  # noqa: E402
from _common.services import locate_program  # noqa: E402


@contextlib.contextmanager
def servers(about: dict[str, object]) -> Iterator[dict[str, str]]:
    """Give the URLs of the stores; servers of our own, on the same machine."""
    redis, postgres = locate_program(REDIS), locate_program(POSTGRES)
    about |= {"Redis": redis.version, "PostgreSQL": f"{postgres.version}, synchronous_commit off"}
    with (
        tempfile.TemporaryDirectory() as folder,
        run_redis(redis) as one,
        run_postgres(postgres, "synchronous_commit=off") as other,
    ):
        yield {
            "Redis": one.url,
            "PostgreSQL": other.url,
            "SQLite": f"sqlite:///{folder}/progress.db",
        }


def stored(results: Results, wanted: Wanted) -> None:
    """Measure what is written into stores."""
    with servers(results.about) as urls:
        if "writes" in wanted.only:
            count = 200 if wanted.quick else 1000
            asyncio.run(writes.run(results, urls, wanted.turns, count))
            with contextlib.suppress(ImportError):
                peers.run(results, urls["Redis"], wanted.turns, count)
        if "children" in wanted.only:
            many = 200 if wanted.quick else families.MANY
            for name, url in urls.items():
                asyncio.run(families.run_on(results, name, url, wanted.turns, many))


def fan_outs(results: Results, wanted: Wanted) -> None:
    """Measure what tells many sockets at once."""
    with run_redis(locate_program(REDIS)) as redis:
        environment = {"BENCH_REDIS": redis.url}
        for size in wanted.sizes:
            count, turns = 100 if wanted.quick else size, min(wanted.turns, 3)
            shown = SERVERS.values()
            asyncio.run(fanout.run(results, shown, "update", count, turns, environment))


def measure(wanted: Wanted) -> Results:
    """Measure what is wanted."""
    results = Results(about=machine())
    if "ticks" in wanted.only:
        ticks.run(results, wanted.turns, 20_000 if wanted.quick else 300_000)
    if {"writes", "children"} & set(wanted.only):
        stored(results, wanted)
    if "fan-out" in wanted.only:
        fan_outs(results, wanted)
    if "never-read" in wanted.only:
        asyncio.run(slow.run(results, OWN, "update", 200 if wanted.quick else slow.SOCKETS))
    return results


if __name__ == "__main__":
    names = ("ticks", "writes", "children", "fan-out", "never-read")
    sys.exit(main(Benchmarks(__doc__, names, DOCS, GROUPS, measure, judge)))
