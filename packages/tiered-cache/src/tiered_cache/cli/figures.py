"""The figures of all processes as a table."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

CLEAR: Final = "\x1b[2J\x1b[H"
_COLUMNS: Final = (
    "process", "hit rate", "hits/s", "misses/s", "L1 keys", "L1 bytes", "stale", "L2 errors",
    "breaker", "pending",
)  # fmt: skip


def decoded(reports: Mapping[str, bytes] | None) -> dict[str, dict[str, Any]]:
    """Return the reports that can be read; what others wrote is left out."""
    found: dict[str, dict[str, Any]] = {}
    for node, data in sorted((reports or {}).items()):
        try:
            figures = msgspec.json.decode(data, type=dict[str, Any])
        except msgspec.MsgspecError:
            continue
        if isinstance(figures.get("at"), int | float):
            found[node] = figures
    return found


def table(now: Mapping[str, Mapping[str, Any]], before: Mapping[str, Mapping[str, Any]]) -> str:
    """Return one line for each process; rates are since its report in ``before``."""
    if not now:
        return "no process shares its figures: set metrics.share in its settings"
    rows = [_COLUMNS, *(_row(node, each, before.get(node)) for node, each in now.items())]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )


def _row(node: str, now: Mapping[str, Any], old: Mapping[str, Any] | None) -> tuple[str, ...]:
    rates = ["-", "-"]
    if old is not None and now["at"] > old["at"]:
        span = now["at"] - old["at"]
        rates = [f"{(now[name] - old[name]) / span:,.0f}" for name in ("hits", "misses")]
    texts = (str(now.get(name, "?")) for name in ("keys", "size", "stale_served", "l2_errors"))
    shown = "".join(char if char.isprintable() else "?" for char in node)
    return (
        shown, f"{now.get('hit_rate', 0):.1%}", *rates, *texts, str(now.get("breaker", "?")),
        str(now.get("pending", "?")),
    )  # fmt: skip
