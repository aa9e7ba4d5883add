"""SQLite on the standard library's driver, in one thread of its own.

A transaction costs one hop to that thread, and there is nothing bound to an event loop.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from .forks import ForkGate
from .sql_lanes import Args, Lane, Row, Step

T = TypeVar("T")
_inherited: list[object] = []
_gate = ForkGate()


class SqliteLane(Lane):
    """A connection of the standard library in one thread, in WAL mode, autocommitting."""

    def __init__(self, path: str, *, synchronous: str, busy_timeout: float) -> None:
        """Open ``path`` (``:memory:`` for none) at the first statement."""
        self._path, self._synchronous, self._busy = path, synchronous, busy_timeout
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._connection: sqlite3.Connection | None = None
        self._pid = os.getpid()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            if self._path != ":memory:":
                Path(self._path).parent.mkdir(parents=True, exist_ok=True)
            link = sqlite3.connect(
                self._path, timeout=self._busy, isolation_level=None, check_same_thread=False
            )
            try:
                _in_wal_mode(link, self._busy)
                link.execute(f"PRAGMA synchronous = {self._synchronous}")
                link.execute("PRAGMA foreign_keys = ON")
                link.execute("PRAGMA trusted_schema = OFF")
            except BaseException:
                link.close()
                raise
            self._connection = link
        return self._connection

    async def call(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``function`` with the connection in its thread; once begun it is run to its end."""
        loop = asyncio.get_running_loop()

        def whole() -> T:
            with _gate.inside():
                return function(self._opened())

        work = loop.run_in_executor(self._thread, whole)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            # the thread is still in the middle of it: wait, so that the next user finds it idle
            await asyncio.wait([work])
            if not work.cancelled():
                work.exception()
            raise

    async def fetch(self, sql: str, args: Args) -> list[Row]:
        return await self.call(lambda link: link.execute(sql, args).fetchall())

    async def fetch_each(self, sql: str, rows: Sequence[Args]) -> None:
        await self.call(lambda link: link.executemany(sql, rows).close())

    async def batch(self, steps: Sequence[Step]) -> list[list[Row]]:
        return await self.call(lambda link: _sqlite_batch(link, steps))

    async def begin(self) -> None:
        await self.call(lambda link: link.execute("BEGIN IMMEDIATE").close())

    async def end(self, *, commit: bool) -> None:
        await self.call(lambda link: _sqlite_end(link, commit=commit))

    async def aclose(self) -> None:
        if self._connection is not None:
            await self.call(lambda link: link.close())
        self.detach()

    def detach(self) -> None:
        link, self._connection = self._connection, None
        thread, self._thread = self._thread, ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        if self._pid != os.getpid():
            # the parent's: its thread is not here, and closing its file would be felt there
            _inherited.append((link, thread))
            self._pid = os.getpid()
            return
        if link is not None:
            thread.submit(_close, link)
        thread.shutdown(wait=False)


def _close(link: sqlite3.Connection) -> None:
    with _gate.inside():
        link.close()


def _in_wal_mode(link: sqlite3.Connection, patience: float) -> None:
    """Switch to WAL; SQLite does not wait by itself while another process opens the new file."""
    deadline = time.monotonic() + patience
    while True:
        try:
            link.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as exc:
            if "locked" not in str(exc) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _sqlite_batch(link: sqlite3.Connection, steps: Sequence[Step]) -> list[list[Row]]:
    link.execute("BEGIN IMMEDIATE")
    try:
        found: list[list[Row]] = [link.execute(sql, args).fetchall() for sql, args in steps]
        link.execute("COMMIT")
    except BaseException:
        _sqlite_end(link, commit=False)
        raise
    return found


def _sqlite_end(link: sqlite3.Connection, *, commit: bool) -> None:
    # a full disk or a failed statement may have rolled back by itself
    if link.in_transaction:
        link.execute("COMMIT" if commit else "ROLLBACK")
