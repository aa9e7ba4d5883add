"""Paragraphs of shaped text on a page, where and as high as plain ones."""

from functools import cache
from typing import Any

from ..._common.extras import require
from .pdf_glyphs import operators
from .pdf_inks import Note, fill
from .pdf_shaping import Line, Piece, Shaper


@cache
def shaped_class() -> Any:
    """Return the flowable of shaped text; its base is imported lazily."""
    base: Any = require("reportlab.platypus.flowables", dist="exporter", extra="pdf").Flowable

    class Shaped(base):  # type: ignore[misc]  # its module is imported lazily
        """A paragraph; ``moment`` is a time drawn in the margin of its first line."""

        moment: tuple[Note, str] | None = None

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
    code = canvas._code  # noqa: SLF001  no public way, here and below
    code.append("q")
    if made.moment is not None:
        note, text = made.moment
        code += note.drawn(text, canvas._doc, made.height)  # noqa: SLF001
    code.append(fill(style.textColor))
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
        code.append(_line_code(made, line, x, y))
        y -= style.leading
    code.append("Q")


def _line_code(made: Any, line: Line, x: float, y: float) -> str:
    parts, at = ["BT 1 0 0 1 0 0 Tm"], f" {y:.3f} Tm "
    for piece in line.pieces:
        piece.code = piece.code or _code(made, piece)
        parts.append(f"1 0 0 1 {x:.3f}{at}{piece.code}")
        x += piece.width
    return f"{' '.join(parts)} ET"


def _code(made: Any, piece: Piece) -> str:
    """Return the operators that draw ``piece``; its font's subsets belong to the document."""
    canvas, size = made.canv, made.style.fontSize
    if piece.glyphs is None:
        out = canvas.beginText()
        out.setFont(piece.face.name, size)
        return str(out._formatText(piece.drawn))  # noqa: SLF001
    font = made.shaper.metrics.getFont(piece.face.name)
    drawn = operators(piece.glyphs, font, canvas, size)
    if not piece.told:
        return drawn
    hexed = f"\ufeff{piece.told}".encode("utf-16-be").hex().upper()
    return f"/Span <</ActualText <{hexed}>>> BDC {drawn} EMC"
