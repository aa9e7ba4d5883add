"""Markdown (CommonMark with GitHub's tables); user text stays text."""

import re
from collections.abc import Iterable

from ...documents import Citation, Document, Record, Row, Section, Segment, Table
from ...ports import Renderer
from ...presentation import Chapters, Speakers, facts_of, paragraphs, title_of
from ...texts import clean, line, shown, stamp

# one set of characters first, of which text has few, then what must stand around some of them
_INLINE = re.compile(
    r"[\\`*_\[\]<>|~$^{}!&:.@]"
    r"(?:(?<![!&:.@])|(?<=!)(?=\[)|(?<=&)(?=#?\w+;)|(?<=:)(?=//)|(?i:(?<=www\.))|(?<=\S@)(?=\S))"
)
_START = re.compile(r"^(?:[#+\-=:](?=\s|[-=#]|$)|\d{1,9}(?=[.)]))")


def escaped(text: str) -> str:
    """Return one line of ``text`` with everything escaped that Markdown would take for markup."""
    text = _INLINE.sub(r"\\\g<0>", text.strip())
    found = _START.match(text)
    if found is None:
        return text
    # "1." becomes "1\.", any other mark is escaped itself
    at = found.end() if found[0].isdigit() else 0
    return f"{text[:at]}\\{text[at:]}"


def _block(text: str, pad: str = "") -> str:
    """Return the lines of ``text`` as one paragraph with hard breaks."""
    lines = (escaped(part) for part in clean(text).split("\n"))
    return f"\\\n{pad}".join(part for part in lines if part)


class MarkdownRenderer(Renderer):
    """Headings, lists and tables."""

    format = "md"
    content_type = "text/markdown; charset=utf-8"

    def begin(self, document: Document) -> None:
        self._speakers, self._chapters = Speakers(), Chapters()
        self._citations, self._in_table = 0, False
        if not self.context.include_metadata:
            return
        self.put(f"# {escaped(title_of(document))}\n\n")
        if document.description:
            self.put(f"{escaped(line(document.description))}\n\n")
        rows = facts_of(document, self.context)
        self.put("".join(f"- **{escaped(label)}:** {escaped(value)}\n" for label, value in rows))
        self.put("\n")

    def write(self, record: Record) -> None:
        if self._in_table and not isinstance(record, Row):
            self.put("\n")
            self._in_table = False
        for chapter in self._chapters.before(record):
            self._section(chapter)
        if isinstance(record, Segment):
            self._segment(record)
        elif isinstance(record, Section):
            self._section(record)
        elif isinstance(record, Citation):
            self._citation(record)
        elif isinstance(record, Table):
            self._table(record)
        else:
            self.put(_line(shown(cell) for cell in record.cells))

    def _segment(self, record: Segment) -> None:
        moment, name = stamp(record.start), self._speakers.change(record)
        head = f"`{moment}` " if moment else ""
        who = f"**{escaped(name)}:** " if name else ""
        if body := head + who + _block(record.text):
            self.put(f"{body}\n\n")

    def _section(self, record: Section) -> None:
        self._speakers.forget()
        if title := line(record.title):
            self.put(f"{'#' * min(6, record.level + 1)} {escaped(title)}\n\n")
        self.put("".join(f"{_block(part)}\n\n" for part in paragraphs(record.text)))
        if record.bullets:
            self.put("".join(f"- {escaped(line(p))}\n" for p in record.bullets) + "\n")

    def _citation(self, record: Citation) -> None:
        self._citations += 1
        number = self._citations if record.number is None else record.number
        if self._citations == 1:
            self.put("## Sources\n\n")
        score = "" if record.score is None else f" ({record.score:.2f})"
        url = f"\\\n{escaped(line(record.url))}" if record.url else ""
        self.put(f"**\\[{number}\\] {escaped(line(record.title))}**{score}{url}\n\n")
        if record.text.strip():
            self.put(f"> {_block(record.text, '> ')}\n\n")

    def _table(self, record: Table) -> None:
        if title := line(record.title):
            self.put(f"## {escaped(title)}\n\n")
        self.put(_line(record.columns) + "|" + " --- |" * len(record.columns) + "\n")
        self._in_table = True

    def end(self) -> None:
        """Nothing follows."""


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(escaped(line(cell)) for cell in cells) + " |\n"
