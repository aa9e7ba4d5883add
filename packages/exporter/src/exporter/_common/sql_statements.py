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
# serialization, deadlock, lock not available: the transaction is undone
_CONFLICT_STATES = frozenset({"40001", "40P01", "55P03"})
# shutdowns, too many connections
_RETRY_STATES = _CONFLICT_STATES | {"57P01", "57P02", "57P03", "53300", "25P03"}
# MySQL: lock wait timeout, deadlock
_CONFLICTS = frozenset({1205, 1213})
# and too many connections, shutdown, killed, network errors, connection lost
_RETRIES = _CONFLICTS | {1040, 1053, 1158, 1159, 1160, 1161, 1927, 2002, 2003, 2006, 2013, 2055}
_DIALECTS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql.asyncpg",
    "mysql": "mysql.asyncmy",
}


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

    def __init__(self, dist: str, kind: str) -> None:
        """Compile for ``sqlite``, ``postgresql`` or ``mysql``; imports when first needed."""
        self._dist, self._kind = dist, kind
        self._dialect: Dialect | None = None
        self._known: dict[str, Statement] = {}

    @property
    def dialect(self) -> "Dialect":
        """SQLAlchemy's dialect."""
        if self._dialect is None:
            extra = {"postgresql": "postgres"}.get(self._kind, self._kind)
            name = f"sqlalchemy.dialects.{_DIALECTS[self._kind]}"
            module = require(name, dist=self._dist, extra="sql" if extra == "sqlite" else extra)
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
    drivers = {"asyncpg", "sqlalchemy", "asyncmy", "pymysql"}
    return isinstance(exc, sqlite3.Error | OSError | EOFError) or root in drivers


def is_retryable(exc: BaseException) -> bool:
    """Whether the same call may succeed later: locks, lost connections, restarts."""
    if isinstance(exc, sqlite3.Error):
        return "locked" in str(exc) or "busy" in str(exc)
    return is_conflict(exc) or is_lost(exc) or code_of(exc) in _RETRY_STATES | _RETRIES


def is_conflict(exc: BaseException | None) -> bool:
    """Whether a server has undone the transaction for another one's sake."""
    return code_of(exc) in _CONFLICT_STATES | _CONFLICTS


def is_lost(exc: BaseException | None) -> bool:
    """Whether the connection is gone, and what was under way may have happened or not."""
    code = code_of(exc)
    if isinstance(exc, OSError | EOFError) or "connection is closed" in str(exc):
        return True
    # 0: the driver's word for a connection that it knows to be closed
    return code in {"57P01", "57P02", 0, 1053, 1927, 2006, 2013} or str(code).startswith("08")


def is_harmless(exc: BaseException) -> bool:
    """Whether a connection is as good as before: what went wrong is a matter of the statement."""
    if isinstance(exc, Exception) and not is_fault(exc):
        return True  # ours: raised between two statements
    code = code_of(exc)
    # 1153: MySQL hangs up after a packet that is too large
    return code not in {"", "25P03", 1153} and not is_lost(exc)


def code_of(exc: BaseException | None) -> str | int:
    """Return the SQLSTATE or the number of a driver's exception; empty where it has none."""
    first = exc.args[0] if exc is not None and exc.args else ""
    known = type(exc).__module__.partition(".")[0] in {"asyncmy", "pymysql"}
    if known and isinstance(first, int):
        return first  # says more than the state that newer drivers give as well
    return str(getattr(exc, "sqlstate", None) or "")


def describe(url: str, exc: BaseException) -> str:
    """Return one line on ``exc`` without secrets or values."""
    first = next(iter(str(exc).splitlines()), "")
    if isinstance(exc, TimeoutError):
        first = first or "no answer in time"
    hint = next((hint for text, hint in _HINTS.items() if text in first), "")
    return f"{redact(url)}: {type(exc).__name__}: {first[:200]}{hint}"
