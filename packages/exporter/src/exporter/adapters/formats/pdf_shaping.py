"""Paragraphs of scripts whose letters join, stack or run from right to left, by HarfBuzz."""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from ..._common.extras import require
from .pdf_bidi import levels_of, mirrored, reordered
from .pdf_faces import Face
from .pdf_fonts import FontStack
from .pdf_glyphs import Glyphs, shaped
from .pdf_ideographs import CLOSING, IDEOGRAPHS, OPENING

# Hebrew, Arabic, Syriac, …; Devanagari to Myanmar; Khmer; presentation forms; combining marks
_COMPLEX: Final = re.compile(
    "[\u0300-\u036f\u0590-\u109f\u1780-\u17ff\u1ab0-\u1aff\u1dc0-\u1dff\u200f\u20d0-\u20ff"
    "\ufb1d-\ufdff\ufe20-\ufe2f\ufe70-\ufefc]"
)
# a break may stand before and after an ideograph, but not beside what begins or ends no line
_SINGLE: Final = f"{IDEOGRAPHS}\uac00-\ud7af"
_WORDS: Final = re.compile(
    f"[ \u3000]+|[{OPENING}]{{0,8}}(?![\u3000{OPENING}])[{_SINGLE}][{CLOSING}]*"
    f"|[^ \u3000{_SINGLE}]+[{CLOSING}]*|."
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
    page's stream, once it was needed: words come again. ``space`` is whether nothing is seen of it.
    """

    text: str
    face: Face
    level: int
    width: float
    drawn: str = ""
    glyphs: Glyphs | None = None
    told: str = ""
    code: str = ""
    space: bool = False


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
        self.metrics: Any = require("reportlab.pdfbase.pdfmetrics", dist="exporter", extra="pdf")
        self._fonts, self.plain = fonts, fonts.regular.name
        self._known: dict[tuple[str, str, float, int], Piece] = {}

    def lines(self, text: str, size: float, width: float, *, bold: bool) -> list[Line]:
        """Return ``text`` broken into lines of at most ``width`` points."""
        found: list[Line] = []
        for paragraph in text.replace("\t", "    ").split("\n"):
            found += self._broken(paragraph, size, width, bold=bold)
        return found

    def _broken(self, text: str, size: float, width: float, *, bold: bool) -> Iterator[Line]:
        base, words = self._words(text, size, bold=bold)
        line, used, first = list[Piece](), 0.0, True
        for wide, pieces in words:
            space = pieces[0].space
            if used + wide > width and line and not space:
                yield _line(line, base)
                line, used = [], 0.0
            if wide > width:
                for part in self._cut(pieces, size, width):
                    if used + part.width > width and line:
                        yield _line(line, base)
                        line, used = [], 0.0
                    line.append(part)
                    used += part.width
            elif line or not space or first:
                line += pieces
                used += wide
            first = False
        yield _line(line, base)

    def _words(
        self, text: str, size: float, *, bold: bool
    ) -> tuple[int, Iterable[tuple[float, Sequence[Piece]]]]:
        """Return the direction of a paragraph, and its words with their widths."""
        face = self._fonts.one(text, bold=bold)
        runs = [(face, text)] if face else list(self._fonts.runs(text, bold=bold))
        text = "".join([run for _, run in runs])
        base, levels = levels_of(text)
        if len(runs) == 1 and levels == levels[:1] * len(text):
            # what most paragraphs are: words of one font and direction are pieces themselves
            face, level = runs[0][0], levels[0] if levels else base
            made = [self._piece(word, face, level, size) for word in _WORDS.findall(text)]
            return base, [(piece.width, (piece,)) for piece in made]
        return base, self._parted(text, runs, levels, size)

    def _parted(
        self, text: str, runs: Sequence[tuple[Face, str]], levels: Sequence[int], size: float
    ) -> Iterator[tuple[float, Sequence[Piece]]]:
        faces = [face for face, run in runs for _ in run]
        cuts = _cuts(faces, levels)
        for word in _WORDS.finditer(text):
            start, end = word.span()
            inside = cuts[bisect_right(cuts, start) : bisect_left(cuts, end)]
            pieces = [
                self._piece(text[here:there], faces[here], levels[here], size)
                for here, there in pairwise((start, *inside, end))
            ]
            yield sum([piece.width for piece in pieces]), pieces

    def _cut(self, pieces: Sequence[Piece], size: float, width: float) -> Iterator[Piece]:
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
        wide = float(self.metrics.stringWidth(drawn, face.name, size))
        return Piece(text, face, level, wide, drawn, space=text.isspace())

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
    while pieces and pieces[-1].space:
        pieces.pop()
    ordered = reordered(pieces, [piece.level for piece in pieces])
    return Line(ordered, sum([piece.width for piece in pieces]), bool(base))
