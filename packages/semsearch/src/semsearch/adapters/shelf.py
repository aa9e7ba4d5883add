"""Documents in memory with an exact search over their vectors: what embedded stores share."""

import itertools
from collections.abc import Sequence

import numpy as np

from ..filters import Filter
from ..models import Facet
from ..ports import Changes, Matrix, Position, Scored, Stored, Vector
from .best import best, cosines
from .columns import Columns

_generations = itertools.count(1)
_TOMBSTONES = 1000
_LARGE = 8_000_000
_COPIED = 4


class Shelf:
    """A dict of documents and a matrix of their vectors, kept in step. Not safe for threads.

    The matrix grows by doubling; a deleted row is filled by the last one, so that a change costs
    the same however many documents there are. Changes are numbered, so that any number of readers
    follow them, each from its own position.

    Attributes:
        texts: Characters of the texts that are held.
    """

    def __init__(self, dimension: int) -> None:
        """Start empty."""
        self.dimension = dimension
        self._documents: dict[str, Stored] = {}
        self._rows: dict[str, int] = {}
        self._ids: list[str] = []
        self._matrix = np.zeros((64, dimension), np.float32)
        self._columns: Columns | None = Columns()
        self.texts = 0
        self._generation = next(_generations)
        # the number of each id's last change, in their order; ids that are gone among them
        self._changed: dict[str, int] = {}
        self._version = self._floor = 0

    def adopt(self, documents: Sequence[Stored], matrix: Matrix) -> None:
        """Take over documents and their vectors at once, as the first ones; at least one."""
        self._documents = {each.id: each for each in documents}
        self._ids = list(self._documents)
        self._rows = {name: row for row, name in enumerate(self._ids)}
        self._matrix, self._columns = matrix, None
        self._version = self._floor = 1

    def everything(self) -> tuple[list[Stored], Matrix]:
        """Return all documents and their vectors."""
        documents = [self._documents[name] for name in self._ids]
        return documents, self._matrix[: len(documents)].copy()

    @property
    def is_sorted(self) -> bool:
        """Whether filters find at once which documents have which metadata."""
        return self._columns is not None

    def _sorted(self) -> Columns:
        if self._columns is None:
            made = Columns()
            for row, name in enumerate(self._ids):
                made.add(row, self._documents[name].metadata)
            self._columns = made
        return self._columns

    def _place(self, row: int, vector: Vector) -> None:
        if row >= len(self._matrix):
            grown = np.zeros((2 * len(self._matrix), self.dimension), np.float32)
            grown[:row] = self._matrix
            self._matrix = grown
        elif not self._matrix.flags.writeable:  # a file's
            self._matrix = self._matrix.copy()
        self._matrix[row] = vector

    @property
    def position(self) -> Position:
        """Where a reader is who has seen everything."""
        return (self._generation, self._version)

    def since(self, position: Position) -> Changes:
        """Return what changed since ``position``; everything if that is unknown or too old."""
        match position:
            case (self._generation, int(seen)) if seen >= self._floor:
                pass
            case _:
                return Changes(
                    reset=True, upserted=list(self._documents.values()), position=self.position
                )
        later = itertools.takewhile(
            lambda name: self._changed[name] > seen, reversed(self._changed)
        )
        names = list(later)[::-1]
        return Changes(
            upserted=[self._documents[name] for name in names if name in self._documents],
            deleted=[name for name in names if name not in self._documents],
            position=self.position,
        )

    def _note(self, document_id: str) -> None:
        self._version += 1
        self._changed.pop(document_id, None)
        self._changed[document_id] = self._version
        if len(self._changed) - len(self._documents) > max(_TOMBSTONES, len(self._documents)):
            self._changed = {
                name: at for name, at in self._changed.items() if name in self._documents
            }
            self._floor = self._version

    def __len__(self) -> int:
        """Return the number of documents."""
        return len(self._ids)

    @property
    def is_large(self) -> bool:
        """Whether a search takes more than some milliseconds: it is worth a thread then."""
        return len(self._ids) * self.dimension > _LARGE

    def get(self, document_id: str) -> Stored | None:
        """Return a document, or None."""
        return self._documents.get(document_id)

    def put(self, document: Stored) -> None:
        """Add or replace a document."""
        row = self._rows.get(document.id)
        if row is None:
            row = self._rows[document.id] = len(self._ids)
            self._ids.append(document.id)
        else:
            old = self._documents[document.id]
            self.texts -= len(old.content)
            if self._columns is not None:
                self._columns.remove(row, old.metadata)
        if self._columns is not None:
            self._columns.add(row, document.metadata)
        self._place(row, document.vector)
        self._documents[document.id] = document
        self.texts += len(document.content)
        self._note(document.id)

    def learn(self, document: Stored) -> None:
        """Take over the text of a document that is there as it is."""
        old = self._documents.get(document.id)
        if old is not None and old.unread:
            self._documents[document.id] = document
            self.texts += len(document.content)

    def drop(self, document_id: str) -> bool:
        """Remove a document; return whether it was there."""
        row = self._rows.pop(document_id, None)
        if row is None:
            return False
        gone, last = self._documents.pop(document_id), self._ids.pop()
        self.texts -= len(gone.content)
        if self._columns is not None:
            self._columns.remove(row, gone.metadata)
        if last != document_id:
            if self._columns is not None:
                metadata = self._documents[last].metadata
                self._columns.remove(len(self._ids), metadata)
                self._columns.add(row, metadata)
            self._ids[row], self._rows[last] = last, row
            self._place(row, self._matrix[len(self._ids)])
        self._note(document_id)
        return True

    def nearest(self, vector: Vector, limit: int, wanted: Filter | None) -> list[Scored]:
        """Return the nearest documents that pass, by cosine, ties by id."""
        count = len(self._ids)
        if count == 0 or limit < 1:
            return []
        if wanted is None:
            return best(cosines(self._matrix[:count], vector), np.arange(count), self._ids, limit)
        rows = self._sorted().rows(wanted)
        if len(rows) * _COPIED > count:  # a copy of so many vectors costs more than all cosines
            return best(cosines(self._matrix[:count], vector)[rows], rows, self._ids, limit)
        return best(cosines(self._matrix[rows], vector), rows, self._ids, limit)

    def select(self, wanted: Filter | None) -> list[str]:
        """Return the ids that pass, in their order."""
        if wanted is None:
            return sorted(self._ids)
        return sorted(self._ids[row] for row in self._sorted().passing(wanted))

    def count(self, wanted: Filter | None) -> int:
        """Return how many documents pass."""
        return len(self._ids) if wanted is None else len(self._sorted().passing(wanted))

    def facets(self, names: Sequence[str], wanted: Filter | None) -> dict[str, Facet]:
        """Count the values of ``names`` over the documents that pass."""
        return self._sorted().facets(names, wanted)
