"""Draws the results for the documentation: light SVG that reads on a bright and a dark page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from .bars import FASTER_IS_MORE
from .contenders import OURS, RAW
from .report import number, ranked
from .results import Figure, Results

_INK: Final = "#768390"  # as far from white as from black
_OWN, _OTHER, _FLOOR = "#2f81f7", "#8c959f", "none"
_BAR: Final = 0.28  # inches
_STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "jobqueue",
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
_PLACES: Final = {
    "redis": "Redis",
    "postgres": "PostgreSQL",
    "sqlite": "SQLite",
    "memory": "memory",
}
_BARS: Final = {
    "drain": ("jobs a second, results kept", ("redis", "postgres", "sqlite", "memory")),
    "drain-off": ("jobs a second, results off", ("redis", "postgres", "sqlite", "memory")),
    "enqueue": ("jobs a second, enqueued one by one", ("redis", "postgres", "sqlite")),
    "enqueue-many": ("jobs a second, a thousand a call", ("redis", "postgres", "sqlite")),
    "recovery": ("seconds until a killed worker's job runs again", ("redis", "postgres")),
    "import": ("milliseconds to import, over bare asyncio", ("memory", "redis", "postgres")),
}


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw what was measured; return the files."""
    with mpl.rc_context(_STYLE):
        made = [_bars(results, folder, name, *rest) for name, rest in _BARS.items()]
        made += [_latency(results, folder), _memory(results, folder)]
    return [path for path in made if path is not None]


def _sheet(rows: Sequence[int]) -> tuple[Sheet, list[Axes]]:
    """Return panels below each other, as high as their rows need."""
    sheet, axes = plt.subplots(
        len(rows),
        1,
        figsize=(7.2, sum(rows) * _BAR + 0.55 * len(rows) + 0.35),
        gridspec_kw={"height_ratios": [max(1, each) for each in rows]},
        squeeze=False,
        layout="constrained",
    )
    return sheet, [row[0] for row in axes]


