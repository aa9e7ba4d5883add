"""From the items of a document to the records that formats take."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..documents import Citation, Item, Kind, Record, Row, Section, Segment, Table, Word
from ..errors import InvalidSource
from ..texts import quoted
from .values import (
    check_text,
    checked_citation,
    checked_section,
    citation_of,
    flat,
    seconds_of,
    section_of,
    segment_of,
)

_FAR = math.inf


class Flow:
    """Turns the items of a document into records that formats take: tables open, rows aligned."""

    def __init__(self, kind: Kind, report: Callable[[str], None]) -> None:
        """Read mappings as records of ``kind``; note with ``report`` what was mended."""
        self._kind, self._report = kind, report
        self._columns: tuple[str, ...] | None = None
        self._count = self._rows = 0

    def plain(self, item: Item) -> Segment | None:
        """Return the segment that ``item`` is or stands for if nothing is to be mended, else None.

        Most streams are made of such. What it looks at is what :meth:`records` would.
        """
        given: Any = item
        segment: Segment | None = None
        if type(item) is Segment:
            start, end, text, speaker = given.start, given.end, given.text, given.speaker
            words, segment = given.words, item
        elif type(item) is dict and self._kind == "transcript":
            get = given.get
            start, end, text, speaker = get("start"), get("end"), get("text"), get("speaker")
            words = get("words")
        else:
            return None
        # exactly these types: what is derived from them, as numbers of NumPy are, is made one
        if (
            type(start) is float
            and type(end) is float
            and -_FAR < start < _FAR
            and -_FAR < end < _FAR
            and type(text) is str
            and (speaker is None or type(speaker) is str)
            and not words
        ):
            self._count += 1
            return segment or Segment(text.strip(" \t\r\n"), start, end, speaker)
        return None

    def records(self, item: Item) -> Iterator[Record]:
        """Yield the records that ``item`` stands for.

        Raises:
            InvalidSource: It is no record; the message names its number and field.
        """
        self._count += 1
        if isinstance(item, Segment):
            yield self._timed(item)
        elif isinstance(item, Section):
            yield checked_section(item, self._where("sections"))
        elif isinstance(item, Citation):
            yield checked_citation(item, self._where("citations"))
        elif isinstance(item, Table):
            yield from self._open(item)
        elif isinstance(item, Row):
            yield from self._alone(item)
        elif not isinstance(item, Mapping):
            raise InvalidSource(
                f"record {self._count} is {quoted(item)}; give Segment, Section, Citation, Table, "
                "Row or a mapping"
            )
        else:
            yield from self._mapping(item)

    def _mapping(self, item: Mapping[str, Any]) -> Iterator[Record]:
        """Yield the record of the document's kind that a mapping stands for."""
        if self._kind == "transcript":
            segment = segment_of(item, self._where("segments"))
            yield segment if _is_finite(segment) else self._timed(segment)
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

    def _alone(self, row: Row) -> Iterator[Record]:
        """Yield a row; if no table began before it, one without names does."""
        if self._columns is None:
            yield from self._open(Table((), [row.cells]))
        else:
            yield self._row(row)

    def _open(self, table: Table) -> Iterator[Record]:
        for name in ("columns", "rows"):
            value: object = getattr(table, name)
            if isinstance(value, str | bytes) or not isinstance(value, Iterable):
                raise InvalidSource(f"Table.{name} must be a list, not {quoted(value)}")
        check_text(table.title, "Table.title")
        self._rows = 0
        self._columns, rows = tuple(str(name) for name in table.columns), iter(table.rows)
        if not self._columns:
            first = next(rows, None)
            if first is None:
                return
            named = isinstance(first, Mapping)
            if isinstance(first, Row):
                first = first.cells
            if not named and (isinstance(first, str | bytes) or not isinstance(first, Sequence)):
                raise InvalidSource(f"rows[0] must be a list or mapping, not {quoted(first)}")
            names = first if named else (f"column {n + 1}" for n in range(len(first)))
            self._columns = tuple(str(name) for name in names)
            yield Table(self._columns, (), table.title)
            yield self._row(first)
        else:
            yield Table(self._columns, (), table.title)
        for row in rows:
            yield self._row(row)

    def _row(self, row: Any) -> Row:
        columns, number = self._columns, self._rows
        self._rows += 1
        if isinstance(row, Row):
            row = row.cells
        if isinstance(row, Mapping):
            known = {str(key): value for key, value in row.items()}
            if columns is not None and (extra := known.keys() - set(columns)):
                raise InvalidSource(
                    f"rows[{number}] has the key {min(extra)[:80]!r}, which is no column; name all "
                    "columns in Table(columns=…)"
                )
            return Row([flat(known.get(name)) for name in columns or ()])
        if isinstance(row, str | bytes) or not isinstance(row, Sequence):
            raise InvalidSource(f"rows[{number}] must be a list or mapping, not {quoted(row)}")
        if columns is not None and len(row) != len(columns):
            raise InvalidSource(f"rows[{number}] has {len(row)} cells for {len(columns)} columns")
        return Row([flat(cell) for cell in row])

    def _timed(self, segment: Segment) -> Segment:
        where = self._where("segments")
        check_text(segment.text, f"{where}.text")
        if segment.speaker is not None:
            check_text(segment.speaker, f"{where}.speaker")
        start = self._moment(segment.start, f"{where}.start")
        end = self._moment(segment.end, f"{where}.end")
        words = self._words(segment.words, f"{where}.words") if segment.words else ()
        return Segment(segment.text, start, end, segment.speaker, words)

    def _moment(self, value: Any, where: str) -> float | None:
        found = value if value.__class__ is float else seconds_of(value, where)
        if found is None or math.isfinite(found):
            # whole seconds stay whole, as they were given
            return value if isinstance(value, int) else found
        self._report("times that are no numbers were left out")
        return None

    def _words(self, words: Any, where: str) -> Sequence[Word]:
        """Return the words of a segment; none if one has no time, or lines would drift."""
        if isinstance(words, str | bytes) or not isinstance(words, Sequence):
            raise InvalidSource(f"{where} must be a list, not {quoted(words)}")
        for word in words:
            given: object = word
            if not isinstance(given, Word):
                raise InvalidSource(f"{where} must be a list of Word, not {quoted(given)}")
            check_text(given.text, f"{where}.text")
            for name, value in (("start", given.start), ("end", given.end)):
                moment = seconds_of(value, f"{where}.{name}")
                if moment is None or not math.isfinite(moment):
                    self._report("times of words that are no numbers were left out")
                    return ()
        return words


def _is_finite(segment: Segment) -> bool:
    """Whether the times of a segment, which are numbers or None, are those of a recording."""
    start, end = segment.start, segment.end
    return (start is None or -_FAR < start < _FAR) and (end is None or -_FAR < end < _FAR)
