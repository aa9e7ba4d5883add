"""Texts of Chinese and Japanese, of as many fonts as they take: broken between ideographs.

Sources: Unicode Standard Annex 14, "Unicode Line Breaking Algorithm", classes ID, CL, CP, NS, CJ
and OP; W3C, "Requirements for Japanese Text Layout", 3.1.7 and 3.1.8 (what begins or ends no line).
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Final
from unicodedata import is_normalized

from .pdf_faces import Face
from .pdf_fonts import FontStack, joins
from .pdf_inks import Ink, Note
from .pdf_plain import Line, Look

# As the inside of a class. Hangul is not among them: Korean is broken at spaces.
IDEOGRAPHS: Final = (
    "\u2e80-\u312f\u3190-\u9fff\uf900-\ufaff\uff01-\uff9f\uffe0-\uffe6\U00020000-\U0003ffff"
)
CLOSING: Final = (
    "\u3001\u3002\u3009\u300b\u300d\u300f\u3011\u3015\u3017\u3019\u301b\u301e\u301f\uff01\uff05"
    "\uff09\uff0c\uff0e\uff1a\uff1b\uff1f\uff3d\uff5d\uff60\uff61\uff63\uff64"
    # small kana, marks of repetition and length, middle dots
    "\u3005\u301c\u303b\u3041\u3043\u3045\u3047\u3049\u3063\u3083\u3085\u3087\u308e\u3095\u3096"
    "\u3099-\u309e\u30a0\u30a1\u30a3\u30a5\u30a7\u30a9\u30c3\u30e3\u30e5\u30e7\u30ee\u30f5\u30f6"
    "\u30fb-\u30fe\u31f0-\u31ff\uff65\uff67-\uff70\uff9e\uff9f"
    "!,.:;?)}\u2019\u201d\u2025\u2026\u2014\u00b7\u00bb%\u2030\u2032\u2033\u2103"
    "\ufe00-\ufe0f\U000e0100-\U000e01ef"
)
OPENING: Final = (
    "\u3008\u300a\u300c\u300e\u3010\u3014\u3016\u3018\u301a\u301d\uff08\uff3b\uff5b\uff5f\uff62"
    "({\u2018\u201c\u00ab"
)
_IDEOGRAPH: Final = re.compile(f"[{IDEOGRAPHS}]")
_SPACES: Final = " \u3000"
_CLOSES: Final = re.compile(f"[{CLOSING}\\]]")
_OPENS: Final = re.compile(f"[{OPENING}\\[]")


def has_ideographs(text: str) -> bool:
    """Whether ``text`` is of those that this module sets."""
    if text.isascii() or _IDEOGRAPH.search(text) is None:
        return False
    return text.isprintable() or text.replace("\n", "").replace("\u3000", "").isprintable()


class Ideographs(Look):
    """Texts that are broken between ideographs, and at spaces."""

    def __init__(
        self,
        style: Any,
        note: Note,
        paragraph: Callable[[str, Any, str], Any],
        fonts: FontStack,
        *,
        bold: bool,
    ) -> None:
        """Set texts of ``style`` in what ``fonts`` has."""
        super().__init__(style, note, paragraph)
        self._fonts, self._bold = fonts, bold
        self._inks: dict[str, Ink] = {style.fontName: self.ink}
        # widths of characters that the font met first has, whatever follows them
        self._main, self._known = self.ink, dict[int, float]()

    def lines(self, text: str, room: float) -> list[Line]:
        found = list[Line]()
        for part in text.split("\n"):
            # the spaces of Latin letters count once; ideographic ones are also an indent
            words = " ".join(filter(None, part.split(" "))) if " " in part else part
            found += self._broken(*self._measured(words), room)
        return found

    def _measured(self, text: str) -> tuple[Sequence[tuple[Ink, str]], list[float]]:
        """Return the runs of a text and the width of each of its characters."""
        codes = list(map(ord, text))
        try:
            # most texts have but characters that stood in a text of one font before
            widths = list(map(self._known.__getitem__, codes))
        except KeyError:
            return self._chosen(text, codes)
        if not is_normalized("NFC", text):
            return self._chosen(text, codes)
        return ((self._main, text),), widths

    def _chosen(
        self, text: str, codes: Sequence[int]
    ) -> tuple[Sequence[tuple[Ink, str]], list[float]]:
        if face := self._fonts.one(text, bold=self._bold):
            ink = self._ink(face)
            widths = ink.widths(codes)
            self._main = self._main if self._known else ink
            if ink is self._main:
                pairs = zip(codes, widths, strict=True)
                self._known.update({c: wide for c, wide in pairs if not joins(chr(c))})
            return ((ink, text),), widths
        runs = [(self._ink(face), run) for face, run in self._fonts.runs(text, bold=self._bold)]
        return runs, [wide for ink, run in runs for wide in ink.widths(list(map(ord, run)))]

    def _broken(
        self, inked: Sequence[tuple[Ink, str]], widths: list[float], room: float
    ) -> Iterator[Line]:
        text = inked[0][1] if len(inked) == 1 else "".join([run for _, run in inked])
        edges = [0, *accumulate([len(run) for _, run in inked])]
        ends, start, count = [0.0, *accumulate(widths)], 0, len(text)
        while (limit := ends[start] + room + 1e-6) < ends[count]:
            stop = _break(text, start, bisect_right(ends, limit, start) - 1)
            yield _cut(inked, edges, text, (start, stop))
            start = stop
            while start < count and text[start] in _SPACES:
                start += 1
        if start < count or not start:
            yield _cut(inked, edges, text, (start, count))

    def _ink(self, face: Face) -> Ink:
        if (found := self._inks.get(face.name)) is None:
            found = self._inks[face.name] = Ink(face.name, self._size, self.leading)
        return found


def _break(text: str, start: int, stop: int) -> int:
    """Return where a line from ``start`` ends that has no room for what follows ``stop``."""
    for at in range(stop, start, -1):
        if _may_end(text, at):
            return at
    return max(stop, start + 1)


def _may_end(text: str, at: int) -> bool:
    """Whether a line may end before the character ``at``; spaces there are of neither line."""
    before, after, last = at - 1, at, len(text) - 1
    while before and text[before] in _SPACES:
        before -= 1
    while after < last and text[after] in _SPACES:
        after += 1
    pair = text[before], text[after]
    if _OPENS.match(pair[0]) or _CLOSES.match(pair[1]):
        return False
    return after - before > 1 or any(map(_IDEOGRAPH.match, pair))


def _cut(
    runs: Sequence[tuple[Ink, str]], edges: Sequence[int], text: str, bounds: tuple[int, int]
) -> Line:
    """Return a line without the spaces at its end, of the runs that begin at ``edges``."""
    start, stop = bounds
    shown = text[start:stop].rstrip(_SPACES)
    if len(runs) == 1:
        return Line(((runs[0][0], shown),) if shown else ())
    found, stop = list[tuple[Ink, str]](), start + len(shown)
    at = bisect_right(edges, start) - 1
    while start < stop:
        end = min(edges[at + 1], stop)
        found.append((runs[at][0], text[start:end]))
        start, at = end, at + 1
    return Line(found)
