"""A SQLite connection in a thread of its own, which no fork cuts in two.

A fork closes the connections first: SQLite remembers per process which files it has locked, so a
child of a process with an open connection would believe to hold locks that it does not have, and
lose what it writes. https://www.sqlite.org/howtocorrupt.html, section 2.6.
"""

import itertools
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakSet

from .forks import ForkGate
from .sqlite_thread import CallThread

T = TypeVar("T")
_numbers = itertools.count(1)


class Session:
    """A connection and its thread. All methods but ``part`` run in that thread."""

    def __init__(self, path: str, synchronous: str, busy_timeout: float) -> None:
        """Open ``path`` at the first call."""
        self.path, self._synchronous, self._busy = path, synchronous, busy_timeout
        self.thread = CallThread("sqlite")
        self.connection: sqlite3.Connection | None = None
        self._active = self._begun = False

    def run(self, function: Callable[..., T], *args: Any) -> T:
        """Call ``function`` with the connection, opened if need be, and ``args``."""
        if self._begun:
            return function(self._opened(), *args)
        _gate.enter()
        self._active = True
        try:
            return function(self._opened(), *args)
        finally:
            self._leave()

    def begin(self) -> None:
        """Open a transaction, which holds forks off until it ends."""
        _gate.enter()
        self._active = self._begun = True
        try:
            self._opened().execute("BEGIN IMMEDIATE").close()
        except BaseException:
            self._leave()
            raise

    def end(self, commit: bool) -> None:  # noqa: FBT001  called by name of the method alone
        """Close the transaction."""
        try:
            if self.connection is not None:
                end_transaction(self.connection, commit=commit)
        finally:
            if self._begun:
                self._leave()

    def close(self) -> None:
        """Close the connection; an open transaction is rolled back."""
        self.end(False)
        if self.connection is not None:
            self.run(lambda link: link.close())
            self.connection = None

    def part(self) -> None:
        """Before a fork: close the file, or note that it cannot be used in the child."""
        if self._active:
            _cut[self.path] = self
        elif self.connection is not None and self.path != ":memory:":
            self.connection.close()
            self.connection = None

    def _leave(self) -> None:
        self._active = self._begun = False
        _gate.leave()

    def _opened(self) -> sqlite3.Connection:
        if self.connection is None:
            if self.path in _cut:
                raise sqlite3.OperationalError(
                    "the process was forked in the middle of a transaction with this file: start "
                    "new processes by spawn, or fork before the file is used"
                )
            self.connection = _connect(self.path, self._synchronous, self._busy)
            _sessions.add(self)
        return self.connection


_sessions: WeakSet[Session] = WeakSet()
_cut: dict[str, Session] = {}


def _part() -> None:
    for session in _sessions:
        session.part()


_gate = ForkGate(_part, _cut.clear)


def _connect(path: str, synchronous: str, patience: float) -> sqlite3.Connection:
    if path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    link = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
    try:
        _in_wal_mode(link, patience)
        link.execute(f"PRAGMA synchronous = {synchronous}")
        link.execute("PRAGMA foreign_keys = ON")
        link.execute("PRAGMA trusted_schema = OFF")
        number = next(_numbers) << 32  # data_version means something to one connection only
        link.create_function("opened", 0, lambda: number)
    except BaseException:
        link.close()
        raise
    return link


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


def end_transaction(link: sqlite3.Connection, *, commit: bool) -> None:
    """Commit or roll back, if it is not over by itself: a full disk may have rolled back."""
    if link.in_transaction:
        link.execute("COMMIT" if commit else "ROLLBACK")
