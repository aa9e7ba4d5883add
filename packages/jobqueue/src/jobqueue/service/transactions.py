"""Enqueueing in a transaction of the caller."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..checks import shown
from ..errors import ConfigurationError
from ..ports import Enqueued, Record

if TYPE_CHECKING:
    from sqlalchemy import Connection

Insert = Callable[["Connection", Sequence[Record]], Sequence[Enqueued]]


async def insert_in(session: Any, insert: Insert, records: Sequence[Record]) -> Sequence[Enqueued]:
    """Insert over an asynchronous or plain SQLAlchemy session or connection.

    A plain one is used here and now, on the caller's thread.

    Raises:
        ConfigurationError: ``session`` is neither.
    """
    if hasattr(session, "run_sync"):
        found: Sequence[Enqueued] = await session.run_sync(
            lambda plain: insert(_connection(plain), records)
        )
        return found
    return insert(_connection(session), records)


def insert_now(session: Any, insert: Insert, records: Sequence[Record]) -> Sequence[Enqueued]:
    """Insert over a plain SQLAlchemy session or connection.

    Raises:
        ConfigurationError: ``session`` is asynchronous, or no session.
    """
    if hasattr(session, "run_sync"):
        raise ConfigurationError("an asynchronous session needs the asynchronous queue: await it")
    return insert(_connection(session), records)


def _connection(session: Any) -> Any:
    found = getattr(session, "connection", None)
    if callable(found) and hasattr(session, "flush"):  # a Session
        return found()
    if hasattr(session, "exec_driver_sql"):  # a Connection
        return session
    raise ConfigurationError(
        "session must be a Session, AsyncSession, Connection or AsyncConnection of SQLAlchemy, "
        f"not {shown(session)}"
    )
