"""Statements compiled once per dialect, and what the drivers' errors mean."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .extras import require
from .urls import redact

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

Params = Mapping[str, Any]
_HINTS = {
    "unable to open database file": "; is the folder there, and may it be written?",
    "file is not a database": "; name another file in the URL",
}
# serialization, deadlock, shutdowns, too many connections, lock not available
_RETRY_STATES = frozenset({"40001", "40P01", "57P01", "57P02", "57P03", "53300", "55P03"})


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement in the driver's words and the order of its parameters."""

    sql: str
    names: tuple[str, ...]

    def step(self, params: Params) -> tuple[str, tuple[Any, ...]]:
        """Return the text and the values of ``params`` in the driver's order."""
        return self.sql, tuple([params[name] for name in self.names])


class Compiler:
    """Compiles ``:named`` SQL for one dialect and remembers it."""

    def __init__(self, dist: str, *, sqlite: bool) -> None:
        """Compile for SQLite, else for PostgreSQL; SQLAlchemy is imported when first needed."""
        self._dist, self._sqlite = dist, sqlite
        self._dialect: Dialect | None = None
        self._known: dict[str, Statement] = {}

    @property
    def dialect(self) -> "Dialect":
        """SQLAlchemy's dialect."""
        if self._dialect is None:
            name, extra = ("sqlite", "sql") if self._sqlite else ("postgresql.asyncpg", "postgres")
            module = require(f"sqlalchemy.dialects.{name}", dist=self._dist, extra=extra)
            self._dialect = module.dialect()
        assert self._dialect is not None
        return self._dialect

    def load(self) -> None:
        """Import and warm SQLAlchemy, which takes too long for an event loop."""
        self.prepare("SELECT 1")

    def prepare(self, sql: str) -> Statement:
        """Return ``sql`` compiled; values are always bound, never formatted in."""
        if (known := self._known.get(sql)) is None:
            text = require("sqlalchemy", dist=self._dist, extra="sql").text(sql)
            made = text.compile(dialect=self.dialect)
            known = self._known[sql] = Statement(str(made), tuple(made.positiontup or ()))
        return known


def is_fault(exc: BaseException) -> bool:
    """Whether the database or its driver raised ``exc``."""
    root = type(exc).__module__.partition(".")[0]
    return isinstance(exc, sqlite3.Error | OSError) or root in {"asyncpg", "sqlalchemy"}


def is_retryable(exc: BaseException) -> bool:
    """Whether the same call may succeed later: locks, lost connections, restarts."""
    if isinstance(exc, sqlite3.Error):
        return "locked" in str(exc) or "busy" in str(exc)
    code = str(getattr(exc, "sqlstate", None) or "")
    return isinstance(exc, OSError) or code.startswith("08") or code in _RETRY_STATES


def describe(url: str, exc: BaseException) -> str:
    """Return one line on ``exc`` without secrets or values."""
    first = next(iter(str(exc).splitlines()), "")
    hint = next((hint for text, hint in _HINTS.items() if text in first), "")
    return f"{redact(url)}: {type(exc).__name__}: {first[:200]}{hint}"
