"""Lines for terminals and scripts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from ..models import Job


def printable(text: str) -> str:
    """Return ``text`` without what could steer a terminal: escape sequences come in errors too."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def json_line(value: Any) -> str:
    """Return a value as one line of JSON."""
    return msgspec.json.encode(value).decode()


def json_text(value: Any) -> str:
    """Return a value as JSON that people can read."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def job_line(job: Job) -> str:
    """Return one line about a job."""
    attempts = f"{job.attempts}/{job.max_attempts}"
    line = f"{job.id}  {job.status:10} {attempts}  {stamp(job.created_at)}  {job.name}"
    return printable(f"{line}  {first_line(job.error)}".rstrip())


def first_line(error: str | None, width: int = 80) -> str:
    """Return how an error begins."""
    return (error or "").partition("\n")[0][:width]


def stamp(moment: datetime) -> str:
    """Return a time in UTC."""
    return moment.isoformat(timespec="seconds")


def duration(seconds: float | None) -> str:
    """Return a length of time in two or three digits."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 100:
        return f"{seconds:.3g} s"
    for size, unit in ((86_400, "d"), (3600, "h")):
        if seconds >= size * 2:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 60:.3g} min"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows in columns, the first row being their heads."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)
