"""The figures of all processes as a table."""

import math
from collections.abc import Mapping
from typing import Final

import msgspec

CLEAR: Final = "\x1b[2J\x1b[H"
_COLUMNS: Final = (
    "process", "hit rate", "hits/s", "misses/s", "L1 keys", "L1 bytes", "stale", "L2 errors",
    "breaker", "pending",
)  # fmt: skip


class Figures(msgspec.Struct, frozen=True):
    """What a process told of itself at the moment ``at``; see ``CacheStats``."""

    at: float
    hits: int = 0
    misses: int = 0
    hit_rate: float = 0.0
    keys: int = 0
    size: int = 0
    stale_served: int = 0
    l2_errors: int = 0
    pending: int = 0
    breaker: str = "?"


_decode = msgspec.json.Decoder(Figures).decode


def decoded(reports: Mapping[str, bytes] | None) -> dict[str, Figures]:
    """Return the reports that can be read; what others wrote is left out."""
    found: dict[str, Figures] = {}
    for node, data in sorted((reports or {}).items()):
        try:
            figures = _decode(data)
        except (msgspec.MsgspecError, ValueError):
            continue
        if math.isfinite(figures.at):
            found[node] = figures
    return found


def table(now: Mapping[str, Figures], before: Mapping[str, Figures]) -> str:
    """Return one line for each process; rates are since its report in ``before``."""
    if not now:
        return "no process shares its figures: set metrics.share in its settings"
    rows = [_COLUMNS, *(_row(node, each, before.get(node)) for node, each in now.items())]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )


def _row(node: str, now: Figures, old: Figures | None) -> tuple[str, ...]:
    hits = misses = "-"
    if old is not None and now.at > old.at:
        span = now.at - old.at
        hits, misses = (
            f"{more / span:,.0f}" for more in (now.hits - old.hits, now.misses - old.misses)
        )
    counts = (now.keys, now.size, now.stale_served, now.l2_errors)
    return (
        _shown(node), f"{now.hit_rate:.1%}", hits, misses, *map(str, counts), _shown(now.breaker),
        str(now.pending),
    )  # fmt: skip


def _shown(text: str) -> str:
    """Return what others wrote as text that moves no cursor and changes no colour."""
    return "".join(char if char.isprintable() else "?" for char in text[:100])
