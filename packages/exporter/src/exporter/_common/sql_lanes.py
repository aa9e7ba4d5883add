"""One connection to a SQL database, with the least between a statement and its driver.

PostgreSQL runs on asyncpg connections that SQLAlchemy's engine opens.
"""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

from .transports import abandon, is_gone, own

T = TypeVar("T")
Row = Sequence[Any]
Args = tuple[Any, ...]
Step = tuple[str, Args]
Run = Generator[tuple[str, Args | list[Args]], list[Row], T]
"""Yields statements, each to run once or for each of a list, and is sent their rows."""


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

    async def execute(self, sql: str) -> None:
        """Run statements without parameters that return nothing."""
        await self.fetch(sql, ())

    @abstractmethod
    async def begin(self) -> None:
        """Open a transaction that writes."""

    @abstractmethod
    async def end(self, *, commit: bool) -> None:
        """Close the transaction."""

    async def run(self, plan: Callable[[], "Run[T]"]) -> T:
        """Run what ``plan`` yields as one transaction of its own; return what it returns.

        It is called once the transaction is open.
        """
        await self.begin()
        try:
            made = await self._follow(plan())
        except Exception:
            # a cancelled call is in the middle of an answer: its connection is closed instead
            with contextlib.suppress(Exception):
                await self.end(commit=False)
            raise
        await self.end(commit=True)
        return made

    async def _follow(self, plan: "Run[T]") -> T:
        rows: list[Row] = []
        try:
            ask = next(plan)
            while True:
                sql, args = ask
                if isinstance(args, list):
                    await self.fetch_each(sql, args)
                    rows = []
                else:
                    rows = await self.fetch(sql, args)
                ask = plan.send(rows)
        except StopIteration as done:
            made: T = done.value
            return made

    @property
    def is_gone(self) -> bool:
        """Whether the driver has seen already that the server hung up."""
        return False

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connection."""

    @abstractmethod
    def detach(self) -> None:
        """Let go of the connection without I/O on any event loop."""


class AsyncpgLane(Lane):
    """A connection of asyncpg, our own or taken out of SQLAlchemy's pool."""

    def __init__(self, held: Any, raw: Any) -> None:
        """Take the driver's connection ``raw``, and the SQLAlchemy connection that it is of."""
        self._held, self._raw = held, raw
        own(raw)

    async def fetch(self, sql: str, args: Args) -> list[Row]:
        rows: list[Row] = await self._raw.fetch(sql, *args)
        return rows

    async def fetch_each(self, sql: str, rows: Sequence[Args]) -> None:
        await self._raw.executemany(sql, rows)

    async def execute(self, sql: str) -> None:
        await self._raw.execute(sql)

    async def batch(self, steps: Callable[[], Sequence[Step]]) -> list[list[Row]]:
        await self.begin()
        try:
            found: list[list[Row]] = [await self._raw.fetch(sql, *args) for sql, args in steps()]
        except Exception:
            with contextlib.suppress(Exception):
                await self.end(commit=False)
            raise
        await self.end(commit=True)
        return found

    async def begin(self) -> None:
        await self._raw.execute("BEGIN")

    async def end(self, *, commit: bool) -> None:
        await self._raw.execute("COMMIT" if commit else "ROLLBACK")

    @property
    def is_gone(self) -> bool:
        return is_gone(self._raw)

    async def aclose(self) -> None:
        await (self._raw if self._held is None else self._held).close()

    def detach(self) -> None:
        if abandon(self._raw):
            self._raw.terminate()
