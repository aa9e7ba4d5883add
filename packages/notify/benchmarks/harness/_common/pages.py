"""Tables and plots: for the terminal, and for the documentation, which includes them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import matplotlib.pyplot as plt

from .figures import Bar, number
from .results import Figure, Measure, Results

_INK: Final = "#768390"  # as far from white as from black
_OWN, _OTHER = "#2f81f7", "#8c959f"
_VERDICTS: Final = {True: "met", False: "**missed**", None: "not measured"}
_STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
}


def ranked(measure: Measure) -> list[Figure]:
    """Return the figures, best first."""
    order = sorted(measure.figures.values(), key=lambda each: each.median or float("inf"))
    return order[::-1] if measure.more else order


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def rows(measures: Iterable[Measure]) -> Iterator[Sequence[str]]:
    """Yield the lines of measurements; the ratio is that to ours."""
    for measure in measures:
        ours = next((each.median for each in ranked(measure) if each.ours), None)
        for each in ranked(measure):
            who = f"**{each.who}**" if each.ours else each.who
            spread = f"{number(min(each.values))} to {number(max(each.values))}"
            ratio = f"{each.median / ours:.2f}" if each.median and ours else ""
            yield measure.title, who, f"{number(each.median)} {measure.unit}", spread, ratio


def bars(judged: Iterable[Bar]) -> Iterator[Sequence[str]]:
    """Yield what had to be reached and what was."""
    for each in judged:
        sign = "≥" if each.at_least else "≤"
        limit = f"{sign} {each.limit:,g} {each.unit}"
        yield each.what, limit, number(each.measured), _VERDICTS[each.met]


def write(results: Results, folder: Path, groups: Mapping[str, Sequence[str]], salt: str) -> None:
    """Write tables and plots into ``folder``, those of ``groups`` of measurements on one sheet.

    ``salt`` makes names inside the pictures that are the same at each run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    facts = ((name, str(value)) for name, value in results.about.items())
    _text(folder, "about", table(("", ""), facts))
    _text(folder, "bars", table(("measurement", "bar", "measured", ""), bars(results.bars)))
    head = ("measurement", "who", "median", "spread", "x ours")
    for group, names in groups.items():
        found = [results.measures[name] for name in names if name in results.measures]
        if found:
            _text(folder, group, table(head, rows(found)))
            with mpl.rc_context(_STYLE | {"svg.hashsalt": salt}):
                _plot(found, folder / f"{group}.svg")


def _text(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.txt").write_text(text, encoding="utf-8")


def _plot(measures: Sequence[Measure], path: Path) -> None:
    heights = [len(each.figures) for each in measures]
    sheet, axes = plt.subplots(
        len(measures),
        1,
        figsize=(7.2, sum(heights) * 0.28 + 0.75 * len(measures)),
        gridspec_kw={"height_ratios": heights},
        squeeze=False,
        layout="constrained",
    )
    for ax, measure in zip(axes[:, 0], measures, strict=True):
        figures = ranked(measure)
        for y, each in enumerate(figures):
            look = {"color": _OWN if each.ours else _OTHER}
            if each.floor:
                look = {"color": "none", "edgecolor": _OTHER}
            ax.barh(y, each.median or 0.0, height=0.62, **look)
            ax.plot([min(each.values), max(each.values)], [y, y], color=_INK, linewidth=1.0)
            ax.annotate(
                number(each.median),
                (max(each.values), y),
                (5, 0),
                textcoords="offset points",
                va="center",
                fontweight="bold" if each.ours else "normal",
            )
        ax.set_yticks(range(len(figures)), [each.who for each in figures])
        ax.set_ylim(len(figures) - 0.4, -0.6)
        ax.tick_params(axis="y", length=0)
        ax.set_xlim(0, max(max(each.values) for each in figures) * 1.16)
        ax.set_title(f"{measure.title}, {measure.unit}", loc="left", fontsize=10)
    sheet.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
    plt.close(sheet)
