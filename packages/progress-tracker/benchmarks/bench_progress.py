"""How fast progress is told, stored and shown: ``nox -s bench -- progress-tracker``.

Peers in the same run, repetitions in turn. ``--record`` writes tables and plots into the
documentation; what was not measured this time stays there as it was.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
DOCS: Final = ROOT / "docs" / "progress-tracker" / "explanation" / "benchmarks"
NAMES: Final = ("ticks", "writes", "children", "fan-out")
SIZES: Final = (1000, 5000)
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # its servers are ours too

from harness import families, fanout, pages, peers, ticks, writes  # noqa: E402
from harness.bars import judge  # noqa: E402
from harness.results import Bar, Figure, Measure, Results, machine  # noqa: E402

from _common.postgres_server import POSTGRES, run_postgres  # noqa: E402  found by the line above
from _common.redis_server import REDIS, run_redis  # noqa: E402
from _common.services import locate_program  # noqa: E402


def load(path: Path) -> Results:
    """Read what was recorded before; nothing if there is nothing."""
    if not path.exists():
        return Results()
    data = json.loads(path.read_text(encoding="utf-8"))
    measures = {
        name: Measure(
            each["title"],
            each["unit"],
            {who: Figure(**figure) for who, figure in each["figures"].items()},
        )
        for name, each in data["measures"].items()
    }
    names = {each.name for each in dataclasses.fields(Bar)}
    bars = [Bar(**{k: v for k, v in each.items() if k in names}) for each in data["bars"]]
    return Results(data["about"], measures, bars)


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


def measure(only: Sequence[str], sizes: Sequence[int], turns: int, *, quick: bool) -> Results:
    """Measure what is named."""
    results = Results(about=machine())
    turns, count = (1, 20_000) if quick else (turns, 300_000)
    if "ticks" in only:
        ticks.run(results, turns, count)
    if {"writes", "children"} & set(only):
        with servers(results.about) as urls:
            if "writes" in only:
                asyncio.run(writes.run(results, urls, turns, 200 if quick else 1000))
                with contextlib.suppress(ImportError):
                    peers.run(results, urls["Redis"], turns, 200 if quick else 1000)
            if "children" in only:
                many = 200 if quick else families.MANY
                for name, url in urls.items():
                    asyncio.run(families.run_on(results, name, url, turns, many))
    if "fan-out" in only:
        for size in sizes:
            asyncio.run(fanout.run(results, 100 if quick else size, min(turns, 3)))
    return results


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run: the figures say nothing")
    parser.add_argument("--only", default=",".join(NAMES), help=f"of {', '.join(NAMES)}")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="sockets of the fan-out")
    parser.add_argument("--repetitions", type=int, default=5, help="3 at most of the fan-out")
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
