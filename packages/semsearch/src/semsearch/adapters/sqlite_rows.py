"""Tables and rows of the store in SQLite.

The documents of one model stand in one table. Another model has a table of its own, filled beside
the first and put in its place by one number: the generation.
"""

import contextlib
import sqlite3
import zlib
from collections.abc import Generator, Sequence
from typing import Any

import msgspec
import numpy as np

from .._common.sqlite_schema import prepare_tables
from ..errors import ConfigurationError
from ..ports import Stored

_FORMAT = 1
_MISSING = "the index is missing and indexing.auto_index is off"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS semsearch_index (
    one INTEGER PRIMARY KEY CHECK (one = 1), model TEXT NOT NULL, dimension INTEGER NOT NULL,
    seq INTEGER NOT NULL)
"""
_GENERATION = (
    "CREATE TABLE IF NOT EXISTS semsearch_generation "
    "(one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL)"
)
_DOCUMENTS = """
CREATE TABLE IF NOT EXISTS {table} (
    id TEXT PRIMARY KEY, seq INTEGER NOT NULL, deleted INTEGER NOT NULL, digest TEXT NOT NULL,
    content TEXT NOT NULL, metadata BLOB NOT NULL, vector BLOB NOT NULL, checksum INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS {table}_sequence ON {table} (seq)
"""
_BESIDE = "SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'semsearch_documents*'"
NEXT = "UPDATE semsearch_index SET seq = seq + 1 RETURNING seq"


def table_of(generation: int) -> str:
    """Return the table of a generation."""
    return f"semsearch_documents_g{generation}" if generation else "semsearch_documents"


def put_into(table: str) -> str:
    """Return the statement that stores a row."""
    return f"REPLACE INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608  our own name


def _rows_in(table: str) -> str:
    """Return the beginning of statements that read rows as :func:`document_of` takes them.

    Texts come as bytes: damaged ones are no UTF-8, and SQLite would fail for all rows.
    """
    texts = "CAST(digest AS BLOB), CAST(content AS BLOB)"
    blobs = "CAST(metadata AS BLOB), CAST(vector AS BLOB)"
    columns = f"CAST(id AS BLOB), seq, deleted, {texts}, {blobs}, checksum"
    return f"SELECT {columns} FROM {table} WHERE "  # noqa: S608  our own name


def since_in(table: str) -> str:
    """Return the statement that reads rows after a number of the sequence, in its order."""
    return f"{_rows_in(table)}seq > ? ORDER BY seq LIMIT ?"


def one_in(table: str) -> str:
    """Return the statement that reads the row of a document, if that is not deleted."""
    return f"{_rows_in(table)}id = ? AND deleted = 0"


def current_generation(link: sqlite3.Connection) -> int:
    """Return the generation that counts."""
    row = link.execute("SELECT number FROM semsearch_generation").fetchone()
    return 0 if row is None else int(row[0])


def prepare(
    link: sqlite3.Connection, model_id: str, dimension: int, *, create: bool
) -> tuple[str, int, int]:
    """Return model, dimension and generation of the index, made where it is missing.

    Raises:
        ConfigurationError: It is missing and may not be made.
    """
    if not prepare_tables(link, "semsearch", _FORMAT, _SCHEMA, create=create):
        raise ConfigurationError(_MISSING)
    link.execute(_GENERATION)
    generation = current_generation(link)
    make_table(link, table_of(generation))
    kept = "SELECT model, dimension FROM semsearch_index"
    row = link.execute(kept).fetchone()
    if row is None:
        insert = "INSERT INTO semsearch_index VALUES (1, ?, ?, 0) ON CONFLICT DO NOTHING"
        link.execute(insert, (model_id, dimension))
        row = link.execute(kept).fetchone()
    return str(row[0]), int(row[1]), generation


def make_table(link: sqlite3.Connection, table: str) -> None:
    """Make the table of a generation."""
    for statement in _DOCUMENTS.format(table=table).split(";"):
        link.execute(statement)


@contextlib.contextmanager
def transaction(link: sqlite3.Connection) -> Generator[None, None, None]:
    """Commit what is done within, or roll it back."""
    link.execute("BEGIN IMMEDIATE")
    try:
        yield
        link.execute("COMMIT")
    except BaseException:
        if link.in_transaction:
            link.execute("ROLLBACK")
        raise


def supersede(
    link: sqlite3.Connection, old: int, seen: int, new: int, model_id: str, dimension: int
) -> bool:
    """Let a generation take the place of another, in the caller's transaction.

    Returns:
        False, and nothing is changed, if there were writes after ``seen``.

    Raises:
        sqlite3.OperationalError: Somebody else's table took the place meanwhile.
    """
    later = f"SELECT 1 FROM {table_of(old)} WHERE seq > ? LIMIT 1"  # noqa: S608  our own name
    if link.execute(later, (seen,)).fetchone() is not None:
        return False
    link.execute(f"SELECT 1 FROM {table_of(new)} LIMIT 1")  # noqa: S608  it must still be there
    link.execute("REPLACE INTO semsearch_generation VALUES (1, ?)", (new,))
    link.execute("UPDATE semsearch_index SET model = ?, dimension = ?", (model_id, dimension))
    # those that a crash left behind, too
    for (name,) in link.execute(_BESIDE).fetchall():
        if name != table_of(new):
            link.execute(f'DROP TABLE "{name}"')
    return True


def parts_of(document: Stored) -> tuple[str, str, bytes, bytes, int]:
    """Return what a row holds of a document, behind its id, number and mark."""
    metadata = msgspec.json.encode(document.metadata)
    vector = document.vector.astype("<f4").tobytes()
    return (
        document.digest,
        document.content,
        metadata,
        vector,
        _checksum(document.content.encode("utf-8", "replace"), metadata, vector),
    )


def _checksum(content: bytes, metadata: bytes, vector: bytes) -> int:
    return zlib.crc32(vector, zlib.crc32(metadata, zlib.crc32(content)))


def document_of(row: Sequence[Any], dimension: int) -> Stored | None:
    """Return the document of a row, None if the row is corrupt."""
    document_id, _, _, digest, content, metadata, raw, checksum = row
    try:
        if _checksum(content, metadata, raw) != checksum:
            return None
        vector = np.frombuffer(raw, "<f4").astype(np.float32)
        if vector.shape != (dimension,) or not np.isfinite(vector).all():
            return None
        found: dict[str, Any] = msgspec.json.decode(metadata, type=dict[str, Any])
        return Stored(document_id.decode(), content.decode(), found, vector, digest.decode())
    except (msgspec.DecodeError, ValueError, TypeError, AttributeError):
        return None
