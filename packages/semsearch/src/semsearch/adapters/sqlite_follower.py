"""A shelf that follows a table of documents: what the store in SQLite has in memory."""

import logging
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .._common.sqlite import CHANGES
from ..ports import Stored
from . import sqlite_beside, sqlite_rows
from .exclusive import Exclusive
from .shelf import Shelf

logger = logging.getLogger(__name__)
BATCH = 2000
_TEXTS = 50_000_000
"""Characters of texts that are held in memory; the rest is read when it is asked for."""
_WORTH, _DUE, _FEW = 2000, 2000, 100
"""Documents of an index that is worth a file beside it, changes after which that is written anew,
and at the end, one in how many documents."""


class SQLiteFollower:
    """Brings a shelf to where a table is. Methods with ``link`` run in the connection's thread.

    Attributes:
        shelf: The documents.
        seen: What the connection said of changes when the last one was taken over; -1 to look.
        seq: The number of the change that was taken over last.
        unsaved: How many changes the file beside the index does not have.
        stale: Whether that has what was deleted or replaced.
    """

    def __init__(
        self, beside: Path, generation: int, dimension: int, exclusive: Exclusive, *, begins: bool
    ) -> None:
        """Know nothing.

        Args:
            beside: Where the file beside the index is.
            generation: Of the table.
            dimension: Of the vectors.
            exclusive: Who uses the shelf is alone there.
            begins: Whether to begin with what the file has.
        """
        self.shelf = Shelf(dimension)
        self.seq, self.seen, self.unsaved, self.stale = 0, -1, 0, False
        self._beside, self._generation, self._begins = beside, generation, begins
        self._exclusive = exclusive

    @property
    def _table(self) -> str:
        return sqlite_rows.table_of(self._generation)

    @property
    def is_due(self) -> bool:
        """Whether the file should be written before the end."""
        return self.unsaved > max(_DUE, len(self.shelf) // 4)

    @property
    def is_due_at_last(self) -> bool:
        """Whether the file should be written at the end."""
        # what was deleted does not stay there, however little it is
        return self.stale or self.unsaved * _FEW > len(self.shelf)

    def catch_up(self, link: sqlite3.Connection, check: Callable[[], None]) -> bool:
        """Take over a batch of what is new; return whether to go on.

        Args:
            link: To the index.
            check: Raises where the table is not the one any more.
        """
        version = link.execute(CHANGES).fetchone()[0]
        if version == self.seen:
            return False
        check()
        if self._begins and not self.seq:
            self._begin(link)
        rows = link.execute(sqlite_rows.since_in(self._table), (self.seq, BATCH)).fetchall()
        with self._exclusive.inside():
            for row in rows:
                self._take(row)
                self.seq = row[1]
        self.unsaved += len(rows)
        if len(rows) < BATCH:
            self.seen = version
        return len(rows) == BATCH

    def _begin(self, link: sqlite3.Connection) -> None:
        found = sqlite_beside.read(link, self._beside, self._generation, self.shelf.dimension)
        if found is not None:
            with self._exclusive.inside():
                self.shelf.adopt(found[0].documents, found[0].matrix)
                self.seq = found[1]

    def _take(self, row: Any) -> None:
        document_id, is_deleted = row[0].decode("utf-8", "replace"), row[2]
        self.stale = self.stale or self.shelf.get(document_id) is not None
        document = None if is_deleted else sqlite_rows.document_of(row, self.shelf.dimension)
        if document is not None:
            if document.content and not self._has_room(document):
                document = replace(document, content="", unread=True)
            self.shelf.put(document)
            return
        if not is_deleted:
            logger.error("semsearch.row_corrupt", extra={"seq": row[1]})
        self.shelf.drop(document_id)

    def _has_room(self, document: Stored) -> bool:
        return self.shelf.texts + len(document.content) <= _TEXTS

    def read(self, link: sqlite3.Connection, names: Sequence[str]) -> dict[str, Stored]:
        """Return documents as they are in the table now; those that are damaged leave the shelf."""
        found = {}
        for row, document in sqlite_beside.rows_of(link, self._table, names, self.shelf.dimension):
            if document is not None:
                found[document.id] = document
            if row[1] <= self.seq:  # the one that is on the shelf
                with self._exclusive.inside():
                    self._learn(row, document)
        return found

    def _learn(self, row: Any, document: Stored | None) -> None:
        if document is None:
            logger.error("semsearch.row_corrupt", extra={"seq": row[1]})
            self.shelf.drop(row[0].decode("utf-8", "replace"))
        elif self._has_room(document):
            self.shelf.learn(document)

    def keep(self, link: sqlite3.Connection) -> None:
        """Write what makes the next start quick; where it cannot be written, that one is slow."""
        if len(self.shelf) < _WORTH:
            return
        with self._exclusive.inside():
            place, told = (self._generation, self.seq), self.shelf.everything()
        try:
            sqlite_beside.write(link, self._beside, secrets.token_hex(16), place, told)
        except (sqlite3.Error, OSError) as exc:
            logger.info("semsearch.vectors_not_saved", extra={"reason": type(exc).__name__})
            return
        self.unsaved, self.stale = 0, False
