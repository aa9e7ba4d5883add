"""One connection to a SQL database, with the least between a statement and its driver.

PostgreSQL runs on asyncpg connections that SQLAlchemy's engine opens.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

Row = Sequence[Any]
Args = tuple[Any, ...]
Step = tuple[str, Args]


class Lane(ABC):
    """One connection. Used by one task at a time; statements autocommit outside a transaction."""

    @abstractmethod
    async def fetch(self, sql: str, args: Args) -> list[Row]:
        """Run one statement and return its rows."""

    @abstractmethod
    async def fetch_each(self, sql: str, rows: Sequence[Args]) -> None:
        """Run one statement once for each of ``rows``."""

    @abstractmethod
    async def batch(self, steps: Callable[[], Sequence[Step]]) -> list[list[Row]]:
        """Run what ``steps`` returns as one transaction of its own; return the rows of each.

        It is called once the transaction is open: a time that it asks for is no wait old.
        """

    @abstractmethod
    async def begin(self) -> None:
        """Open a transaction that writes."""

    @abstractmethod
    async def end(self, *, commit: bool) -> None:
        """Close the transaction."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connection."""

    @abstractmethod
    def detach(self) -> None:
        """Let go of the connection without I/O on any event loop."""


class AsyncpgLane(Lane):
    """A connection of asyncpg, taken out of SQLAlchemy's pool and given back on close."""

    def __init__(self, held: Any, raw: Any) -> None:
        """Take the SQLAlchemy connection ``held`` and its driver's connection ``raw``."""
        self._held, self._raw = held, raw

    async def fetch(self, sql: str, args: Args) -> list[Row]:
        rows: list[Row] = await self._raw.fetch(sql, *args)
        return rows

    async def fetch_each(self, sql: str, rows: Sequence[Args]) -> None:
        await self._raw.executemany(sql, rows)

    async def batch(self, steps: Callable[[], Sequence[Step]]) -> list[list[Row]]:
        async with self._raw.transaction():
            return [await self._raw.fetch(sql, *args) for sql, args in steps()]

    async def begin(self) -> None:
        await self._raw.execute("BEGIN")

    async def end(self, *, commit: bool) -> None:
        await self._raw.execute("COMMIT" if commit else "ROLLBACK")

    async def aclose(self) -> None:
        await self._held.close()

    def detach(self) -> None:
        self._raw.terminate()
