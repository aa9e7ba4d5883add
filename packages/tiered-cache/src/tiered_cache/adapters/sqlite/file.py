"""The file and its tables."""

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from ..._common.sqlite import SqliteLane
from ..._common.sqlite_schema import prepare_tables
from ..._common.urls import file_path, redact, without_query
from ...errors import BackendError

T = TypeVar("T")
_FORMAT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS cache_values (
    key TEXT PRIMARY KEY, data BLOB NOT NULL, expires REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS cache_expiry ON cache_values (expires);
CREATE TABLE IF NOT EXISTS cache_fences (
    key TEXT PRIMARY KEY, fence INTEGER NOT NULL, expires REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cache_tags (
    tag TEXT PRIMARY KEY, version INTEGER NOT NULL, hard INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cache_leases (
    name TEXT PRIMARY KEY, token TEXT NOT NULL, expires REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cache_events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, node TEXT NOT NULL,
    at REAL NOT NULL, body BLOB NOT NULL)
"""


class File:
    """The file, opened and checked at the first call."""

    def __init__(self, url: str) -> None:
        self.url = url
        path = file_path(without_query(url))
        self._lane = SqliteLane(path, synchronous="NORMAL", busy_timeout=2.0)
        self._checked: sqlite3.Connection | None = None

    async def call(self, use: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._lane.call(lambda link: use(self._check(link)))
        except (sqlite3.Error, OSError) as exc:
            text = f"{redact(self.url)}: {type(exc).__name__}: {exc}"
            raise BackendError(text, retryable="locked" in str(exc)) from exc

    async def transact(self, use: Callable[[sqlite3.Connection], T]) -> T:
        def work(link: sqlite3.Connection) -> T:
            link.execute("BEGIN IMMEDIATE")
            try:
                result = use(link)
                link.execute("COMMIT")
            except BaseException:
                if link.in_transaction:
                    link.execute("ROLLBACK")
                raise
            return result

        return await self.call(work)

    def _check(self, link: sqlite3.Connection) -> sqlite3.Connection:
        if self._checked is not link:
            prepare_tables(link, "cache", _FORMAT, _SCHEMA)
            self._checked = link
        return link

    async def aclose(self) -> None:
        self._checked = None
        await self._lane.aclose()

    def detach(self) -> None:
        self._checked = None
        self._lane.detach()
