"""Where the words of a query stand in texts."""

import functools
import heapq
import itertools
import operator
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from .tokens import LONGEST, is_dense, is_word, stem_of, words_in, words_of

_PORTION = 100_000
_PIECES = 200_000
_AT_ONCE = 10_000
_MOST = 10_000
"""Places after which a text is looked at no further: they are for a few passages to show."""
_RAW = operator.itemgetter(0)
Places = list[tuple[int, int]]


class _Stems(dict[str, str | None]):
    """The stems of pieces of text in one language, stop words too: of those with one word.

    ``""`` for those without, None for those to be looked at. Finding words in texts costs a look
    for each of their pieces: this is a third of a ``lru_cache``.
    """

    def __init__(self, language: str) -> None:
        self._language = language

    def __missing__(self, piece: str) -> str | None:
        if not is_word(piece):
            return None
        words = [word for raw in words_in(piece).findall(piece) for word, _, _ in words_of(raw)]
        stem = None if len(words) > 1 else stem_of(words[0], self._language) if words else ""
        if len(self) >= _PIECES:
            self.clear()
        self[piece] = stem
        return stem


_stems_in = functools.cache(_Stems)


class Spotter:
    """Finds the words of texts whose stems are among some; made for one query."""

    def __init__(self, terms: AbstractSet[str], language: str) -> None:
        """Look for the stems ``terms`` in texts of ``language``."""
        self._terms, self._language = terms, language
        self._stem_in = _stems_in(language).__getitem__
        self._hopeful = {*terms, None}
        self._known: dict[str, Places] = {}

    def spans(self, text: str) -> Places:
        """Return where such words begin and end, in order: the first 10,000 and some.

        Linear in the length of the text.

        What stands between blanks is passed over without a step of Python where it is known for
        another word, as nearly all of a text is; finding the words in it would take three times as
        long.
        """
        found: Places = []
        for begin, portion in _portions(text):
            pieces = portion.replace("\n", " ").replace("\t", " ").split(" ")
            hopeful = map(self._hopeful.__contains__, map(self._stem_in, pieces))
            if chosen := list(itertools.compress(itertools.count(), hopeful)):
                ends = list(itertools.accumulate(map(len, pieces)))
                for index in chosen:
                    piece = pieces[index]
                    found += self._within(piece, begin + ends[index] - len(piece) + index)
                    if len(found) >= _MOST:
                        return found
        return found

    def _within(self, piece: str, begin: int) -> Places:
        if len(piece) > LONGEST:
            return self._in_runs(piece, begin)
        if piece not in self._known:
            self._known[piece] = self._in_runs(piece, 0)
        return [(begin + first, begin + last) for first, last in self._known[piece]]

    def _in_runs(self, text: str, begin: int) -> Places:
        """Look at each run of letters and digits: a long text may have no blanks at all."""
        found: Places = []
        matches = words_in(text).finditer(text)
        while runs := list(itertools.islice(matches, _AT_ONCE)):
            hopeful = map(self._hopeful.__contains__, map(self._stem_in, map(_RAW, runs)))
            for match in itertools.compress(runs, hopeful):
                start = begin + match.start()
                found += [(start + first, start + last) for first, last in self._places(match[0])]
            if len(found) >= _MOST:
                break
        return found

    def _places(self, raw: str) -> Places:
        if len(raw) > LONGEST and is_dense(raw):
            return self._dense(raw)
        return [
            (first, last)
            for word, first, last in words_of(raw)
            if stem_of(word, self._language) in self._terms
        ]

    def _dense(self, raw: str) -> Places:
        """Look for few words in a long run, and not at each of its characters."""
        words = {*raw, *map(operator.add, raw, raw[1:])}
        wanted = [word for word in words if stem_of(word, self._language) in self._terms]
        places = heapq.merge(*(_found(word, raw) for word in wanted))
        return list(itertools.islice(places, _MOST))


def _found(word: str, text: str) -> Iterator[tuple[int, int]]:
    place = text.find(word)
    while place >= 0:
        yield place, place + len(word)
        place = text.find(word, place + 1)


def _portions(text: str) -> Iterator[tuple[int, str]]:
    """Return a text in parts that end before a blank, and where each begins."""
    begin = 0
    while begin < len(text):
        end = text.find(" ", begin + _PORTION)
        end = len(text) if end < 0 else end
        yield begin, text[begin:end]
        begin = end + 1
