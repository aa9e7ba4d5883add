"""PDF by ReportLab: paragraphs are laid out as they come, pages are kept compressed."""

from typing import Any

from ..._common.extras import require
from ...documents import Citation, Document, Record, Row, Section, Segment, Table
from ...ports import ByteSink, RenderContext, Renderer
from ...presentation import Chapters, Speakers, facts_of, paragraphs, title_of
from ...settings import PdfSettings
from ...texts import clean, line, shown, stamp
from .pdf_fonts import FontStack
from .pdf_pages import Pages
from .pdf_styles import GUTTER, Styles

_HELD = 600  # records held back until it is known whether the document gets a contents page
_CHUNK = 4000  # characters of one paragraph: splitting over pages takes quadratic time
_MAX_COLUMNS = 10


class PdfRenderer(Renderer):
    """Title block, contents, bookmarks, speakers in colour, time stamps, page i of n."""

    format = "pdf"
    content_type = "application/pdf"

    def __init__(self, sink: ByteSink, context: RenderContext) -> None:
        super().__init__(sink, context)
        settings = context.settings
        self._rules = settings if isinstance(settings, PdfSettings) else PdfSettings()
        require("reportlab", dist="exporter", extra="pdf")
        self._speakers, self._chapters = Speakers(), Chapters()
        self._fonts = FontStack(self._rules.fonts, context.report)
        self._styles = Styles(self._fonts)
        self._held: list[Record] | None = []
        self._characters = self._citations = self._heads = 0
        self._entries: list[tuple[int, str, str, int]] = []
        self._columns: tuple[str, ...] = ()
        self._cover = False

    def begin(self, document: Document) -> None:
        self._document = document
        title = title_of(document)
        header = self._styles.paragraph("header", title if len(title) < 110 else f"{title[:109]}…")
        self._pages = Pages(
            self.sink,
            size=self._rules.page_size,
            now=self.context.now,
            font=self._fonts.regular.name,
            title=title,
            header=header,
            check_size=self.check_size,
        )
        canvas = self._pages.canvas
        canvas._doc.meanings = self._fonts.meanings  # noqa: SLF001  for the fonts, at the end
        canvas.setAuthor(line(document.author or ""))
        canvas.setSubject(line(document.description or ""))
        canvas.setCreator("exporter")
        canvas.setProducer("exporter")
        canvas._doc.Catalog.Lang = _language(document)  # noqa: SLF001  no public way

    def write(self, record: Record) -> None:
        if self._held is None:
            self._draw(record)
            return
        self._held.append(record)
        if isinstance(record, Segment | Section | Citation):
            self._characters += len(record.text)
        if isinstance(record, Section) and record.title:
            self._heads += 1
        elif isinstance(record, Segment) and record.start is not None and record.start >= 600:
            self._heads = max(self._heads, int(record.start // 600))
        if len(self._held) >= _HELD or self._characters > 400_000:
            self._release()

    def _release(self) -> None:
        """Decide on a contents page and draw what was held back."""
        held, self._held = self._held or [], None
        long = len(held) >= 150 or self._characters > 9000
        self._cover = self.context.include_metadata and long and self._heads >= 3
        if self._cover:
            # title and contents are written last and moved to the front
            self._pages.headed = True
            self._chapters.from_start()
        elif self.context.include_metadata:
            self._title()
        for record in held:
            self._draw(record)

    def _title(self) -> None:
        place, styles = self._pages.place, self._styles
        place(styles.paragraph("title", title_of(self._document), bold=True))
        if self._document.description:
            place(styles.paragraph("description", line(self._document.description)), before=5)
        self._pages.y -= 9
        for label, value in facts_of(self._document, self.context):
            if self._pages.room < 30:
                self._pages.turn()
            # first the label: people who have the page read to them hear it in this order
            name = styles.paragraph("label", label)
            high = name.wrapOn(self._pages.canvas, 84, 30)[1]
            name.drawOn(self._pages.canvas, self._pages.left, self._pages.y - high)
            place(styles.paragraph("fact", value), indent=84)
        self._pages.y -= 12
        self._pages.line()
        self._pages.y -= 10

    def _draw(self, record: Record) -> None:
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
            self._row(record)

    def _segment(self, record: Segment) -> None:
        pages, styles = self._pages, self._styles
        if name := self._speakers.change(record):
            who = styles.paragraph("speaker", name, bold=True, colour=self._speakers.colour(name))
            pages.place(who, before=8, indent=GUTTER, keep=2.2 * styles.leading("body") + 4)
        moment, first = stamp(record.start), True
        for part in _pieces(record.text):
            before = 3.5 if first else 0.0
            if first and moment:
                # where the text begins is known only after it is placed, and its page may be gone
                words = styles.timed(moment, part)
            else:
                words = styles.paragraph("body", part)
            pages.place(words, before=before, indent=GUTTER)
            first = False

    def _section(self, record: Section) -> None:
        self._speakers.forget()
        if title := line(record.title):
            self._heading(record.level, title)
        for text in paragraphs(record.text):
            for part in _pieces(text):
                self._pages.place(self._styles.paragraph("body", part), before=4)
        for point in record.bullets:
            for index, part in enumerate(_pieces(line(point))):
                made = self._styles.paragraph("bullet", part, bullet="" if index else "•")
                self._pages.place(made, before=2.5)

    def _heading(self, level: int, title: str) -> None:
        name = f"heading{min(level, 3)}"
        made = self._styles.paragraph(name, title[:1000], bold=True)
        page, y = self._pages.place(made, before=16 if level == 1 else 11, keep=34)
        key = f"h{len(self._entries)}"
        self._pages.bookmark(key, title[:200], level - 1, y)
        self._entries.append((level, title, key, page))
        self._pages.y -= 3

    def _citation(self, record: Citation) -> None:
        self._citations += 1
        number = self._citations if record.number is None else record.number
        if self._citations == 1:
            self._heading(1, "Sources")
        score = "" if record.score is None else f"  ({record.score:.2f})"
        place, styles = self._pages.place, self._styles
        head = f"[{number}] {line(record.title)}{score}"
        place(styles.paragraph("strong", head, bold=True), before=7, keep=14)
        if record.url:
            place(styles.paragraph("quiet", line(record.url)), indent=14)
        for part in _pieces(record.text):
            place(styles.paragraph("quote", part), before=2, indent=14)

    def _table(self, record: Table) -> None:
        if title := line(record.title):
            self._heading(1, title)
        self._columns = tuple(line(name) for name in record.columns)
        count = max(1, len(self._columns))
        width = self._pages.width
        self._widths = [width * 0.3, width * 0.7] if count == 2 else [width / count] * count
        if count > _MAX_COLUMNS:
            self.context.report(f"tables of over {_MAX_COLUMNS} columns became lists")
        elif self._columns:
            self._table_head()

    def _table_head(self) -> None:
        pages = self._pages
        if pages.room < 48:
            pages.turn()
        cells = [self._styles.paragraph("head", name, bold=True) for name in self._columns]
        pages.row(cells, self._widths)

    def _row(self, record: Row) -> None:
        if not self._columns:
            return
        texts = [clean(shown(cell)) for cell in record.cells]
        if len(self._columns) > _MAX_COLUMNS:
            for name, text in zip(self._columns, texts, strict=False):
                for part in _pieces(f"{name}: {text}"):
                    self._pages.place(self._styles.paragraph("quote", part))
            self._pages.y -= 6
            return
        if self._pages.room < 30:
            self._pages.turn()
            self._table_head()
        cells = [self._styles.paragraph("cell", text) for text in texts]
        self._pages.row(cells, self._widths, overleaf=self._table_head)

    def end(self) -> None:
        if self._held is not None:
            self._release()
        moved = self._contents() if self._cover else 0
        self.pages = self._pages.finish(moved=moved)

    def _contents(self) -> int:
        """Write title and contents on pages of their own, which belong in front."""
        pages, styles = self._pages, self._styles
        pages.turn()
        first, pages.headed = pages.number, False
        self._title()
        pages.place(styles.paragraph("heading1", "Contents", bold=True), before=6)
        pages.y -= 4
        high, shown_levels = 16.0, [entry for entry in self._entries if entry[0] <= 3]
        on_first = max(1, int(pages.room // high))
        per_page = max(1, int((pages.top - pages.bottom) // high))
        rest = max(0, len(shown_levels) - on_first)
        moved = pages.number - first + 1 + -(-rest // per_page)
        for level, title, key, page in shown_levels:
            if pages.room < high:
                pages.turn()
            self._entry(level, title, key, page + moved, high)
        return pages.number - first + 1

    def _entry(self, level: int, title: str, key: str, page: int, high: float) -> None:
        pages, styles = self._pages, self._styles
        indent = 14.0 * (level - 1)
        room = pages.width - indent - 50
        text = styles.fitted("entry", title, room)
        text.wrapOn(pages.canvas, room, 30)
        text.drawOn(pages.canvas, pages.left + indent, pages.y - text.height)
        number = styles.paragraph("number", str(page))
        number.wrapOn(pages.canvas, 40, 30)
        number.drawOn(pages.canvas, pages.left + pages.width - 40, pages.y - number.height)
        box = (pages.left, pages.y - high + 2, pages.left + pages.width, pages.y + 1)
        pages.canvas.linkRect("", key, box, relative=0, thickness=0)
        pages.y -= high


def _language(document: Document) -> Any:
    objects = require("reportlab.pdfbase.pdfdoc", dist="exporter", extra="pdf")
    return objects.PDFString(line(document.language or "")[:35] or "und")


def _pieces(text: str) -> list[str]:
    """Return ``text`` cleaned, in pieces that ReportLab splits over pages in reasonable time."""
    text = clean(text).strip("\n")
    found: list[str] = []
    while len(text) > _CHUNK:
        cut = max(text.rfind(" ", 0, _CHUNK), text.rfind("\n", 0, _CHUNK))
        cut = cut if cut > _CHUNK // 2 else _CHUNK
        found.append(text[:cut])
        text = text[cut:].lstrip(" \n")
    return [*found, text] if text.strip() else found
