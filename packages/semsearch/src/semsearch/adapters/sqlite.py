"""Documents in a SQLite file that several processes read and write: the embedded store on disk.

Each process keeps documents and vectors in memory too, and catches up by a sequence before it
answers: a look that finds nothing new is one ``PRAGMA data_version``. Every row carries a checksum;
rows that fail it are left out and reported, and come back when they are indexed again.
"""

import asyncio
import logging
import sqlite3
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from .._common.sqlite import CHANGES, SqliteLane
from .._common.sqlite_schema import prepare_tables
from .._common.urls import file_path, query_of, redact, without_query
from ..errors import BackendError, ConfigurationError
from ..filters import OPERATORS, Filter
from ..models import Facet
from ..ports import Capabilities, Changes, Position, Scored, Stored, Vector, VectorStore
from .exclusive import Exclusive
from .shelf import Shelf

T = TypeVar("T")
logger = logging.getLogger(__name__)
_FORMAT = 1
_MISSING = "the index is missing and indexing.auto_index is off"
_BATCH = 2000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS semsearch_documents (
    id TEXT PRIMARY KEY, seq INTEGER NOT NULL, deleted INTEGER NOT NULL, digest TEXT NOT NULL,
    content TEXT NOT NULL, metadata BLOB NOT NULL, vector BLOB NOT NULL, checksum INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS semsearch_sequence ON semsearch_documents (seq);
CREATE TABLE IF NOT EXISTS semsearch_index (
    one INTEGER PRIMARY KEY CHECK (one = 1), model TEXT NOT NULL, dimension INTEGER NOT NULL,
    seq INTEGER NOT NULL)
"""
_NEXT = "UPDATE semsearch_index SET seq = seq + 1 RETURNING seq"
_PUT = "REPLACE INTO semsearch_documents VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_SINCE = (
    "SELECT id, seq, deleted, digest, content, metadata, vector, checksum "
    "FROM semsearch_documents WHERE seq > ? ORDER BY seq LIMIT ?"
)


class SQLiteStore(VectorStore):
    """Exact search over a SQLite file in WAL mode; for up to about 100,000 documents."""

    capabilities = Capabilities(durable=True, shared=True, filters=OPERATORS)

    def __init__(self, url: str) -> None:
        """Use the file of ``sqlite:///relative.db`` or ``sqlite:////absolute.db``."""
        query_of(url, allowed=frozenset())
        self._url = redact(url)
        self._path = file_path(without_query(url))
        self._lane = SqliteLane(self._path, synchronous="NORMAL", busy_timeout=5.0)
        self._exclusive = Exclusive()
        self._shelf: Shelf | None = None
        self._model = ""
        self._seq, self._seen = 0, -1

    async def open(self, model_id: str, dimension: int, *, create: bool) -> None:
        if self._shelf is None:
            if not create and not await asyncio.to_thread(Path(self._path).exists):
                raise ConfigurationError(f"{self._url}: {_MISSING}")
            found = await self._call(lambda link: _opened(link, model_id, dimension, create=create))
            if self._shelf is None:  # nobody else was faster
                self._model, there = found
                self._shelf, self._seq, self._seen = Shelf(there), 0, -1
        if (self._model, self._shelf.dimension) != (model_id, dimension):
            made = f"{self._model!r} ({self._shelf.dimension} dimensions)"
            raise ConfigurationError(
                f"{self._url} was made with model {made}, not {model_id!r} ({dimension}): "
                "use that model, or another file"
            )

    async def refresh(self, since: Position = None) -> Changes:
        shelf = self._open_shelf()
        # what a batch brought is on the shelf, whatever becomes of the next one or of our caller
        while await self._call(lambda link: self._catch_up(link, shelf)):
            pass
        if since == shelf.position:
            return Changes(position=since)
        return await self._exclusive.run(lambda: shelf.since(since), long=len(shelf) > _BATCH)

    def _catch_up(self, link: sqlite3.Connection, shelf: Shelf) -> bool:
        """Take over a batch of what is new, in the lane's thread; return whether to go on."""
        if shelf is not self._shelf:
            return False
        version = link.execute(CHANGES).fetchone()[0]
        if version == self._seen:
            return False
        rows = link.execute(_SINCE, (self._seq, _BATCH)).fetchall()
        with self._exclusive.inside():
            for row in rows:
                self._take(row, shelf)
                self._seq = row[1]
        if len(rows) < _BATCH:
            self._seen = version
        return len(rows) == _BATCH

    @staticmethod
    def _take(row: Any, shelf: Shelf) -> None:
        document_id, seq, is_deleted = row[0], row[1], row[2]
        document = None if is_deleted else _document(row, shelf.dimension)
        if document is not None:
            shelf.put(document)
            return
        if not is_deleted:
            logger.error("semsearch.row_corrupt", extra={"seq": seq})
        shelf.drop(document_id)

    def _open_shelf(self) -> Shelf:
        if self._shelf is None:
            raise ConfigurationError("the index is not open")
        return self._shelf

    async def upsert(self, documents: Sequence[Stored]) -> None:
        rows = [(each.id, *_parts(each)) for each in documents]

        def work(link: sqlite3.Connection) -> None:
            for document_id, digest, content, metadata, vector, checksum in rows:
                seq = link.execute(_NEXT).fetchone()[0]
                link.execute(
                    _PUT, (document_id, seq, 0, digest, content, metadata, vector, checksum)
                )

        await self._transact(work)

    async def delete(self, ids: Sequence[str]) -> Sequence[str]:
        def work(link: sqlite3.Connection) -> list[str]:
            gone = []
            for each in ids:
                query = "SELECT 1 FROM semsearch_documents WHERE id = ? AND deleted = 0"
                if link.execute(query, (each,)).fetchone() is not None:
                    seq = link.execute(_NEXT).fetchone()[0]
                    # a tombstone, so that the other processes hear of it
                    link.execute(_PUT, (each, seq, 1, "", "", b"", b"", 0))
                    gone.append(each)
            return gone

        return await self._transact(work)

    async def get(self, ids: Sequence[str]) -> Mapping[str, Stored]:
        shelf = self._open_shelf()
        found = ((each, shelf.get(each)) for each in ids)
        return {each: document for each, document in found if document is not None}

    async def search(self, vector: Vector, limit: int, filter: Filter | None) -> Sequence[Scored]:
        return await self._compute(lambda shelf: shelf.nearest(vector, limit, filter))

    async def select(self, filter: Filter | None, limit: int | None = None) -> Sequence[str]:
        return await self._compute(lambda shelf: shelf.select(filter)[:limit])

    async def facets(self, names: Sequence[str], filter: Filter | None) -> Mapping[str, Facet]:
        return await self._compute(lambda shelf: shelf.facets(names, filter))

    async def count(self, filter: Filter | None) -> int:
        return await self._compute(lambda shelf: shelf.count(filter))

    async def _compute(self, use: Callable[[Shelf], T]) -> T:
        shelf = self._open_shelf()
        return await self._exclusive.run(lambda: use(shelf), long=len(shelf) > _BATCH)

    async def _call(self, use: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._lane.call(use)
        except (sqlite3.Error, OSError) as exc:
            text = f"{self._url}: {type(exc).__name__}: {exc}"
            raise BackendError(text, retryable="locked" in str(exc)) from exc

    async def _transact(self, use: Callable[[sqlite3.Connection], T]) -> T:
        def work(link: sqlite3.Connection) -> T:
            link.execute("BEGIN IMMEDIATE")
            try:
                result = use(link)
                link.execute("COMMIT")
            except BaseException:
                if link.in_transaction:
                    link.execute("ROLLBACK")
                raise
            self._seen = -1  # our own commit does not change data_version
            return result

        return await self._call(work)

    async def aclose(self) -> None:
        await self._lane.aclose()
        self._shelf = None

    def detach(self) -> None:
        self._lane.detach()
        self._seen = -1
        if self._exclusive.detach():
            self._shelf = None


def _opened(
    link: sqlite3.Connection, model_id: str, dimension: int, *, create: bool
) -> tuple[str, int]:
    if not prepare_tables(link, "semsearch", _FORMAT, _SCHEMA, create=create):
        raise ConfigurationError(_MISSING)
    kept = "SELECT model, dimension FROM semsearch_index"
    row = link.execute(kept).fetchone()
    if row is None:
        insert = "INSERT INTO semsearch_index VALUES (1, ?, ?, 0) ON CONFLICT DO NOTHING"
        link.execute(insert, (model_id, dimension))
        row = link.execute(kept).fetchone()
    return str(row[0]), int(row[1])


def _parts(document: Stored) -> tuple[str, str, bytes, bytes, int]:
    metadata = msgspec.json.encode(document.metadata)
    vector = document.vector.astype("<f4").tobytes()
    return (
        document.digest,
        document.content,
        metadata,
        vector,
        _checksum(document.content, metadata, vector),
    )


def _checksum(content: str, metadata: bytes, vector: bytes) -> int:
    return zlib.crc32(vector, zlib.crc32(metadata, zlib.crc32(content.encode("utf-8", "replace"))))


def _document(row: Any, dimension: int) -> Stored | None:
    document_id, _, _, digest, content, metadata, raw, checksum = row
    try:
        if _checksum(content, metadata, raw) != checksum:
            return None
        vector = np.frombuffer(raw, "<f4").astype(np.float32)
        if vector.shape != (dimension,) or not np.isfinite(vector).all():
            return None
        found: dict[str, Any] = msgspec.json.decode(metadata, type=dict[str, Any])
        return Stored(document_id, content, found, vector, digest)
    except (msgspec.DecodeError, ValueError, TypeError, AttributeError):
        return None
