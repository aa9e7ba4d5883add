"""Makes readable segments out of a recogniser's words.

A new segment begins at each pause. One that is still too long for a subtitle is divided at the
widest gap of its middle half, as often as needed.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from .transcript import Segment, Word

MAX_SECONDS: Final = 12.0
MAX_CHARACTERS: Final = 90
_PAUSE: Final = 0.25  # seconds between words that belong to different sentences


def segments_from_words(words: Iterable[Word], speaker: str = "Speaker 1") -> Iterator[Segment]:
    """Yield segments of at most 12 seconds and 90 characters (unless a single word is longer)."""
    for phrase in _split_at_pauses(words):
        for part in _fit(phrase):
            yield Segment(part[0].start, part[-1].end, _sentence(part), speaker, tuple(part))


def _split_at_pauses(words: Iterable[Word]) -> Iterator[list[Word]]:
    phrase: list[Word] = []
    for word in words:
        if phrase and word.start - phrase[-1].end >= _PAUSE:
            yield phrase
            phrase = []
        phrase.append(word)
    if phrase:
        yield phrase


def _fit(words: Sequence[Word]) -> Iterator[Sequence[Word]]:
    if len(words) == 1 or _fits(words):
        yield words
        return
    quarter = len(words) // 4
    middle = range(max(1, quarter), max(2, len(words) - quarter))
    place = max(middle, key=lambda index: words[index].start - words[index - 1].end)
    yield from _fit(words[:place])
    yield from _fit(words[place:])


def _fits(words: Sequence[Word]) -> bool:
    characters = sum(len(word.word) + 1 for word in words) - 1
    return characters <= MAX_CHARACTERS and words[-1].end - words[0].start <= MAX_SECONDS


def _sentence(words: Sequence[Word]) -> str:
    text = " ".join(word.word for word in words)
    return text[:1].upper() + text[1:]
