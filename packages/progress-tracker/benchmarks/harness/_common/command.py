"""The command line of a package's benchmarks: what is measured, printed and recorded."""

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from . import pages
from .figures import Bar
from .programs import StartError
from .results import Results

SIZES: Final = (1000, 5000)


@dataclass(frozen=True)
class Wanted:
    """What a run was asked for.

    Attributes:
        only: The names of the parts.
        sizes: How many sockets are told, one fan-out each.
        turns: Repetitions.
        quick: A smoke run, whose figures say nothing.
    """

    only: Sequence[str]
    sizes: Sequence[int]
    turns: int
    quick: bool


@dataclass(frozen=True)
class Benchmarks:
    """The benchmarks of one package.

    Attributes:
        about: What its script says of itself.
        names: The parts that can be asked for.
        docs: Where results, tables and plots are recorded.
        groups: Measurements that share a sheet, by its name.
        measure: Measures what is wanted.
        judge: Yields the bars.
    """

    about: str | None
    names: Sequence[str]
    docs: Path
    groups: Mapping[str, Sequence[str]]
    measure: Callable[[Wanted], Results]
    judge: Callable[[Results], Iterable[Bar]]


def main(benchmarks: Benchmarks, argv: Sequence[str] | None = None) -> int:
    """Run them; 1 if a server did not come up, and then nothing is recorded."""
    wanted, record = _asked(benchmarks, argv)
    try:
        results = benchmarks.measure(wanted)
    except StartError as exc:
        print(f"nothing was recorded: {exc}", file=sys.stderr)
        return 1
    before = Results.load(benchmarks.docs / "results.json") if record else Results()
    results.about = before.about | results.about
    results.measures = before.measures | results.measures
    results.bars = list(benchmarks.judge(results))
    head = ("measurement", "who", "median", "spread", "x ours")
    print(pages.table(head, pages.rows(results.measures.values())))
    print(pages.table(("measurement", "bar", "measured", ""), pages.bars(results.bars)))
    if record:
        results.save(benchmarks.docs / "results.json")
        pages.write(results, benchmarks.docs, benchmarks.groups, benchmarks.docs.parents[1].name)
    return 0


def _asked(benchmarks: Benchmarks, argv: Sequence[str] | None) -> tuple[Wanted, bool]:
    """Return what the command line asks for, and whether it is to be recorded."""
    names = ", ".join(benchmarks.names)
    parser = argparse.ArgumentParser(description=benchmarks.about)
    parser.add_argument("--quick", action="store_true", help="a smoke run: the figures say nothing")
    parser.add_argument("--only", default=",".join(benchmarks.names), help=f"of {names}")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="sockets of the fan-out")
    parser.add_argument("--repetitions", type=int, default=5, help="3 at most of sockets")
    parser.add_argument("--record", action="store_true", help="write into the documentation")
    options = parser.parse_args(argv)
    only = options.only.split(",")
    if unknown := set(only) - set(benchmarks.names):
        parser.error(f"{sorted(unknown)} not among {names}")
    sizes = [int(each) for each in options.sizes.split(",")]
    turns = 1 if options.quick else options.repetitions
    return Wanted(only, sizes, turns, options.quick), options.record
