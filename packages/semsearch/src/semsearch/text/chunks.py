"""Long texts in parts, by sentences. Linear in the length of the text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import ConfigurationError
from .highlights import SENTENCE

_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Chunker:
    """Cuts texts into parts of whole sentences; a subclass may cut them otherwise.

    Attributes:
        size: Words of a part at most, 20 to 10,000; shorter texts are not cut. A sentence that is
            longer is cut between words.
        overlap: Words at the end of a part that stand in the next one again, as whole sentences;
            less than half of ``size``.
        most: Parts of a text at most, 2 to 1000: very long texts are cut into larger parts.
    """

    size: int = 200
    overlap: int = 20
    most: int = 64

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        for name in ("size", "overlap", "most"):
            if not isinstance(getattr(self, name), int):
                raise ConfigurationError(f"{name} must be an int, not {getattr(self, name)!r}")
        if not 20 <= self.size <= 10_000 or not 0 <= 2 * self.overlap < self.size:
            raise ConfigurationError(
                "size must be 20 to 10,000 words and overlap less than half of it, not "
                f"{self.size!r} and {self.overlap!r}"
            )
        if not 2 <= self.most <= 1000:
            raise ConfigurationError(f"most must be 2 to 1000, not {self.most!r}")

    def spans(self, text: str) -> tuple[tuple[int, int], ...]:
        """Return the parts of ``text`` in order, together all of it; none if it is short."""
        if len(text) <= self.size:  # a word has a character at least, and a space follows
            return ()
        words = len(text.split())
        if words <= self.size:
            return ()
        step = self.size - self.overlap
        size = max(self.size, -(-words * self.size // (step * (self.most - 1))))
        return tuple(self._joined(_pieces(text, size), size, len(text)))

    def _joined(self, pieces: list[tuple[int, int]], size: int, end: int) -> list[tuple[int, int]]:
        """Join pieces (where they begin, how many words they have) to parts."""
        made: list[tuple[int, int]] = []
        first = total = 0
        for number, (start, words) in enumerate(pieces):
            if total and total + words > size:
                made.append((pieces[first][0], start))
                first, total = number, 0
                while first > 0 and total + pieces[first - 1][1] <= self.overlap:
                    first -= 1
                    total += pieces[first][1]
            total += words
        made.append((pieces[first][0], end))
        return made


def _pieces(text: str, longest: int) -> list[tuple[int, int]]:
    """Return sentences, and parts of long ones: where each begins, and how many words it has.

    A word is of the sentence in which it begins. Counting what stands between blanks takes a
    fraction of the time of looking at each word.
    """
    made: list[tuple[int, int]] = []
    place = 0
    for found in SENTENCE.finditer(text):
        start, end = found.span()
        words = len(text[place:end].split())
        if place and not (text[place].isspace() or text[place - 1].isspace()):
            words -= 1
        if words > longest:
            made += _parts(text, (place, start, end), longest)
        elif words:
            made.append((start, words))
        place = end
    if made:
        made[0] = (0, made[0][1])
    return made


def _parts(text: str, sentence: tuple[int, int, int], longest: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of a sentence: of what may stand before it, where it begins and ends."""
    place, start, end = sentence
    begins = [found.start() for found in _WORD.finditer(text, place, end)]
    if place and not (text[place].isspace() or text[place - 1].isspace()):
        del begins[0]
    for first in range(0, len(begins), longest):
        yield start if first == 0 else begins[first], min(longest, len(begins) - first)
