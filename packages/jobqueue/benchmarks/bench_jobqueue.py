"""How fast the queue is, beside its peers and the raw clients: ``nox -s bench -- jobqueue``.

One worker process each, the same machine and size, repetitions in turn. What was done is counted
in a ledger outside of every library. ``--record`` writes figures and plots into the documentation;
with ``--only`` or ``--backend`` they take the place of the earlier ones, the rest stays.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness.bars import judge
from harness.contenders import BACKENDS, OURS, PEER_NAMES, chosen
from harness.environments import cache
from harness.plots import draw
from harness.report import show
from harness.results import Results, machine
from harness.servers import serving
from harness.session import NAMES, Plan, Session
from rich.console import Console

DOCS: Final = Path(__file__).parents[3] / "docs" / "jobqueue" / "explanation" / "benchmarks"
FULL: Final = Plan(NAMES, 3, 20_000, 1.5, 1.5, 100.0, 1_000_000)
QUICK: Final = Plan(NAMES, 1, 2_000, 1.0, 0.7, 15.0, 20_000)


def some(known: Sequence[str], text: str) -> list[str]:
    """Return the names in a list with commas.

    Raises:
        argparse.ArgumentTypeError: One is unknown.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := set(names) - set(known):
        raise argparse.ArgumentTypeError(f"{sorted(unknown)} not among {', '.join(known)}")
    return names


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run: the figures say nothing")
    for name, known in (("only", NAMES), ("peers", PEER_NAMES), ("backend", BACKENDS)):
        parser.add_argument(
            f"--{name}",
            type=lambda text, known=known: some(known, text),
            default=list(known),
            metavar=f"{known[0]},{known[1]},…",
            help=f"of {', '.join(known)}",
        )
    parser.add_argument("--repetitions", type=int, help="of what is timed")
    parser.add_argument("--record", action="store_true", help=f"write to {DOCS.name}/ of the docs")
    parser.add_argument("--draw", type=Path, help="only draw the results in this file again")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmarks; 1 if our own could not be measured."""
    options = parsed(argv)
    console = Console()
    if options.draw:
        draw(Results.load(options.draw), options.draw.parent)
        return 0
    plan = QUICK if options.quick else FULL
    plan = Plan(
        **{
            **vars(plan),
            "names": options.only,
            "repetitions": options.repetitions or plan.repetitions,
        }
    )
    begun, about = time.monotonic(), machine()
    with serving(options.backend) as servers:
        contenders = chosen(options.backend, options.peers)
        results = Session(plan, servers, contenders, console, cache() / "so-far.json").run()
        about |= {"servers": servers.versions, "plan": vars(plan)}
    results.about = about | {"minutes": round((time.monotonic() - begun) / 60, 1)}
    show(results, console)
    folder = DOCS if options.record else cache() / "last"
    minutes = results.about["minutes"]
    whole = set(options.only) == set(NAMES) and set(options.backend) == set(BACKENDS)
    if options.record and not whole and (folder / "results.json").exists():
        results = Results.load(folder / "results.json").joined(results)
        results.bars = list(judge(results))
    results.save(folder / "results.json")
    draw(results, folder)
    console.print(f"{minutes} minutes; written to {folder}")
    figures = [each for group in results.measures.values() for each in group.values()]
    return 1 if any(each.failure for each in figures if each.peer == OURS) else 0


if __name__ == "__main__":
    sys.exit(main())
