"""Plain text: as it would be printed."""

import textwrap

from ...documents import Citation, Document, Record, Row, Section, Segment, Table
from ...ports import Renderer
from ...presentation import Speakers, facts_of, paragraphs, title_of
from ...texts import clean, line, shown, stamp


class TextRenderer(Renderer):
    """Title block, then one paragraph a record."""

    format = "txt"
    content_type = "text/plain; charset=utf-8"

    def begin(self, document: Document) -> None:
        self._speakers, self._citations, self._columns = Speakers(), 0, tuple[str, ...]()
        if not self.context.include_metadata:
            return
        title = title_of(document)
        self.put(f"{title}\n{'=' * min(len(title), 78)}\n")
        for label, value in facts_of(document, self.context):
            self.put(f"{label}: {value}\n")
        if document.description:
            self.put(f"\n{textwrap.fill(line(document.description), 78)}\n")
        self.put("\n")

    def write(self, record: Record) -> None:
        if isinstance(record, Segment):
            self._segment(record)
        elif isinstance(record, Section):
            self._section(record)
        elif isinstance(record, Citation):
            self._citation(record)
        elif isinstance(record, Table):
            self._columns = tuple(line(name) for name in record.columns)
            title = line(record.title)
            self.put(f"\n{title}\n{'-' * min(len(title), 78)}\n" if title else "")
        else:
            self._row(record)

    def _segment(self, record: Segment) -> None:
        moment, name = stamp(record.start), self._speakers.change(record)
        head = f"[{moment}] " if moment else ""
        who = f"{name}: " if name else ""
        self.put(f"{head}{who}{clean(record.text)}\n")

    def _section(self, record: Section) -> None:
        self._speakers.forget()
        if title := line(record.title):
            rule = "=" if record.level == 1 else "-"
            self.put(f"\n{title}\n{rule * min(len(title), 78)}\n")
        self.put("".join(f"{part}\n\n" for part in paragraphs(record.text)))
        self.put("".join(f"- {line(point)}\n" for point in record.bullets))

    def _citation(self, record: Citation) -> None:
        self._citations += 1
        number = self._citations if record.number is None else record.number
        if self._citations == 1:
            self.put("\nSources\n-------\n")
        score = "" if record.score is None else f" ({record.score:.2f})"
        self.put(f"[{number}] {line(record.title)}{score}\n")
        self.put(f"    {line(record.url)}\n" if record.url else "")
        self.put("".join(f"    {part}\n" for part in clean(record.text).split("\n") if part))

    def _row(self, record: Row) -> None:
        if len(self._columns) == 2:
            left, right = (line(shown(cell)) for cell in record.cells)
            self.put(f"{left}: {right}\n")
            return
        for name, cell in zip(self._columns, record.cells, strict=True):
            self.put(f"{name}: {line(shown(cell))}\n")
        self.put("\n")

    def end(self) -> None:
        """Nothing follows."""
