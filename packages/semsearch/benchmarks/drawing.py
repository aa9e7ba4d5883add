"""Draws the results for the documentation: SVG that reads on a bright and a dark page."""

import itertools
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
_TITLES: Final = {
    "cranfield": "Cranfield", "cisi": "CISI", "med": "MED", "cacm": "CACM", "npl": "NPL",
}  # fmt: skip
_DOTS: Final = {
    "semsearch": ("hybrids", _OWN, "D"),
    "haystack, in memory": ("hybrids", "#8250df", "o"),
    "txtai": ("hybrids", "#bf8700", "o"),
    "lancedb, hybrid": ("hybrids", "#1a7f37", "o"),
    "bm25s": ("quality", _OTHER, "s"),
    "tantivy": ("quality", _OTHER, "^"),
    "rank_bm25": ("quality", _OTHER, "x"),
}
"""Contenders: the table they are in, colour, mark."""
_LINES: Final = {"hashing": "#8c959f", "WordLlama": "#bf8700", "MiniLM": "#2f81f7"}


def draw(tables: dict[str, Any], folder: Path) -> None:
    """Draw one picture for each part: milliseconds of a query by size, or nDCG."""
    with mpl.rc_context(_STYLE):
        for part, key in _SHOWN.items():
            chosen = {title: table for title, table in tables.items() if title.startswith(part)}
            if key == "ndcg":  # the other collections have a picture together
                chosen = dict(itertools.islice(chosen.items(), 1))
            if chosen:
                _bars(chosen, key, folder / f"{part}.svg")
        ways = (table for title, table in tables.items() if title.startswith("ways"))
        if (first := next(ways, None)) is not None:
            _sweep(first, folder / "alpha.svg")
        _collections(tables, folder / "collections.svg")


def _collections(tables: dict[str, Any], path: Path) -> None:
    """Draw nDCG of some contenders, a line for each collection."""
    names = [title.partition(" ")[2] for title in tables if title.startswith("hybrids")]
    if len(names) < 2:
        return
    sheet, ax = plt.subplots(figsize=(7.2, 0.55 * len(names) + 1.2), layout="constrained")
    for who, (part, colour, mark) in _DOTS.items():
        found = [tables.get(f"{part} {name}", {}).get(who, {}).get("ndcg") for name in names]
        places = [place for place, each in enumerate(found) if each is not None]
        label = f"{who}, {'words' if part == 'quality' else 'hybrid'}"
        label = label.replace(", hybrid, hybrid", ", hybrid").replace(", in memory", "")
        ax.plot(
            [found[place] for place in places], places, mark, color=colour, label=label, alpha=0.9
        )
    ax.set_yticks(range(len(names)), [_TITLES.get(name, name) for name in names])
    ax.invert_yaxis()
    ax.grid(axis="y", color=_INK, linewidth=0.3)
    ax.set_xlabel("nDCG@10")
    ax.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False, labelcolor=_INK
    )
    sheet.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
    plt.close(sheet)


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
        "default of MiniLM",
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
