"""Paragraphs of scripts whose letters join, stack or run from right to left, by HarfBuzz."""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, Final

from ..._common.extras import require
from .pdf_bidi import levels_of, mirrored, reordered
from .pdf_fonts import Face, FontStack
from .pdf_glyphs import Glyphs, operators, shaped

# Hebrew, Arabic, Syriac, …; Devanagari to Myanmar; Khmer; presentation forms; combining marks
_COMPLEX: Final = re.compile(
    "[\u0300-\u036f\u0590-\u109f\u1780-\u17ff\u1ab0-\u1aff\u1dc0-\u1dff\u200f\u20d0-\u20ff"
    "\ufb1d-\ufdff\ufe20-\ufe2f\ufe70-\ufefc]"
)
# a break may stand before and after an ideograph, but not before closing punctuation
_WORDS: Final = re.compile(
    "[ \u3000]+|[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]"
    "[\u3001\u3002\u300d\u300f\u3011\uff01\uff09\uff0c\uff1a\uff1b\uff1f]*"
    "|[^ \u3000\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]+"
)
_DIRECTION: Final = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def is_complex(text: str) -> bool:
    """Whether ``text`` has to be shaped or ordered."""
    if text.isascii() or _COMPLEX.search(text) is None:
        return False
    return _COMPLEX.search(unicodedata.normalize("NFC", text)) is not None


@dataclass(slots=True)
class Piece:
    """Characters of one word, font and level: as they are read, and as they are drawn.

    ``drawn`` is what needs no shaping, in the order of paper. ``told`` is what readers are told the
    glyphs mean, where they would not find it by themselves. ``code`` is what draws the piece in a
    page's stream, once it was needed: words come again.
    """

    text: str
    face: Face
    level: int
    width: float
    drawn: str = ""
    glyphs: Glyphs | None = None
    told: str = ""
    code: str = ""


@dataclass(slots=True)
class Line:
    """Pieces from left to right, and whether the paragraph is read from the right."""

    pieces: list[Piece]
    width: float
    rtl: bool


class Shaper:
    """Turns text into lines of pieces; one per document."""

    def __init__(self, fonts: FontStack) -> None:
        """Choose fonts with ``fonts``."""
        require("uharfbuzz", dist="exporter", extra="pdf")
        self._fonts, self.plain = fonts, fonts.regular.name
        self._known: dict[tuple[str, str, float, int], Piece] = {}

    def lines(self, text: str, size: float, width: float, *, bold: bool) -> list[Line]:
        """Return ``text`` broken into lines of at most ``width`` points."""
        found: list[Line] = []
        for paragraph in text.replace("\t", "    ").split("\n"):
            found += self._broken(paragraph, size, width, bold=bold)
        return found

    def _broken(self, text: str, size: float, width: float, *, bold: bool) -> Iterator[Line]:
        faces, chars = list[Face](), list[str]()
        for face, run in self._fonts.runs(text, bold=bold):
            faces += [face] * len(run)
            chars.append(run)
        text = "".join(chars)
        base, levels = levels_of(text)
        cuts = [] if len(chars) < 2 and levels == levels[:1] * len(text) else _cuts(faces, levels)
        line, used = list[Piece](), 0.0
        for word in _WORDS.finditer(text):
            start, end = word.span()
            inside = cuts[bisect_right(cuts, start) : bisect_left(cuts, end)]
            pieces = [
                self._piece(text[here:there], faces[here], levels[here], size)
                for here, there in pairwise((start, *inside, end))
            ]
            wide = sum([piece.width for piece in pieces])
            if used + wide > width and line and not word[0].isspace():
                yield _line(line, base)
                line, used = [], 0.0
            if wide > width:
                for part in self._cut(pieces, size, width):
                    if used + part.width > width and line:
                        yield _line(line, base)
                        line, used = [], 0.0
                    line.append(part)
                    used += part.width
            elif line or not word[0].isspace() or start == 0:
                line += pieces
                used += wide
        yield _line(line, base)

    def _cut(self, pieces: list[Piece], size: float, width: float) -> Iterator[Piece]:
        """Yield a word that is wider than a line in parts."""
        for piece in pieces:
            count = max(1, int(len(piece.text) * width / max(piece.width, 1) * 0.8))
            at = 0
            while at < len(piece.text):
                end = min(at + count, len(piece.text))
                while end < len(piece.text) and unicodedata.combining(piece.text[end]):
                    end += 1
                yield self._piece(piece.text[at:end], piece.face, piece.level, size)
                at = end

    def _piece(self, text: str, face: Face, level: int, size: float) -> Piece:
        key = (text, face.name, size, level)
        if (found := self._known.get(key)) is None:
            if len(self._known) > 50_000:
                self._known.clear()
            found = self._known[key] = self._made(text, face, level, size)
        return found

    def _made(self, text: str, face: Face, level: int, size: float) -> Piece:
        # by now it is composed, and what is composed needs no marks
        if _COMPLEX.search(text) is not None:
            glyphs = shaped(text, face)
            told = self._told(text, face, level, glyphs)
            return Piece(text, face, level, glyphs.width * size / 1000, glyphs=glyphs, told=told)
        drawn = _DIRECTION.sub("", text)
        drawn = mirrored(drawn) if level % 2 else drawn
        metrics = require("reportlab.pdfbase.pdfmetrics", dist="exporter", extra="pdf")
        return Piece(text, face, level, float(metrics.stringWidth(drawn, face.name, size)), drawn)

    def _told(self, text: str, face: Face, level: int, glyphs: Glyphs) -> str:
        """Return what those who copy the text are told that the word is; nothing if they see it.

        Readers find out by themselves what runs from right to left, but take marks that stand above
        and below their letter for words of their own. What they are told is in the order of paper:
        poppler turns it as it turns what it sees.
        """
        joined = self._remember(text, face, glyphs)
        if not level % 2:
            return text
        if not joined and not any(map(unicodedata.combining, text)):
            return ""
        # a mark at the edge of a word is taken for a part of what stands beside the word
        edge = "\u200f" if unicodedata.combining(text[-1]) else ""
        return f"{edge}{text[::-1]}"

    def _remember(self, text: str, face: Face, glyphs: Glyphs) -> bool:
        """Note what the glyphs without a character mean; return whether one means several."""
        if face.glyphs.issuperset(map(ord, glyphs.chars)):
            return False
        starts, joined = [*sorted(set(glyphs.clusters)), len(text)], False
        after = dict(pairwise(starts))
        seen = set[int]()
        for char, cluster in zip(glyphs.chars, glyphs.clusters, strict=True):
            if ord(char) not in face.glyphs:
                meaning = "\u200b" if cluster in seen else text[cluster : after[cluster]]
                self._fonts.meanings.setdefault((face.name, ord(char)), meaning)
                joined = joined or len(meaning) > 1
            seen.add(cluster)
        return joined


