"""A font in one size: how wide texts are in it, and what shows them in the stream of a page."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any, Final

from ..._common.extras import require

_KNOWN, _LONG = 20_000, 40
NOTE_LINE: Final = 10.0  # points from the top of a paragraph to its first line: the text's size
_ESCAPES: Final = {
    **{code: f"\\{code:03o}" for code in (*range(32), *range(127, 256))},
    **{ord(char): f"\\{char}" for char in "\\()"},
}


class Ink:
    """Measures and shows texts; one per document, font and size."""

    def __init__(self, font: str, size: float, leading: float) -> None:
        """Use the registered ``font``; both measures are points."""
        metrics = require("reportlab.pdfbase.pdfmetrics", dist="exporter", extra="pdf")
        self._font: Any = metrics.getFont(font)
        self._size = size
        self._tail = f"{number(size)} Tf {number(leading)} TL"
        self._words: dict[str, float] = {}
        self._chars: dict[int, float] = {}
        self._doc: Any = None
        self._ascii = ""
        # by code: numbers are looked up twice as fast as characters, which are made anew each time
        self._places: dict[int, int] = {}
        self._codes: dict[int, str] = {}
        self._names: dict[int, str] = {}

    def width(self, word: str) -> float:
        """Return the width of a word, which may come again, in points."""
        if (wide := self._words.get(word)) is None:
            wide = float(self._font.stringWidth(word, self._size))
            if len(word) < _LONG:
                if len(self._words) >= _KNOWN:
                    self._words.clear()
                self._words[word] = wide
        return wide

    def widths(self, codes: Sequence[int]) -> list[float]:
        """Return the width of each character."""
        known = self._chars
        for code in set(codes) - known.keys():
            known[code] = float(self._font.stringWidth(chr(code), self._size))
        return list(map(known.__getitem__, codes))

    def shown(self, text: str, doc: Any, subset: int) -> tuple[str, int]:
        """Return what shows ``text`` while ``subset`` of the font is chosen, and what is then.

        A font has a subset for each 256 characters that a document uses; -1 is none.
        """
        if doc is not self._doc:
            self._begin(doc)
        if text.isascii() and (name := self._ascii):
            if "(" in text or ")" in text or "\\" in text:
                text = text.translate(_ESCAPES)
            return (f"({text}) Tj" if subset == 0 else f"{name} {self._tail} ({text}) Tj"), 0
        codes = list(map(ord, text))
        try:
            return self._switched(codes, subset)
        except KeyError:
            self._learn(codes)
        return self._switched(codes, subset)

    def _switched(self, codes: Sequence[int], subset: int) -> tuple[str, int]:
        found, code = list[str](), self._codes.__getitem__
        for number, run in groupby(codes, self._places.__getitem__):
            if number != subset:
                subset = number
                found.append(self._names[number])
            found.append(f"({''.join(map(code, run))}) Tj")
        return " ".join(found), subset

    def _begin(self, doc: Any) -> None:
        """Find the font's subset in which ASCII has its own codes; there may be none."""
        self._doc = doc
        self._places.clear()
        self._codes.clear()
        self._names.clear()
        self._font.splitString(" ", doc)
        given = self._font.state[doc].assignments
        own = all(given.get(code) == code for code in range(32, 127))
        self._ascii = str(self._font.getSubsetInternalName(0, doc)) if own else ""

    def _learn(self, codes: Sequence[int]) -> None:
        """Give the characters places in the font's subsets, in the order of the text."""
        for code in dict.fromkeys(codes):
            ((number, data),) = self._font.splitString(chr(code), self._doc)
            if number not in self._names:
                name = self._font.getSubsetInternalName(number, self._doc)
                self._names[number] = f"{name} {self._tail}"
            self._places[code] = number
            self._codes[code] = data.decode("latin-1").translate(_ESCAPES)


@lru_cache(maxsize=256)
def number(*values: float) -> str:
    """Return what writes values that come again, like ReportLab does."""
    write = require("reportlab.lib.rl_accel", dist="exporter", extra="pdf").fp_str
    return str(write(*values))


def fill(colour: Any) -> str:
    """Return what chooses one of ReportLab's colours."""
    return f"{number(colour.red, colour.green, colour.blue)} rg"


class Note:
    """How times and bullets look, which stand beside the line on which a text begins."""

    def __init__(self, font: str, colour: Any, left: float, size: float) -> None:
        """Begin at ``left`` of the paragraph; both measures are points."""
        self._ink = Ink(font, size, size * 1.2)
        self._colour, self._left = fill(colour), number(left)

    def drawn(self, moment: str, doc: Any, height: float) -> list[str]:
        """Return the operators that draw ``moment`` beside a paragraph of that height."""
        shown, _ = self._ink.shown(moment, doc, -1)
        at = number(height - NOTE_LINE)
        return ["q", self._colour, f"BT 1 0 0 1 {self._left} {at} Tm {shown} T* ET", "Q"]
