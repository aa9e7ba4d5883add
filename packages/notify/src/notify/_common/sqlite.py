"""SQLite on the standard library's driver, in one thread of its own.

A transaction costs one hop to that thread, and there is nothing bound to an event loop.
"""

import functools
import os
import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeVar

from .sql_lanes import Args, Lane, Row, Run, Step
from .sqlite_session import Session, end_transaction

T = TypeVar("T")
CHANGES = "SELECT opened() + data_version FROM pragma_data_version"
"""Asks for a number that differs once another connection has written: a look at shared memory."""
_inherited: list[object] = []


class SqliteLane(Lane):
    """A connection in WAL mode, autocommitting."""

    def __init__(self, path: str, *, synchronous: str, busy_timeout: float) -> None:
        """Open ``path`` (``:memory:`` for none) at the first statement."""
        file = path if path == ":memory:" else os.path.realpath(path)
        self._new = functools.partial(Session, file, synchronous, busy_timeout)
        self._session = self._new()
        self._pid = os.getpid()

    async def call(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``function`` with the connection in its thread; once begun it is run to its end."""
        return await self._session.thread.call(self._session.run, function)

    async def fetch(self, sql: str, args: Args) -> list[Row]:
        return await self._session.thread.call(self._session.run, _fetch, sql, args)

    async def fetch_each(self, sql: str, rows: Sequence[Args]) -> None:
        await self.call(lambda link: link.executemany(sql, rows).close())

    async def batch(self, steps: Callable[[], Sequence[Step]]) -> list[list[Row]]:
        return await self.call(lambda link: _batch(link, steps))

    async def run(self, plan: "Callable[[], Run[T]]") -> T:
        return await self.call(lambda link: _follow(link, plan))

    async def begin(self) -> None:
        await self._session.thread.call(self._session.begin)

    async def end(self, *, commit: bool) -> None:
        await self._session.thread.call(self._session.end, commit)

    async def aclose(self) -> None:
        if self._session.connection is not None:
            await self._session.thread.call(self._session.close)
        self.detach()

    def detach(self) -> None:
        session, self._session = self._session, self._new()
        if self._pid != os.getpid():
            # the parent's: its thread is not here, and what it has open must not be closed here
            _inherited.append(session)
            self._pid = os.getpid()
            return
        if session.connection is not None:
            session.thread.post(session.close)
        session.thread.shut()


def _fetch(link: sqlite3.Connection, sql: str, args: Args) -> list[Row]:
    found: list[Row] = link.execute(sql, args).fetchall()
    return found


def _batch(link: sqlite3.Connection, steps: Callable[[], Sequence[Step]]) -> list[list[Row]]:
    link.execute("BEGIN IMMEDIATE")
    try:
        found: list[list[Row]] = [link.execute(sql, args).fetchall() for sql, args in steps()]
        link.execute("COMMIT")
    except BaseException:
        end_transaction(link, commit=False)
        raise
    return found


def _follow(link: sqlite3.Connection, plan: "Callable[[], Run[T]]") -> T:
    link.execute("BEGIN IMMEDIATE")
    try:
        made = _steps(link, plan())
        link.execute("COMMIT")
    except BaseException:
        end_transaction(link, commit=False)
        raise
    return made


def _steps(link: sqlite3.Connection, plan: "Run[T]") -> T:
    try:
        sql, args = next(plan)
        while True:
            if isinstance(args, list):
                link.executemany(sql, args).close()
                sql, args = plan.send([])
            else:
                sql, args = plan.send(link.execute(sql, args).fetchall())
    except StopIteration as done:
        made: T = done.value
        return made
