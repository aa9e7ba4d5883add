"""Words as glyphs, by HarfBuzz, and what draws them in the stream of a page."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..._common.extras import require
from .pdf_faces import Face, font_lock

Spot = tuple[int, int]
_SPACE, _NO_BREAK = 0x20, 0xA0


@dataclass(frozen=True, slots=True)
class Glyphs:
    """A shaped word; all measures are thousandths of its size.

    Attributes:
        chars: What ReportLab knows the glyphs by, from left to right.
        spots: Where each glyph stands, from the beginning of the word on the line of writing.
        widths: How far each moves the pen by itself.
        width: Of the word.
        clusters: The first of the characters that each glyph stands for.
    """

    chars: str
    spots: tuple[Spot, ...]
    widths: tuple[int, ...]
    width: float
    clusters: tuple[int, ...]


def shaped(text: str, face: Face) -> Glyphs:
    """Return ``text``, which is of one script and direction, as glyphs of ``face``."""
    # the font's map grows by glyphs that have no character: documents take turns
    with font_lock:
        font = _font(face.name)
        harfbuzz = font.harfbuzz
        buffer = harfbuzz.Buffer()
        buffer.cluster_level = harfbuzz.BufferClusterLevel.MONOTONE_CHARACTERS
        buffer.add_str(text)
        buffer.guess_segment_properties()
        buffer.language = "und"  # else that of this process: the same input gives the same bytes
        harfbuzz.shape(font.made, buffer)
        chars, spots, widths, clusters = list[str](), list[Spot](), list[int](), list[int]()
        pen, scale, known = 0, font.scale, font.known
        for info, at in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
            glyph = info.codepoint
            char, width = known.get(glyph) or font.named(glyph)
            chars.append(char)
            widths.append(width)
            clusters.append(info.cluster)
            spots.append((round((pen + at.x_offset) * scale), round(at.y_offset * scale)))
            pen += at.x_advance
    return Glyphs("".join(chars), tuple(spots), tuple(widths), pen * scale, tuple(clusters))


@lru_cache(maxsize=256)
def _font(name: str) -> "_Font":
    return _Font(name)


class _Font:
    """A registered font, as HarfBuzz has it, and what ReportLab calls its glyphs."""

    def __init__(self, name: str) -> None:
        # kept: to ask for a module costs as much as to shape a short word
        self.harfbuzz: Any = require("uharfbuzz", dist="exporter", extra="pdf")
        metrics = require("reportlab.pdfbase.pdfmetrics", dist="exporter", extra="pdf")
        self._font: Any = metrics.getFont(name)
        self.made: Any = self._font.hbFont()
        self.scale = 1000 / self.made.face.upem
        self.known: dict[int, tuple[str, int]] = {}

    def named(self, glyph: int) -> tuple[str, int]:
        """Return the character of a glyph, a private one if it has none, and its width."""
        face = self._font.face
        if glyph in face.glyphToChar:
            code = face.glyphToChar[glyph][0]
            code = _SPACE if code == _NO_BREAK else code  # ReportLab has one of the two
        else:
            # its own width, not that of the word in which it was met first
            width = self.made.get_glyph_h_advance(glyph) * self.scale
            code = self._font.hbAddPrivate(f"glyph {glyph}", glyph, width)
        found = self.known[glyph] = chr(code), round(face.charWidths[code])
        return found


def operators(glyphs: Glyphs, font: Any, canvas: Any, size: float) -> str:
    """Return what draws ``glyphs``; the font's subsets belong to the document of ``canvas``."""
    found, row = list[str](), list[str]()
    subset, rise, pen = -1, 0, 0
    held = bytearray()

    def flush() -> None:
        if held:
            row.append(f"({canvas._escape(bytes(held))})")  # noqa: SLF001  no public way
            held.clear()

    def end() -> None:
        flush()
        if row:
            found.append(f"[{' '.join(row)}] TJ" if len(row) > 1 else f"{row[0]} Tj")
            row.clear()

    codes = _codes(glyphs.chars, font, canvas._doc)  # noqa: SLF001  as above
    for code, (x, y), width in zip(codes, glyphs.spots, glyphs.widths, strict=True):
        if code >> 8 != subset:
            end()
            subset = code >> 8
            name = font.getSubsetInternalName(subset, canvas._doc)  # noqa: SLF001
            found.append(f"{name} {size:g} Tf")
        if y != rise:
            end()
            rise = y
            found.append(f"{y * size / 1000:.3f} Ts")
        if x != pen:
            flush()
            row.append(str(pen - x))
        held.append(code & 0xFF)
        pen = x + width
    end()
    return " ".join([*found, "0 Ts"] if rise else found)


def _codes(chars: str, font: Any, doc: Any) -> list[int]:
    """Return subset (the upper bits) and place of each character in a document's subsets."""
    try:
        given = font.state[doc].assignments
        return [given[ord(char)] for char in chars]
    except KeyError:
        font.splitString(chars, doc)  # makes room for what is new
        given = font.state[doc].assignments
        return [given.get(ord(char), 0) for char in chars]
