"""From the items of a document to the records that formats take."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from ..documents import Citation, Item, Kind, Record, Row, Section, Segment, Table
from ..errors import InvalidSource
from .values import citation_of, flat, section_of, segment_of

_FAR = math.inf


class Flow:
    """Turns the items of a document into records that formats take: tables open, rows aligned."""

    def __init__(self, kind: Kind, report: Callable[[str], None]) -> None:
        """Read mappings as records of ``kind``; note with ``report`` what was mended."""
        self._kind, self._report = kind, report
        self._columns: tuple[str, ...] | None = None
        self._count = 0

    def is_plain(self, item: Item) -> TypeGuard[Segment]:
        """Whether ``item`` is a segment with nothing to mend: what most streams are made of."""
        if not isinstance(item, Segment):
            return False
        start, end, text = item.start, item.end, item.text
        if (
            isinstance(start, float)
            and isinstance(end, float)
            and -_FAR < start < _FAR
            and -_FAR < end < _FAR
            and text.__class__ is str
        ):
            self._count += 1
            return True
        return False

    def records(self, item: Item) -> Iterator[Record]:
        """Yield the records that ``item`` stands for.

        Raises:
            InvalidSource: It is no record; the message names its number and field.
        """
        self._count += 1
        if isinstance(item, Segment):
            yield self._timed(item)
        elif isinstance(item, Section | Citation):
            yield _typed(item, self._count)
        elif isinstance(item, Table):
            yield from self._open(item)
        elif isinstance(item, Row):
            yield self._row(item.cells)
        elif not isinstance(item, Mapping):
            raise InvalidSource(f"record {self._count} is {type(item).__name__}, not a record")
        elif self._kind == "transcript":
            yield self._timed(segment_of(item, self._where("segments")))
        elif self._kind == "summary":
            yield section_of(item, self._where("sections"))
        elif self._kind == "rag":
            yield citation_of(item, self._where("citations"))
        else:
            if self._columns is None:
                yield from self._open(Table(tuple(str(key) for key in item)))
            yield self._row(item)

    def _where(self, name: str) -> str:
        return f"{name}[{self._count - 1}]"

    def _open(self, table: Table) -> Iterator[Record]:
        self._columns, rows = tuple(str(name) for name in table.columns), iter(table.rows)
        if not self._columns:
            first = next(rows, None)
            if first is None:
                return
            named = isinstance(first, Mapping)
            names = first if named else (f"column {n + 1}" for n in range(len(first)))
            self._columns = tuple(str(name) for name in names)
            yield Table(self._columns, (), table.title)
            yield self._row(first)
        else:
            yield Table(self._columns, (), table.title)
        for row in rows:
            yield self._row(row)

    def _row(self, row: Any) -> Row:
        columns = self._columns
        if isinstance(row, Row):
            row = row.cells
        if isinstance(row, Mapping):
            known = {str(key): value for key, value in row.items()}
            if columns is not None and (extra := known.keys() - set(columns)):
                raise InvalidSource(
                    f"a row has the key {min(extra)[:80]!r}, which is no column; name all columns "
                    "in Table(columns=…)"
                )
            return Row([flat(known.get(name)) for name in columns or ()])
        if isinstance(row, str | bytes) or not isinstance(row, Sequence):
            raise InvalidSource(f"a row must be a list or mapping, not {type(row).__name__}")
        if columns is not None and len(row) != len(columns):
            raise InvalidSource(f"a row has {len(row)} cells for {len(columns)} columns")
        return Row([flat(cell) for cell in row])

    def _timed(self, segment: Segment) -> Segment:
        start, end = segment.start, segment.end
        if not isinstance(segment.text, str):
            raise InvalidSource(f"{self._where('segments')}.text must be text")
        if _finite(start) and _finite(end):
            return segment
        self._report("times that are no numbers were left out")
        return Segment(
            segment.text,
            start if _finite(start) else None,
            end if _finite(end) else None,
            segment.speaker,
            segment.words,
        )


def _finite(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and math.isfinite(value))


def _typed(record: Section | Citation, number: int) -> Section | Citation:
    texts = (record.title, record.text, *(record.bullets if isinstance(record, Section) else ()))
    if not all(isinstance(text, str) for text in texts):
        raise InvalidSource(f"record {number} holds something that is not text")
    return record
