"""Paragraphs without markup, which most documents are made of, in a fifth of ReportLab's time.

Lines, spacing and operators of texts of one font are those of ReportLab's paragraphs: the bytes are
the same whichever of the two drew a text. Those would parse, copy and dispatch for each line what
is known beforehand.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..._common.extras import require
from .pdf_inks import Ink, Note, fill, number


class Line(NamedTuple):
    """Runs of one font each, and how many points spaces are narrower so that the line fits."""

    runs: Sequence[tuple[Ink, str]]
    narrower: float = 0.0


class Look(ABC):
    """What the texts of one style and font have in common; one per document."""

    def __init__(self, style: Any, note: Note, paragraph: Callable[[str, Any, str], Any]) -> None:
        """Set texts of ``style``, one of ReportLab's that is aligned to the left.

        ``paragraph`` makes ReportLab's paragraph of a text, a style and a time in the margin.
        """
        self.place = require("reportlab.lib.rl_accel", dist="exporter", extra="pdf").fp_str
        self.style, self.leading, self.indent = style, float(style.leading), style.leftIndent
        self.ink = Ink(style.fontName, style.fontSize, style.leading)
        self._note, self._paragraph = note, paragraph
        self._size, self._colour = style.fontSize, fill(style.textColor)

    @abstractmethod
    def lines(self, text: str, room: float) -> list[Line] | None:
        """Return ``text`` in lines of ``room`` points; None if a word is wider than that."""

    def ordinary(self, text: str, moment: str) -> Any:
        """Return ``text`` as a paragraph of ReportLab."""
        return self._paragraph(text, self.style, moment)

    def drawn(self, doc: Any, lines: Sequence[Line], height: float, moment: str) -> list[str]:
        """Return the operators that draw ``lines``, from their lower left corner."""
        code = self._note.drawn(moment, doc, height) if moment else []
        parts = [f"BT 1 0 0 1 {number(self.indent, height - self._size)} Tm"]
        chosen, subset = None, -1
        for runs, narrower in lines:
            if narrower:
                parts.append(f"{self.place(narrower)} Tw")
            for ink, text in runs:
                shown, subset = ink.shown(text, doc, subset if ink is chosen else -1)
                chosen = ink
                parts.append(shown)
            parts.append("T* 0 Tw" if narrower else "T*")
        parts.append("ET")
        return [*code, "q", self._colour, " ".join(parts), "Q"]


class Words(Look):
    """Texts of one font, in lines that are broken at spaces."""

    def __init__(self, style: Any, note: Note, paragraph: Callable[[str, Any, str], Any]) -> None:
        super().__init__(style, note, paragraph)
        self._space = self.ink.width(" ")
        self._shrink = style.spaceShrinkage * self._space

    def lines(self, text: str, room: float) -> list[Line] | None:
        width, space, shrink = self.ink.width, self._space, self._shrink
        found, row, used = list[Line](), list[str](), -space
        for word in text.split():
            wide = width(word)
            if wide > room:
                return None
            total = used + space + wide
            if total <= room + shrink * len(row) or not row:
                row.append(word)
                used = total
            else:
                found.append(self._line(row, room - used))
                row, used = [word], wide
        found.append(self._line(row, room - used))
        return found

    def _line(self, words: list[str], left: float) -> Line:
        # below zero: it fits only because spaces may shrink a little
        narrower = left / (len(words) - 1) if left <= -1e-8 and len(words) > 1 else 0.0
        return Line(((self.ink, " ".join(words)),), narrower)


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
        canvas._code += ["q", f"1 0 0 1 {self._look.place(x, y)} cm", *drawn, "Q"]  # noqa: SLF001  no public way