def _cuts(faces: Sequence[Face], levels: Sequence[int]) -> list[int]:
    """Return where the font or the level changes."""
    return [
        at
        for at in range(1, len(faces))
        if faces[at] is not faces[at - 1] or levels[at] != levels[at - 1]
    ]


def _line(pieces: list[Piece], base: int) -> Line:
    pieces = list(pieces)
    while pieces and pieces[-1].text.isspace():
        pieces.pop()
    ordered = reordered(pieces, [piece.level for piece in pieces])
    return Line(ordered, sum(piece.width for piece in pieces), bool(base))


@cache
def shaped_class() -> Any:
    """Return the flowable of shaped text; its base is imported lazily."""
    base: Any = require("reportlab.platypus.flowables", dist="exporter", extra="pdf").Flowable

    class Shaped(base):  # type: ignore[misc]  # its module is imported lazily
        """A paragraph; ``moment`` is a time drawn in the margin of its first line."""

        moment: tuple[str, str, Any, float] | None = None

        def __init__(self, shaper: Shaper, text: str, style: Any, *, bold: bool) -> None:
            super().__init__()
            self.shaper, self.text, self.style, self.bold = shaper, text, style, bold
            self.bullet = ""
            self.lines: list[Line] | None = None
            self._parted = False
            self._for = 0.0

        def wrap(self, width: float, _height: float) -> tuple[float, float]:
            if self.lines is None or not (self._parted or self._for == width):
                room = width - self.style.leftIndent
                self.lines = self.shaper.lines(self.text, self.style.fontSize, room, bold=self.bold)
                self._for = width
            self.width, self.height = width, len(self.lines) * self.style.leading
            return width, self.height

        def split(self, width: float, height: float) -> list[Any]:
            self.wrap(width, height)
            lines = self.lines or []
            count = int(height / self.style.leading + 1e-6)
            if count >= len(lines):
                return [self]
            count = len(lines) - 2 if len(lines) - count == 1 else count
            if count < 2:
                return []
            return [self._part(lines[:count], first=True), self._part(lines[count:], first=False)]

        def _part(self, lines: list[Line], *, first: bool) -> Any:
            part = Shaped(self.shaper, self.text, self.style, bold=self.bold)
            part.lines, part._parted = lines, True
            if first:
                part.moment, part.bullet = self.moment, self.bullet
            return part

        def draw(self) -> None:
            _draw(self)

    return Shaped


def _draw(made: Any) -> None:
    style, canvas = made.style, made.canv
    canvas.saveState()
    if made.moment is not None:
        text, font, colour, left = made.moment
        canvas.setFont(font, 8)
        canvas.setFillColor(colour)
        canvas.drawString(left, made.height - 10.4, text)
    canvas.setFillColor(style.textColor)
    # where a plain paragraph has its first line
    y = made.height - style.fontSize
    if made.bullet:
        rtl = made.lines[0].rtl
        canvas.setFont(made.shaper.plain, style.fontSize)
        edge = made.width - style.bulletIndent - 4 if rtl else style.bulletIndent
        canvas.drawString(edge, y, made.bullet)
    for line in made.lines:
        if line.rtl or style.alignment == 2:
            x = made.width - (style.leftIndent if line.rtl else 0.0) - line.width
        else:
            x = style.leftIndent
        _draw_line(canvas, style.fontSize, line, x, y)
        y -= style.leading
    canvas.restoreState()


def _draw_line(canvas: Any, size: float, line: Line, x: float, y: float) -> None:
    out = canvas.beginText()
    put = out._code.append  # noqa: SLF001  no public way, here and below
    for piece in line.pieces:
        piece.code = piece.code or _code(out, piece, size)
        put(f"1 0 0 1 {x:.3f} {y:.3f} Tm {piece.code}")
        x += piece.width
    canvas.drawText(out)


def _code(out: Any, piece: Piece, size: float) -> str:
    """Return the operators that draw ``piece``; its font's subsets belong to the document."""
    if piece.glyphs is None:
        out.setFont(piece.face.name, size)
        return str(out._formatText(piece.drawn))  # noqa: SLF001
    metrics = require("reportlab.pdfbase.pdfmetrics", dist="exporter", extra="pdf")
    drawn = operators(piece.glyphs, metrics.getFont(piece.face.name), out._canvas, size)  # noqa: SLF001
    if not piece.told:
        return drawn
    hexed = f"\ufeff{piece.told}".encode("utf-16-be").hex().upper()
    return f"/Span <</ActualText <{hexed}>>> BDC {drawn} EMC"
