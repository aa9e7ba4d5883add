"""PDF by ReportLab: paragraphs are laid out as they come, pages are kept compressed."""

from collections.abc import Callable
from functools import cache
from typing import Any

from ..._common.extras import require
from ...documents import Citation, Document, Record, Row, Section, Segment, Table
from ...ports import ByteSink, RenderContext, Renderer
from ...presentation import Chapters, Speakers, facts_of, paragraphs, title_of
from ...settings import PdfSettings
from ...texts import clean, line, shown, stamp
from .pdf_fonts import FontStack
from .pdf_pages import ACCENT, INK, SOFT, Pages
from .pdf_plain import Look, Plain
from .pdf_shaping import Shaper, is_complex, shaped_class

_GUTTER = 54.0
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
        self._styles = _Styles(self._fonts)
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
            pages.place(who, before=8, indent=_GUTTER, keep=2.2 * styles.leading("body") + 4)
        moment, first = stamp(record.start), True
        for part in _pieces(record.text):
            before = 3.5 if first else 0.0
            if first and moment:
                # where the text begins is known only after it is placed, and its page may be gone
                words = styles.timed(moment, part)
            else:
                words = styles.paragraph("body", part)
            pages.place(words, before=before, indent=_GUTTER)
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
        else:
            self._table_head()

    def _table_head(self) -> None:
        pages = self._pages
        if pages.room < 48:
            pages.turn()
        cells = [self._styles.paragraph("head", name, bold=True) for name in self._columns]
        pages.row(cells, self._widths)

    def _row(self, record: Row) -> None:
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


class _Styles:
    """Makes paragraphs of the document's few looks."""

    def __init__(self, fonts: FontStack) -> None:
        lib = require("reportlab.lib.styles", dist="exporter", extra="pdf")
        flow = require("reportlab.platypus.paragraph", dist="exporter", extra="pdf")
        self._fonts, self._paragraph = fonts, flow.Paragraph
        colours = require("reportlab.lib.colors", dist="exporter", extra="pdf")
        # as objects: ReportLab reads a colour's text anew at each use
        self._colour = cache(colours.HexColor)
        self._shaper = Shaper(fonts)
        self._timed = _timed_class(flow.Paragraph, self._colour(SOFT))

        def style(name: str, size: float, leading: float, colour: str = INK, **more: Any) -> Any:
            heavy = more.pop("heavy", False)
            font = fonts.bold.name if heavy else fonts.regular.name
            return lib.ParagraphStyle(
                name, fontName=font, fontSize=size, leading=leading, textColor=self._colour(colour),
                splitLongWords=1, allowWidows=0, allowOrphans=0, **more,
            )  # fmt: skip

        made = (
            style("title", 21, 26, heavy=True),
            style("description", 11, 15.5, SOFT),
            style("label", 9, 13, SOFT),
            style("fact", 9, 13),
            style("header", 8, 10, SOFT),
            style("body", 10, 14.5),
            style("speaker", 10, 14, heavy=True),
            style("bullet", 10, 14.5, leftIndent=14, bulletIndent=3),
            style("heading1", 14.5, 18.5, ACCENT, heavy=True),
            style("heading2", 12, 16, ACCENT, heavy=True),
            style("heading3", 10.5, 14.5, ACCENT, heavy=True),
            style("strong", 10, 14.5, heavy=True),
            style("quiet", 8.5, 12, SOFT),
            style("quote", 9.5, 13.5, "#475467"),
            style("head", 8.5, 11.5, SOFT, heavy=True),
            style("cell", 9, 12.5),
            style("entry", 10, 14),
            style("number", 10, 14, SOFT, alignment=2),
        )
        self._known = {each.name: each for each in made}
        self._looks: dict[str, Look] = {}

    def leading(self, name: str) -> float:
        """Return the points from line to line."""
        return float(self._known[name].leading)

    def paragraph(
        self, name: str, text: str, *, bold: bool = False, colour: str = "", bullet: str = ""
    ) -> Any:
        """Return ``text`` as a paragraph."""
        style = self._known[name]
        if colour:
            if (known := self._known.get(f"{name} {colour}")) is None:
                known = style.clone(f"{name} {colour}", textColor=self._colour(f"#{colour}"))
                self._known[f"{name} {colour}"] = known
            style = known
        text = clean(text)
        if is_complex(text):
            made = shaped_class()(self._shaper, text, style, bold=bold)
            made.bullet = bullet
            return made
        markup = self._fonts.markup(text, bold=bold)
        if markup == text and not bullet and not style.alignment and _is_line(text):
            return Plain(self._look(style), text)
        return self._paragraph(markup, style, bulletText=bullet or None)

    def timed(self, moment: str, text: str) -> Any:
        """Return ``text`` as a paragraph with a time in the margin of its first line."""
        if is_complex(text):
            shaped = self.paragraph("body", text)
            shaped.moment = (moment, self._fonts.regular.name, self._colour(SOFT), -_GUTTER)
            return shaped
        markup, style = self._fonts.markup(text), self._known["body"]
        if markup == text and _is_line(text):
            return Plain(self._look(style), text, moment)
        return self._ordinary(markup, style, moment)

    def _look(self, style: Any) -> Look:
        if (found := self._looks.get(style.name)) is None:
            soft = self._colour(SOFT)
            found = self._looks[style.name] = Look(style, self._ordinary, soft, -_GUTTER)
        return found

    def _ordinary(self, markup: str, style: Any, moment: str) -> Any:
        if not moment:
            return self._paragraph(markup, style)
        made = self._timed(markup, style)
        made.moment = (moment, self._fonts.regular.name)
        return made

    def fitted(self, name: str, text: str, room: float) -> Any:
        """Return ``text`` as a paragraph of one line, shortened to ``room`` points."""
        metrics = require("reportlab.pdfbase.pdfmetrics", dist="exporter", extra="pdf")
        size = self._known[name].fontSize
        widths: Callable[[str], float] = lambda part: sum(  # noqa: E731  used twice, here only
            metrics.stringWidth(run, face.name, size) for face, run in self._fonts.runs(part)
        )
        text = clean(text)[:300]
        if widths(text) > room:
            while text and widths(f"{text}…") > room:
                text = text[: max(0, int(len(text) * 0.97) - 1)]
            text = f"{text.rstrip()}…"
        return self.paragraph(name, text)


def _is_line(text: str) -> bool:
    """Whether ``text`` has words, and nothing that breaks lines but spaces."""
    return text.isprintable() and bool(text) and not text.isspace()


def _timed_class(base: Any, soft: Any) -> Any:
    class Timed(base):  # type: ignore[misc]  # its module is imported lazily
        """A paragraph that draws its time beside the first line, and only there."""

        moment: tuple[str, str] | None = None

        def split(self, width: float, height: float) -> Any:
            parts = super().split(width, height)
            if len(parts) > 1:
                parts[0].moment = self.moment
            return parts

        def draw(self) -> None:
            if self.moment is not None:
                text, font = self.moment
                self.canv.saveState()
                self.canv.setFont(font, 8)
                self.canv.setFillColor(soft)
                self.canv.drawString(-_GUTTER, self.height - 10.4, text)
                self.canv.restoreState()
            super().draw()

    return Timed
