"""Paragraphs of one font without markup, which most documents are made of, in a tenth of the time.

Lines, spacing and operators are those of ReportLab's paragraphs: the bytes are the same whichever
of the two drew a text. Those would parse, copy and dispatch for each line what is known beforehand.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from ..._common.extras import require

_KNOWN, _LONG = 20_000, 40
_ESCAPES: Final = {
    **{code: f"\\{code:03o}" for code in (*range(32), *range(127, 256))},
    **{ord(char): f"\\{char}" for char in "\\()"},
}
_NOTES = 8  # points: the size of a time in the margin
# A line, and how many points its spaces are narrower so that it fits.
Line = tuple[str, float]


class Look:
    """What the texts of one style have in common; one per document."""

    def __init__(
        self, style: Any, paragraph: Callable[[str, Any, str], Any], soft: Any, margin: float
    ) -> None:
        """Set texts of ``style``.

        Args:
            style: ReportLab's style, aligned to the left.
            paragraph: Makes ReportLab's paragraph of a text, a style and a time in the margin.
            soft: The colour of a time in the margin.
            margin: Where it begins, from the left of the text.
        """
        metrics = require("reportlab.pdfbase.pdfmetrics", dist="exporter", extra="pdf")
        self.number = require("reportlab.lib.rl_accel", dist="exporter", extra="pdf").fp_str
        self.style, self.leading, self.indent = style, float(style.leading), style.leftIndent
        self._paragraph, self._size = paragraph, style.fontSize
        self._font: Any = metrics.getFont(style.fontName)
        self._name: str | None = None
        self._space = self._width(" ")
        self._shrink = style.spaceShrinkage * self._space
        self._widths: dict[str, float] = {}
        self._colour, self._soft = self._fill(style.textColor), self._fill(soft)
        self._margin = self.number(margin)
        self._tail = f"{self.number(self._size)} Tf {self.number(style.leading)} TL"
        self._small = f"{self.number(_NOTES)} Tf {self.number(_NOTES * 1.2)} TL"

    def ordinary(self, text: str, moment: str) -> Any:
        """Return ``text`` as a paragraph of ReportLab."""
        return self._paragraph(text, self.style, moment)

    def _width(self, text: str) -> float:
        return float(self._font.stringWidth(text, self._size))

    def _fill(self, colour: Any) -> str:
        return f"{self.number(colour.red, colour.green, colour.blue)} rg"

    def lines(self, text: str, room: float) -> list[Line] | None:
        """Return ``text`` in lines of ``room`` points; None if a word is wider than that."""
        known, space, shrink = self._widths, self._space, self._shrink
        found, row, used = list[Line](), list[str](), -space
        for word in text.split():
            if (wide := known.get(word)) is None:
                wide = self._measured(word)
            if wide > room:
                return None
            total = used + space + wide
            if total <= room + shrink * len(row) or not row:
                row.append(word)
                used = total
            else:
                found.append(_line(row, room - used))
                row, used = [word], wide
        found.append(_line(row, room - used))
        return found

    def _measured(self, word: str) -> float:
        wide = self._width(word)
        if len(word) < _LONG:
            if len(self._widths) >= _KNOWN:
                self._widths.clear()
            self._widths[word] = wide
        return wide

    def drawn(self, doc: Any, lines: Sequence[Line], height: float, moment: str) -> list[str]:
        """Return the operators that draw ``lines``, from their lower left corner."""
        number, code = self.number, list[str]()
        if moment:
            at = number(height - 10.4)
            time, _ = self._shown(moment, doc, self._small, -1)
            code += ["q", self._soft, f"BT 1 0 0 1 {self._margin} {at} Tm {time} T* ET", "Q"]
        parts, subset = [f"BT 1 0 0 1 {number(self.indent, height - self._size)} Tm"], -1
        for text, narrower in lines:
            shown, subset = self._shown(text, doc, self._tail, subset)
            if narrower:
                parts += [f"{number(narrower)} Tw", f"{shown} T*", "0 Tw"]
            else:
                parts.append(f"{shown} T*")
        parts.append("ET")
        return [*code, "q", self._colour, " ".join(parts), "Q"]

    def _of_ascii(self, doc: Any) -> str:
        """Return the font's subset in which ASCII has its own codes; nothing if there is none."""
        name = self._name
        if name is None:
            self._font.splitString(" ", doc)
            given = self._font.state[doc].assignments
            own = all(given.get(code) == code for code in range(32, 127))
            name = self._name = str(self._font.getSubsetInternalName(0, doc)) if own else ""
        return name

    def _shown(self, text: str, doc: Any, tail: str, subset: int) -> tuple[str, int]:
        """Return what shows ``text`` while ``subset`` of the font is chosen, and what is then."""
        if text.isascii() and (name := self._of_ascii(doc)):
            if "(" in text or ")" in text or "\\" in text:
                text = text.translate(_ESCAPES)
            return (f"({text}) Tj" if subset == 0 else f"{name} {tail} ({text}) Tj"), 0
        found = list[str]()
        for number, data in self._font.splitString(text, doc):
            if number != subset:
                subset = number
                found.append(f"{self._font.getSubsetInternalName(number, doc)} {tail}")
            found.append(f"({data.decode('latin-1').translate(_ESCAPES)}) Tj")
        return " ".join(found), subset


def _line(words: list[str], left: float) -> Line:
    # below zero: it fits only because spaces may shrink a little
    return " ".join(words), left / (len(words) - 1) if left <= -1e-8 and len(words) > 1 else 0.0


class Plain:
    """A paragraph; what places it treats it like one of ReportLab's."""

    def __init__(self, look: Look, text: str, moment: str = "") -> None:
        """Set ``text`` as ``look`` says, with the time ``moment`` beside its first line."""
        self._look, self._text, self._moment = look, text, moment
        self._lines: list[Line] = []
        self._room, self._parted = -1.0, False
        # breaks words that are wider than a line
        self._ordinary: Any = None
        self.width = self.height = 0.0

    @property
    def style(self) -> Any:
        """ReportLab's style."""
        return self._look.style

    def wrapOn(self, canvas: Any, width: float, height: float) -> tuple[float, float]:  # noqa: N802  ReportLab's name, here and below
        """Lay it out in ``width`` points; return the points that it takes."""
        room = width - self._look.indent
        if self._room != room and not self._parted:
            lines = self._look.lines(self._text, room)
            self._room, self._lines, self._ordinary = room, lines or [], None
            if lines is None:
                self._ordinary = self._look.ordinary(self._text, self._moment)
        if self._ordinary is not None:
            self.width, self.height = self._ordinary.wrapOn(canvas, width, height)
        else:
            self.width, self.height = width, len(self._lines) * self._look.leading
        return self.width, self.height

    def splitOn(self, canvas: Any, width: float, height: float) -> list[Any]:  # noqa: N802
        """Return two parts of which the first fits into ``height``; none if it cannot be parted.

        Two lines at least stand together, before the end of a page and behind it.
        """
        if self._ordinary is not None:
            return list(self._ordinary.splitOn(canvas, width, height))
        fits, count = int(height / self._look.leading), len(self._lines)
        if fits > 1 and count <= fits:
            return [self]
        if count == fits + 1:
            fits = fits - 1 if count > 3 else 0
        if fits <= 1:
            return []
        return [self._part(self._lines[:fits], self._moment), self._part(self._lines[fits:], "")]

    def _part(self, lines: list[Line], moment: str) -> "Plain":
        made = Plain(self._look, "", moment)
        made._lines, made._parted = lines, True
        return made

    def drawOn(self, canvas: Any, x: float, y: float) -> None:  # noqa: N802
        """Draw it with its lower left corner at ``x``, ``y``."""
        if self._ordinary is not None:
            self._ordinary.drawOn(canvas, x, y)
            return
        drawn = self._look.drawn(canvas._doc, self._lines, self.height, self._moment)  # noqa: SLF001
        canvas._code += ["q", f"1 0 0 1 {self._look.number(x, y)} cm", *drawn, "Q"]  # noqa: SLF001  no public way
