"""Draws time and memory over size for the documentation: reads on a bright and a dark page."""

from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import matplotlib.pyplot as plt

from .results import Results

_INK: Final = "#768390"  # as far from white as from black
_OWN, _OTHERS = "#2f81f7", ("#d29922", "#8957e5", "#3fb950", "#db61a2")
_STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "exporter",
    "font.family": "sans-serif",
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.labelcolor": _INK,
}
_LEAST = 0.1  # MB: below it, it is the noise of the allocator


def draw(results: Results, folder: Path) -> None:
    """Draw ``FORMAT.svg`` for each format that has peers."""
    formats = {name.partition("/")[0] for name in results.figures if "exporter" not in name}
    with mpl.rc_context(_STYLE):
        for format in sorted(formats):
            _one(results, format, folder / f"{format}.svg")


def _one(results: Results, format: str, path: Path) -> None:
    names = [name for name in results.figures if name.startswith(f"{format}/")]
    names.sort(key=lambda name: "exporter" not in name)
    colours = dict(zip(names, (_OWN, *_OTHERS), strict=False))
    sheet, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for name in names:
        sizes = sorted(results.figures[name])
        own = name.endswith("/exporter")
        look = {"color": colours[name], "marker": "o", "linewidth": 2.4 if own else 1.4, "ms": 4}
        left.plot(sizes, [results.seconds(name, size) for size in sizes], **look)
        memory = [max(_LEAST, results.memory(name, size) or 0) for size in sizes]
        right.plot(sizes, memory, label=name.partition("/")[2], **look)
    for axes, label in ((left, "CPU seconds"), (right, "MB more at the peak")):
        axes.set(xscale="log", yscale="log", xlabel="segments", ylabel=label)
        axes.grid(visible=True, alpha=0.2)
    sheet.suptitle(format.upper(), x=0.01, ha="left", fontsize=11, fontweight="bold")
    sheet.legend(frameon=False, loc="outside right center")
    sheet.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
    plt.close(sheet)