def _save(sheet: Sheet, folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.svg"
    sheet.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
    plt.close(sheet)
    return path


def _bars(
    results: Results, folder: Path, name: str, label: str, backends: Sequence[str]
) -> Path | None:
    more = name in FASTER_IS_MORE
    if name == "import":  # what is imported does not depend on a server
        together = [each for backend in backends for each in results.of(name, backend)]
        panels = {"": ranked(together, more=more)}
    else:
        panels = {each: ranked(results.of(name, each), more=more) for each in backends}
    panels = {place: figures for place, figures in panels.items() if figures}
    if not panels:
        return None
    sheet, axes = _sheet([len(figures) for figures in panels.values()])
    for ax, (place, figures) in zip(axes, panels.items(), strict=True):
        _panel(ax, figures, marked=name != "import")
        ax.set_title(_PLACES.get(place, ""), loc="left", fontsize=10, fontweight="bold")
    axes[-1].set_xlabel(label)
    return _save(sheet, folder, name)


def _panel(ax: Axes, figures: Sequence[Figure], *, marked: bool) -> None:
    places = range(len(figures))
    longest = max((max(each.values) for each in figures if each.values), default=1.0)
    longest = max([longest, *(each.extra.get("not_within", 0.0) for each in figures)])
    for y, each in zip(places, figures, strict=True):
        if each.median is None:
            beyond = each.extra.get("not_within")
            if beyond is not None:  # an open end
                ax.barh(y, beyond, color="none", edgecolor=_OTHER, linestyle=":", height=0.62)
            why = f"not within {beyond:g} s" if beyond is not None else "failed"
            ax.annotate(why, (beyond or 0.0, y), (5, 0), textcoords="offset points", va="center")
            continue
        ax.barh(y, each.median, **_look(each), height=0.62)
        low, high = min(each.values), max(each.values)
        if high > low:
            ax.plot([low, high], [y, y], color=_INK, linewidth=1.0, solid_capstyle="butt")
        at = max(high, each.median)
        bold = "bold" if each.peer == OURS else "normal"
        ax.annotate(
            number(each.median),
            (at, y),
            (5, 0),
            textcoords="offset points",
            va="center",
            fontweight=bold,
        )
    _name(ax, figures, marked=marked)
    ax.set_xlim(0, longest * 1.16)
    ax.xaxis.set_major_formatter(FuncFormatter(_tick))


def _name(ax: Axes, figures: Sequence[Figure], *, marked: bool = True) -> None:
    """Write who it is beside each row, best on top."""
    labels = [_label(each) if marked else each.title for each in figures]
    ax.set_yticks(range(len(figures)), labels)
    ax.set_ylim(len(figures) - 0.4, -0.6)
    for tick, each in zip(ax.get_yticklabels(), figures, strict=True):
        tick.set_fontweight("bold" if each.peer == OURS else "normal")
    ax.tick_params(axis="y", length=0)


def _look(figure: Figure) -> dict[str, Any]:
    if figure.peer == RAW:
        return {"color": _FLOOR, "edgecolor": _OTHER, "linewidth": 1.0}
    return {
        "color": _OWN if figure.peer == OURS else _OTHER,
        "alpha": 1.0 if figure.variant == "tuned" else 0.5,
    }


def _label(figure: Figure) -> str:
    return f"{figure.title} (!)" if figure.loses and figure.peer != RAW else figure.title


def _tick(value: float, _place: int) -> str:
    return f"{value:,.0f}" if value >= 1 or value == 0 else f"{value:g}"


def _latency(results: Results, folder: Path) -> Path | None:
    panels = {
        place: ranked(
            [each for each in results.of("latency", place) if "p99" in each.extra], more=False
        )
        for place in ("redis", "postgres", "sqlite")
    }
    panels = {place: figures for place, figures in panels.items() if figures}
    if not panels:
        return None
    sheet, axes = _sheet([len(figures) for figures in panels.values()])
    for ax, (place, figures) in zip(axes, panels.items(), strict=True):
        for y, each in enumerate(figures):
            color = _OWN if each.peer == OURS else _OTHER
            low, high = each.extra["p50"], each.extra["p99"]
            ax.plot([low, high], [y, y], color=color, linewidth=2.5, solid_capstyle="butt")
            ax.plot(low, y, "o", color=color, markersize=7)
            ax.plot(high, y, "|", color=color, markersize=11, markeredgewidth=2.5)
            text = f"{number(low)} / {number(high)}"
            ax.annotate(text, (high, y), (9, 0), textcoords="offset points", va="center")
        _name(ax, figures)
        ax.set_xscale("log")
        ax.set_xlim(right=max(each.extra["p99"] for each in figures) * 3.5)
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(FuncFormatter(_tick))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_title(_PLACES[place], loc="left", fontsize=10, fontweight="bold")
    axes[-1].set_xlabel(
        "milliseconds from enqueue to the handler: median (dot) and 99th percentile"
    )
    return _save(sheet, folder, "latency")


def _memory(results: Results, folder: Path) -> Path | None:
    figures = [
        each for each in results.measures.get("backlog", {}).values() if "memory" in each.extra
    ]
    if not figures:
        return None
    sheet, ax = plt.subplots(figsize=(7.2, 2.9), layout="constrained")
    styles = {"redis": "-", "postgres": "--", "sqlite": ":"}
    for each in figures:
        running = [(done, memory) for done, memory in each.extra["memory"] if done]
        done, memory = zip(*running, strict=True)
        style = styles[each.backend]
        label = _PLACES[each.backend]
        ax.plot(done, memory, style, color=_OWN, linewidth=1.8, label=label)
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_formatter(FuncFormatter(_tick))
    ax.set_xlabel("jobs done")
    ax.set_ylabel("resident MiB")
    ax.legend(frameon=False, labelcolor=_INK)
    return _save(sheet, folder, "memory")
