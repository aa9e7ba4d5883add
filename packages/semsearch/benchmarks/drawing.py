"""Draws the results for the documentation: SVG that reads on a bright and a dark page."""

from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import matplotlib.pyplot as plt

_INK: Final = "#768390"  # as far from white as from black
_OWN, _OTHER = "#2f81f7", "#8c959f"
_STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "semsearch",
    "font.family": "sans-serif",
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_SHOWN: Final = {"keywords": "query", "vectors": "query", "quality": "ndcg", "hybrids": "ndcg"}
_LINES: Final = {"hashing": "#8c959f", "WordLlama": "#bf8700", "MiniLM": "#2f81f7"}


def draw(tables: dict[str, Any], folder: Path) -> None:
    """Draw one picture for each part: milliseconds of a query by size, or nDCG."""
    with mpl.rc_context(_STYLE):
        for part, key in _SHOWN.items():
            chosen = {title: table for title, table in tables.items() if title.startswith(part)}
            if chosen:
                _bars(chosen, key, folder / f"{part}.svg")
        for title, table in tables.items():
            if title.startswith("ways"):
                _sweep(table, folder / "alpha.svg")


def _sweep(table: dict[str, Any], path: Path) -> None:
    """Draw nDCG by the share of the vectors, with expansion as a broken line."""
    sheet, ax = plt.subplots(figsize=(7.2, 3.6), layout="constrained")
    shares = [step / 10 for step in range(11)]
    for name, colour in _LINES.items():
        row = table.get(f"{name}, parts of 200 words")
        if row is None:
            continue
        for key, style in (("sweep", "-"), ("sweep_expanded", "--")):
            ax.plot(shares, row[key], style, color=colour, linewidth=1.8)
        ax.annotate(
            name, (1, row["sweep"][-1]), (6, 0), textcoords="offset points",
            va="center", color=colour,
        )  # fmt: skip
    ax.axvline(0.5, color=_INK, linewidth=0.6)
    ax.annotate(
        "default",
        (0.5, 0),
        (4, 4),
        textcoords=("offset points"),
        xycoords=("data", "axes fraction"),
    )
    ax.margins(x=0.02)
    ax.set_xticks(shares[::2])
    ax.set_xlabel("alpha: 0 is words alone, 1 vectors alone; broken lines: with query_expansion")
    ax.set_ylabel("nDCG@10")
    sheet.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
    plt.close(sheet)


def _bars(tables: dict[str, Any], key: str, path: Path) -> None:
    rows = [len(table) for table in tables.values()]
    sheet, axes = plt.subplots(
        len(rows),
        1,
        figsize=(7.2, 0.3 * sum(rows) + 0.9 * len(rows)),
        gridspec_kw={"height_ratios": rows},
        squeeze=False,
        layout="constrained",
    )
    for (title, table), [ax] in zip(tables.items(), axes, strict=True):
        figures = {who: each[key] for who, each in table.items()}
        medians = {
            who: each["median"] if isinstance(each, dict) else each for who, each in figures.items()
        }
        order = sorted(medians, key=lambda who: medians[who], reverse=key != "ndcg")
        colours = [_OWN if who.startswith("semsearch") else _OTHER for who in order]
        ax.barh(order, [medians[who] for who in order], color=colours, height=0.62)
        for place, who in enumerate(order):
            each = figures[who]
            if isinstance(each, dict):  # a thin line from the fastest round to the slowest
                ax.plot([each["low"], each["high"]], [place, place], color=_INK, linewidth=1)
            ax.annotate(
                f"{medians[who]:.3g}",
                (each["high"] if isinstance(each, dict) else each, place),
                (5, 0),
                textcoords="offset points",
                va="center",
            )
        ax.margins(x=0.1)
        ax.set_title(title, loc="left", fontsize=10, fontweight="bold")
        ax.set_xlabel("nDCG@10" if key == "ndcg" else "milliseconds for a query, median")
    sheet.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
    plt.close(sheet)
