"""A storage of exporter that keeps the files in one SQLite database.

What a writer is given waits in a temporary file and is moved in by one transaction at its commit: a
process that dies before leaves nothing in the database. Readers see the database as it was when
they began, whatever is deleted meanwhile.
"""

import asyncio
import contextlib
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Self, TypeVar

from exporter.errors import ConfigurationError, StorageError
from exporter.filenames import check_key
from exporter.ports import Storage, StorageCapabilities, StoredFile, Writer

__all__ = ["SQLiteFiles"]
T = TypeVar("T")
_PIECE = 1 << 19
_IN_MEMORY = 1 << 20
_PATIENCE = 30.0
_FILES = (
    "CREATE TABLE IF NOT EXISTS files (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, "
    "size INTEGER NOT NULL)"
)
_PIECES = (
    "CREATE TABLE IF NOT EXISTS pieces (file INTEGER NOT NULL, n INTEGER NOT NULL, "
    "data BLOB NOT NULL, PRIMARY KEY (file, n))"
)


class SQLiteFiles(Storage):
    """Files in the SQLite database at a path. Several processes of one machine may share it."""

    capabilities = StorageCapabilities()

    def __init__(self, path: str) -> None:
        """Use the database at ``path``; the first call makes it."""
        self._path = path

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Return the storage of ``sqlitefiles:///relative.db`` or ``sqlitefiles:////absolute.db``.

        Raises:
            ConfigurationError: The URL names no path.
        """
        path = url.partition(":///")[2]
        if not path or "?" in path:
            raise ConfigurationError(f"write sqlitefiles:///files.db, not {url!r}")
        return cls(path)

    def open_writer(self, key: str, content_type: str) -> Writer:  # noqa: ARG002  not kept
        check_key(key)
        return _SQLiteWriter(self, key)

    async def head(self, key: str) -> StoredFile | None:
        check_key(key)
        found = await self._ask(lambda db: _find(db, key))
        return None if found is None else StoredFile(key, found[1])

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        check_key(key)
        db = await asyncio.to_thread(self.connect)
        try:
            file, size = await asyncio.to_thread(_begin_reading, db, key)
            stop = size if end is None else min(end, size)
            while start < stop:
                data = await asyncio.to_thread(_piece, db, file, start, stop)
                yield data
                start += len(data)
        finally:
            await asyncio.to_thread(db.close)

    async def delete(self, key: str) -> bool:
        check_key(key)
        return await self._ask(lambda db: _delete(db, key))

    async def list_keys(self, prefix: str = "") -> AsyncIterator[StoredFile]:
        for key, size in await self._ask(lambda db: _list(db, prefix)):
            yield StoredFile(key, size)

    async def _ask(self, what: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.to_thread(self.run, what)

    def run(self, what: Callable[[sqlite3.Connection], T]) -> T:
        """Return what a transaction of its own returns."""
        with contextlib.closing(self.connect()) as db, translated(), db:
            db.execute("BEGIN IMMEDIATE")
            return what(db)

    def connect(self) -> sqlite3.Connection:
        """Return a connection, for one thread at a time, to the database with its tables."""
        with translated():
            db = sqlite3.connect(
                self._path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
            )
            _use_wal(db)
            db.execute(_FILES)
            db.execute(_PIECES)
            return db


class _SQLiteWriter(Writer):
    def __init__(self, storage: SQLiteFiles, key: str) -> None:
        self._storage, self._key = storage, key
        self._held = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  closed by both ends

    def write(self, data: bytes) -> None:
        if self._held.closed:
            raise StorageError("the writer is closed")
        with translated():
            self._held.write(data)

    def commit(self) -> None:
        if self._held.closed:
            raise StorageError("the writer is closed")
        self._storage.run(self._move_in)
        self._held.close()

    def _move_in(self, db: sqlite3.Connection) -> None:
        _delete(db, self._key)
        size = self._held.seek(0, 2)
        self._held.seek(0)
        made = db.execute("INSERT INTO files (key, size) VALUES (?, ?)", (self._key, size))
        pieces = iter(lambda: self._held.read(_PIECE), b"")
        db.executemany(
            "INSERT INTO pieces (file, n, data) VALUES (?, ?, ?)",
            ((made.lastrowid, n, data) for n, data in enumerate(pieces)),
        )

    def abort(self) -> None:
        self._held.close()


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raise what SQLite and the disk raise as exporter's own error.

    Raises:
        StorageError: They did.
    """
    try:
        yield
    except (sqlite3.Error, OSError) as exc:
        raise StorageError(f"the database of files failed: {exc}") from exc


def _use_wal(db: sqlite3.Connection) -> None:
    """Let readers keep what they see while others write."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:  # nobody awaits the lock for the switch
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


def _find(db: sqlite3.Connection, key: str) -> tuple[int, int] | None:
    found: tuple[int, int] | None = db.execute(
        "SELECT id, size FROM files WHERE key = ?", (key,)
    ).fetchone()
    return found


def _begin_reading(db: sqlite3.Connection, key: str) -> tuple[int, int]:
    with translated():
        db.execute("BEGIN")  # from the first question on, the database stays as it is for us
        found = _find(db, key)
    if found is None:
        raise StorageError(f"no file {key!r}")
    return found


def _piece(db: sqlite3.Connection, file: int, start: int, stop: int) -> bytes:
    n, at = divmod(start, _PIECE)
    with translated():
        [data] = db.execute(
            "SELECT data FROM pieces WHERE file = ? AND n = ?", (file, n)
        ).fetchone()
    return bytes(data[at : at + stop - start])


def _delete(db: sqlite3.Connection, key: str) -> bool:
    if (found := _find(db, key)) is None:
        return False
    db.execute("DELETE FROM pieces WHERE file = ?", found[:1])
    db.execute("DELETE FROM files WHERE id = ?", found[:1])
    return True


def _list(db: sqlite3.Connection, prefix: str) -> list[tuple[str, int]]:
    # not LIKE: a prefix may hold its signs
    found = db.execute(
        "SELECT key, size FROM files WHERE substr(key, 1, ?) = ? ORDER BY key",
        (len(prefix), prefix),
    )
    return found.fetchall()
