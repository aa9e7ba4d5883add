"""What commands have in common: their options, and what people write in them."""

import argparse
import re
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

from ..checks import check_name
from ..errors import ConfigurationError
from ..models import JobStatus

Command = Callable[[argparse.Namespace], Coroutine[Any, Any, int]]
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LENGTH = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)([smhdw]?)")


class Commands:
    """The commands of the parser."""

    def __init__(self, parsers: Any) -> None:
        """Add to what ``add_subparsers`` returned."""
        self._parsers = parsers

    def add(self, name: str, run: Command, text: str, *, url: bool = True) -> Any:
        """Return the parser of a new command; ``url`` for those that ask a broker."""
        made: argparse.ArgumentParser = self._parsers.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}."
        )
        made.set_defaults(command=run)
        if url:
            made.add_argument("--url", help="the broker; else JOBQUEUE_URL or JOBQUEUE_CONFIG")
        return made


def add_statuses(parser: argparse.ArgumentParser, *statuses: JobStatus) -> None:
    """Add ``--status``, which may be given several times."""
    choices = [str(each) for each in statuses or JobStatus]
    parser.add_argument(
        "--status", action="append", choices=choices, help="may be given several times"
    )


def queues(text: str) -> dict[str, int]:
    """Return ``high=2,default=4`` as a mapping."""
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return {name.strip(): int(count) for name, count in pairs}
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is not like high=2,default=4") from exc


def length(text: str) -> float:
    """Return a length of time in seconds: ``90``, ``90s``, ``10m``, ``1.5h``, ``7d``, ``2w``."""
    found = _LENGTH.fullmatch(text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a length of time like 90, 10m, 2h or 7d")
    return float(found[1]) * _UNITS[found[2]]


def interval(text: str) -> float:
    """Return a length of time of at least a tenth of a second."""
    if (seconds := length(text)) < 0.1:
        raise argparse.ArgumentTypeError("must be at least 0.1 seconds")
    return seconds


def moment(text: str) -> datetime:
    """Return a time: ``2026-01-31``, ``2026-01-31T12:00+01:00``, or ``2h`` for two hours ago.

    Without an offset it is this machine's local time.
    """
    if _LENGTH.fullmatch(text.strip()):
        return datetime.now(UTC) - timedelta(seconds=length(text))
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as exc:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a time like 2026-01-31T12:00 nor an age like 2h"
        ) from exc


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return what reads a whole number from ``low`` to ``high``."""

    def read(text: str) -> int:
        if text.isascii() and text.isdecimal() and low <= int(text[:9]) <= high:
            return int(text)
        raise argparse.ArgumentTypeError(f"must be a whole number from {low} to {high}")

    return read


def name(text: str) -> str:
    """Return a job's id, or the name of a job or queue."""
    try:
        return check_name(text, "a name or id")
    except ConfigurationError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc
