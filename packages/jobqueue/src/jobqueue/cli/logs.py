"""The log on standard error: the event's name, then what it is about."""

import logging
import re

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_LONGEST = 300
_PLAIN = re.compile(r"[\w.:@/+-]+")


class Formatter(logging.Formatter):
    """One line: time, level, event, and its fields as ``name=value``; then the traceback."""

    def __init__(self) -> None:
        """Tell times to the millisecond, with their zone."""
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the library's name
        """Return the line without the traceback."""
        fields = [
            f"{name}={_shown(value)}"
            for name, value in vars(record).items()
            if name not in _OWN and value is not None
        ]
        return " ".join([super().formatMessage(record), *fields])


def _shown(value: object) -> str:
    text = str(value)[:_LONGEST]
    return text if _PLAIN.fullmatch(text) else ascii(text)


def log_to_stderr(level: str) -> None:
    """Write what is logged from ``level`` on to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter())
    logging.basicConfig(level=level.upper(), handlers=[handler])
