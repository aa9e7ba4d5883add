"""The file beside a SQLite index from which a process starts, and the mark in the index for it."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..ports import Matrix, Stored
from . import saved_shelf
from .sqlite_rows import document_of, one_in, transaction

_MARKS = """
CREATE TABLE IF NOT EXISTS semsearch_saved (
    number INTEGER PRIMARY KEY, mark TEXT NOT NULL, generation INTEGER NOT NULL,
    seq INTEGER NOT NULL)
"""
_KEPT = 8
"""Marks that stay: a file may be put in place after another process wrote its own mark."""


def write(
    link: sqlite3.Connection,
    path: Path,
    mark: str,
    place: tuple[int, int],
    told: tuple[Sequence[Stored], Matrix],
) -> None:
    """Write a file with all documents.

    Args:
        link: To the index.
        path: Of the file.
        mark: Never used before.
        place: The generation, and the number of the last change that is among the documents.
        told: Documents and vectors.

    Raises:
        OSError: The file cannot be written.
        sqlite3.Error: The index cannot.
    """
    last = "(SELECT max(number) FROM semsearch_saved)"
    with transaction(link):
        link.execute(_MARKS)
        insert = "INSERT INTO semsearch_saved (mark, generation, seq) VALUES (?, ?, ?)"
        link.execute(insert, (mark, *place))
        link.execute(f"DELETE FROM semsearch_saved WHERE number <= {last} - ?", (_KEPT,))  # noqa: S608  ours
    saved_shelf.save(path, mark, *told)


def read(
    link: sqlite3.Connection, path: Path, generation: int, dimension: int
) -> tuple[saved_shelf.SavedShelf, int] | None:
    """Return what a file has, and up to which change; None if it is not of this index."""
    found = saved_shelf.load(path, dimension)
    if found is None or not found.documents:
        return None
    there = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'semsearch_saved'"
    if link.execute(there).fetchone() is None:
        return None
    query = "SELECT seq FROM semsearch_saved WHERE mark = ? AND generation = ?"
    row = link.execute(query, (found.mark, generation)).fetchone()
    return None if row is None else (found, int(row[0]))


def rows_of(
    link: sqlite3.Connection, table: str, names: Sequence[str], dimension: int
) -> Iterator[tuple[Any, Stored | None]]:
    """Yield the rows of documents that are there, and the documents; None for a corrupt one."""
    query = one_in(table)
    for name in names:
        row = link.execute(query, (name,)).fetchone()
        if row is not None:
            yield row, document_of(row, dimension)
