"""CSV and TSV: one line a record, safe to open in a spreadsheet."""

import csv
import io
import re
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from ...documents import Citation, Document, Record, Row, Section, Segment, Table
from ...ports import Renderer
from ...settings import CsvSettings
from ...texts import FORMULA, integer, shown

_FORMULA = re.compile(FORMULA)
_LEADING = re.compile("[\t\r\n]")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\Z", re.ASCII)
_DROPPED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

COLUMNS: dict[type, tuple[str, ...]] = {
    Segment: ("start", "end", "speaker", "text"),
    Section: ("title", "level", "kind", "text"),
    Citation: ("number", "title", "url", "score", "text"),
}
_OF_SEGMENTS = COLUMNS[Segment]
_QUOTED = re.compile('[",\t\r\n]')
_BLOCK, _SPEAKERS = 65_536, 1000


def guarded(text: str) -> str:
    """Return ``text`` with an apostrophe before it if a spreadsheet would compute it."""
    if text[:1].isascii() and text[:1].isalnum():
        return text  # most text, and neither expression can match it
    if text and (_LEADING.match(text) or _FORMULA.match(text)) and not _NUMBER.match(text):
        return f"'{text}"
    return text


class RowsRenderer(Renderer):
    """Every record as a row below a header.

    Where the kind of record changes, an empty line and a new header row follow.
    """

    def begin(self, document: Document) -> None:
        self._columns: tuple[str, ...] | None = None
        self._citations = 0

    @abstractmethod
    def row(self, cells: Sequence[Any], *, header: bool = False) -> None:
        """Write one row."""

    @abstractmethod
    def gap(self) -> None:
        """Write an empty row."""

    def write(self, record: Record) -> None:
        if isinstance(record, Table):
            self._head(tuple(record.columns))
        elif isinstance(record, Row):
            self.row(record.cells)
        else:
            if self._columns != COLUMNS[type(record)]:
                self._head(COLUMNS[type(record)])
            self._record(record)

    def _record(self, record: Segment | Section | Citation) -> None:
        if isinstance(record, Segment):
            self.row((self.seconds(record.start), self.seconds(record.end), record.speaker,
                      record.text))  # fmt: skip
        elif isinstance(record, Citation):
            self._citations += 1
            number = self._citations if record.number is None else record.number
            self.row((number, record.title, record.url, record.score, record.text))
        else:
            kind = record.role or "text"
            if record.text or not record.bullets:
                self.row((record.title, record.level, kind, record.text))
            for point in record.bullets:
                self.row((record.title, record.level, "bullet", point))

    def _head(self, columns: tuple[str, ...]) -> None:
        if self._columns is not None:
            self.gap()
        self._columns = columns
        if self.context.include_metadata:
            self.row(columns, header=True)

    def seconds(self, value: float | None) -> Any:
        """Return a time as it stands in a cell."""
        return value


class CsvRenderer(RowsRenderer):
    """RFC 4180 with CRLF; numbers stay numbers, text that looks like a formula is defused."""

    format = "csv"
    content_type = "text/csv; charset=utf-8"
    delimiter: ClassVar[str] = ","

    def begin(self, document: Document) -> None:
        super().begin(document)
        settings = self.context.settings
        self._rules = settings if isinstance(settings, CsvSettings) else CsvSettings()
        self._buffer = io.StringIO(newline="")
        # with "\r\n" the writer quotes a bare carriage return; with "\n" it would not (bpo-44861)
        self._writer = csv.writer(self._buffer, delimiter=self.delimiter, lineterminator="\r\n")
        if self._rules.bom:
            self.put("\ufeff")

    def write(self, record: Record) -> None:
        super().write(record)
        if self._buffer.tell() > _BLOCK:
            self._pass_on()

    def write_all(self, records: Iterable[Record]) -> None:
        buffer, delimiter, names = self._buffer, self.delimiter, dict[str | None, str | None]()
        for record in records:
            # a timed segment whose text stands as it is: the way of write(), shortened
            if (
                isinstance(record, Segment)
                and (text := record.text)
                and text[0].isalnum()
                and text.isprintable()
                and '"' not in text
                and delimiter not in text
                and record.start is not None
                and record.end is not None
                and self._columns is _OF_SEGMENTS
                and (name := self._name(record.speaker, names)) is not None
            ):
                buffer.write(
                    f"{record.start:.3f}{delimiter}{record.end:.3f}{delimiter}{name}"
                    f"{delimiter}{text}\r\n"
                )
                if buffer.tell() > _BLOCK:
                    self._pass_on()
            else:
                self.write(record)

    def _name(self, speaker: str | None, known: dict[str | None, str | None]) -> str | None:
        """Return a speaker's cell; None if it has to be quoted."""
        if speaker not in known:
            if len(known) >= _SPEAKERS:
                known.clear()
            cell = self._cell(speaker)
            known[speaker] = None if _QUOTED.search(cell) else cell
        return known[speaker]

    def row(self, cells: Sequence[Any], *, header: bool = False) -> None:
        self._writer.writerow([self._cell(cell) for cell in cells])

    def gap(self) -> None:
        self._buffer.write("\r\n")

    def seconds(self, value: float | None) -> Any:
        return None if value is None else f"{value:.3f}"

    def _cell(self, value: Any) -> Any:
        if isinstance(value, str):
            if not (value.isascii() and value.isprintable()):
                value = _DROPPED.sub("", value)
            return guarded(value) if self._rules.formula_guard else value
        if isinstance(value, float) or value is None:
            return shown(value)
        return integer(value) if isinstance(value, int) and not isinstance(value, bool) else value

    def _pass_on(self) -> None:
        self.put(self._buffer.getvalue())
        self._buffer.seek(0)
        self._buffer.truncate()

    def end(self) -> None:
        self._pass_on()


class TsvRenderer(CsvRenderer):
    """The same with tabs; cells that hold tabs, quotes or line breaks are quoted as in CSV."""

    format = "tsv"
    content_type = "text/tab-separated-values; charset=utf-8"
    delimiter = "\t"
