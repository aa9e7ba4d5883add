"""Operations in few words, safe for terminals."""

import json
from datetime import timedelta

from ..models import Progress, ProgressStatus

STYLES = {
    ProgressStatus.PENDING: ("·", "dim"),
    ProgressStatus.PROCESSING: ("●", "cyan"),
    ProgressStatus.COMPLETED: ("✓", "green"),
    ProgressStatus.FAILED: ("✗", "red"),
    ProgressStatus.CANCELLED: ("∅", "yellow"),
}
"""A sign and a colour for each status."""


def label(progress: Progress) -> str:
    """Return what an operation is called: its title in the metadata, its kind, or its id."""
    title = progress.metadata.get("title")
    return str(title) if title else progress.kind or progress.id


def detail(progress: Progress) -> str:
    """Return what happens now, in a few words."""
    if progress.error:
        return progress.error.partition("\n")[0]
    parts = [
        progress.stage if not progress.is_final else None,
        counts(progress),
        progress.message,
    ]
    return " · ".join(part for part in parts if part)


def counts(progress: Progress) -> str:
    """Return how many parts are done, or units; empty where nothing is counted."""
    children = progress.children
    if children:
        failed = f", {children.failed} failed" if children.failed else ""
        return f"{children.completed}/{children.total} parts{failed}"
    if progress.current is not None and progress.total is not None:
        return f"{progress.current:,g}/{progress.total:,g}"
    return f"{progress.current:,g}" if progress.current else ""


def timing(progress: Progress) -> str:
    """Return how long it took, or how long it will take."""
    if progress.completed_at is not None:
        begun = progress.started_at or progress.created_at
        return duration((progress.completed_at - begun).total_seconds())
    return "" if progress.eta is None else f"~{duration(progress.eta)}"


def duration(seconds: float) -> str:
    """Return ``1:02:03`` or ``02:03``."""
    return str(timedelta(seconds=round(max(0.0, seconds)))).removeprefix("0:")


def short(text: str, width: int) -> str:
    """Return ``text`` on one line of at most ``width`` characters."""
    clean = plain(text)
    return clean if len(clean) <= width else f"{clean[: width - 1]}…"


def plain(text: str) -> str:
    """Return ``text`` without what a terminal would take for commands."""
    return "".join(c if c.isprintable() else " " for c in text)


def plain_json(data: bytes) -> str:
    """Return the same JSON without what a terminal would take for commands.

    JSON itself leaves some control characters as they are: those above 127, and marks that turn
    the direction of what is read.
    """
    return "".join(
        c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in data.decode()
    )
