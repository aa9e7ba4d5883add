"""Running a plan on the caller's own SQLAlchemy connection, inside the caller's transaction."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ..._common.extras import require
from ...errors import ConfigurationError
from .plans import Ask, Plan, TakenError

if TYPE_CHECKING:
    from sqlalchemy import Connection, TextClause

T = TypeVar("T")
_MISSING = (
    "the tables of jobqueue are not in the database of this session: is it the broker's? Else "
    "create them with `jobqueue schema upgrade --url ...` or your own migrations"
)
_DUPLICATE = 1062  # MySQL: ER_DUP_ENTRY, which undoes its statement only


def run_on(
    connection: "Connection", plan: Plan[T], reword: Callable[[str], str] | None = None
) -> T:
    """Run ``plan`` to its end; neither commits nor rolls back, and opens no savepoint.

    Each statement is what ``reword`` makes of it, if given.

    What the driver raises is the caller's, whose transaction it may have ended: it passes through.

    Raises:
        ConfigurationError: Our tables are not in the caller's database.
    """
    rows: Any = None
    try:
        ask = next(plan)
        while True:
            try:
                rows = _fetch(connection, ask, reword)
            except Exception as exc:
                if _is_missing(exc):
                    raise ConfigurationError(_MISSING) from exc
                if not _is_taken(exc):
                    raise
                ask = plan.throw(TakenError())
            else:
                ask = plan.send(rows)
    except StopIteration as done:
        made: T = done.value
        return made


def _fetch(connection: "Connection", ask: Ask, reword: Callable[[str], str] | None) -> list[Any]:
    sql, params = ask
    sql = sql if reword is None else reword(sql)
    many: Any = params
    result = connection.execute(_text(sql), many)
    return [tuple(row) for row in result.fetchall()] if result.returns_rows else []


@functools.lru_cache(maxsize=512)
def _text(sql: str) -> "TextClause":
    made: TextClause = require("sqlalchemy", dist="jobqueue", extra="sql").text(sql)
    return made


def _is_taken(exc: Exception) -> bool:
    args: tuple[Any, ...] = getattr(getattr(exc, "orig", None), "args", ())
    return bool(args) and args[0] == _DUPLICATE


def _is_missing(exc: Exception) -> bool:
    """Whether a table of ours is what the database did not find."""
    text = str(getattr(exc, "orig", ""))
    unknown = "no such table" in text or "does not exist" in text or "doesn't exist" in text
    return unknown and "jobqueue_" in text
