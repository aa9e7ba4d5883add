"""Tells the results: tables on the terminal, with ratios to the best peer and the bars."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from ._common.figures import number
from .bars import FASTER_IS_MORE, MEASURES, best_peer
from .contenders import BACKENDS, OURS
from .results import Figure, Results


def show(results: Results, console: Console) -> None:
    """Print everything."""
    for measure, title in MEASURES.items():
        for backend in BACKENDS:
            if figures := results.of(measure, backend):
                console.print(_table(results, measure, backend, f"{title} ({backend})", figures))
    if results.bars:
        console.print(_bars(results.bars))


def _table(
    results: Results, measure: str, backend: str, title: str, figures: list[Figure]
) -> Table:
    table = Table(
        "who", "median", "spread", "x best peer", "told", title=title, title_justify="left"
    )
    best = best_peer(results, measure, backend)
    more = measure in FASTER_IS_MORE
    for each in ranked(figures, more=more):
        ratio = each.median / best.median if each.median and best and best.median else None
        spread = f"{number(min(each.values))} to {number(max(each.values))}" if each.values else ""
        style = "bold" if each.peer == OURS else None
        mark = " (!)" if each.loses else ""
        table.add_row(
            f"{each.title}{mark}",
            number(each.median),
            spread,
            f"{ratio:.2f}" if ratio else "",
            "; ".join(notes(each)),
            style=style,
        )
    return table


def ranked(figures: list[Figure], *, more: bool) -> list[Figure]:
    """Return the figures, best first, those without one last."""
    known = [each for each in figures if each.median is not None]
    known.sort(key=lambda each: each.median or 0.0, reverse=more)
    return known + [each for each in figures if each.median is None]


def notes(figure: Figure) -> Iterator[str]:
    """Yield what must be told beside a figure."""
    extra = figure.extra
    if figure.failure:
        yield f"failed: {figure.failure}"
    if "not_within" in extra and not figure.values:
        yield f"not within {extra['not_within']:g} s"
    if "p99" in extra:
        yield f"p50 {number(extra['p50'])}, p99 {number(extra['p99'])} of {extra['count']}"
    if "cut_short" in extra:
        yield f"{extra['cut_short']:,} of the jobs in the time there was"
    if "memory_mib_end" in extra:
        yield f"{extra['claim_ms_over_thousand']:.2f} ms over a thousand"
        yield f"memory {extra['memory_mib_early']:.1f} to {extra['memory_mib_end']:.1f} MiB"
    if figure.missing:
        yield f"{figure.missing} jobs missing"
    if figure.duplicates:
        yield f"{figure.duplicates} ran twice"


def _bars(bars: list[dict[str, Any]]) -> Table:
    table = Table("measure", "on", "bar", "measured", "", title="Bars", title_justify="left")
    for each in bars:
        sign = ">=" if each["at_least"] else "<="
        table.add_row(
            each["measure"],
            each["backend"],
            f"{sign} {each['limit']:,g} {each['what']}",
            number(each["measured"]),
            "[green]met[/]" if each["met"] else "[red]missed[/]",
        )
    return table
