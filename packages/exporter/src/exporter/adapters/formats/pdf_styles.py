"""The looks of a PDF's texts, and which of the ways of setting a paragraph each text takes."""

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from ..._common.extras import require
from ...texts import clean
from .pdf_fonts import FontStack
from .pdf_ideographs import Ideographs, has_ideographs
from .pdf_inks import NOTE_LINE, Note
from .pdf_pages import ACCENT, INK, SOFT
from .pdf_plain import Look, Plain, Words
from .pdf_shaped import shaped_class
from .pdf_shaping import Shaper, is_complex

GUTTER: Final = 54.0  # points: the margin in which times stand


class Styles:
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
        self._looks: dict[tuple[str, str, bool], Look] = {}
        self._note = Note(fonts.regular.name, self._colour(SOFT), -GUTTER, 8)
        point = self._known["bullet"]
        self._dot = Note(point.fontName, point.textColor, point.bulletIndent, point.fontSize)

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
        if not style.alignment and (not bullet or has_ideographs(text)):
            plain = self._plain(style, text, bullet, bold=bold)
            if plain is not None:
                return plain
        return self._paragraph(
            self._fonts.markup(text, bold=bold), style, bulletText=bullet or None
        )

    def timed(self, moment: str, text: str) -> Any:
        """Return ``text`` as a paragraph with a time in the margin of its first line."""
        if is_complex(text):
            shaped = self.paragraph("body", text)
            shaped.moment = self._note, moment
            return shaped
        style = self._known["body"]
        plain = self._plain(style, text, moment)
        return plain or self._ordinary(self._fonts.markup(text), style, moment)

    def _plain(
        self, style: Any, text: str, beside: str = "", *, bold: bool = False
    ) -> Plain | None:
        """Return ``text`` as a paragraph of ours; None if only ReportLab can set it.

        ``beside`` is a time in the margin, or the bullet of a text with ideographs.
        """
        if has_ideographs(text):
            look = self._look(style, "", bold=bold, make=self._of_ideographs)
        elif _is_line(text) and (face := self._fonts.one(text, bold=bold)) is not None:
            look = self._look(style, face.name, bold=bold, make=self._of_words)
        else:
            return None
        return Plain(look, text, beside)

    def _look(self, style: Any, font: str, *, bold: bool, make: Callable[..., Look]) -> Look:
        key = (style.name, font, bold)
        if (found := self._looks.get(key)) is None:
            found = self._looks[key] = make(style, font, bold=bold)
        return found

    def _of_words(self, style: Any, font: str, *, bold: bool) -> Look:
        if font != style.fontName:
            style = style.clone(f"{style.name} {font}", fontName=font)
        return Words(style, self._note, self._ordinary)

    def _of_ideographs(self, style: Any, _font: str, *, bold: bool) -> Look:
        note = self._dot if style.bulletIndent else self._note
        return Ideographs(style, note, self._ordinary, self._fonts, bold=bold)

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
    """Whether ``text`` has words, no markup, and nothing that breaks lines but spaces."""
    if not text.isprintable() or not text or text.isspace():
        return False
    return "&" not in text and "<" not in text and ">" not in text


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
                self.canv.drawString(-GUTTER, self.height - NOTE_LINE, text)
                self.canv.restoreState()
            super().draw()

    return Timed
