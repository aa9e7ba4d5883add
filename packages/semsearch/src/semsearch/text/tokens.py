"""From text to stems: NFKC, lower case, words, stop words, Snowball."""

import functools
import itertools
import operator
import re
import threading
import unicodedata
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any

from .stopwords import STOPWORDS

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W\d_]+)?")
_ASCII_WORD = re.compile(r"[A-Za-z0-9]+(?:'[A-Za-z]+)?")
"""The same in ASCII, where a class of few ranges is a third quicker."""
# scripts written without spaces: each character and each pair of neighbours is a token
_DENSE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]+")
_LONGEST = 64
_AT_ONCE = 10_000
_WORDS = 200_000
_RAW = operator.itemgetter(0)
_SNOWBALL = {
    "ar": "arabic", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish",
    "fi": "finnish", "fr": "french", "hu": "hungarian", "it": "italian", "nl": "dutch",
    "no": "norwegian", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sv": "swedish",
    "tr": "turkish",
}  # fmt: skip
LANGUAGES = frozenset(_SNOWBALL)
_lock = threading.Lock()


@functools.cache
def _stemmer(language: str) -> Any:
    import snowballstemmer

    return snowballstemmer.stemmer(_SNOWBALL[language])


def load_stemmer(language: str) -> None:
    """Import the stemmers: forty modules, which the first query need not wait for."""
    if language in _SNOWBALL:
        _stemmer(language)


@functools.lru_cache(maxsize=200_000)
def _stem(word: str, language: str) -> str:
    if language not in _SNOWBALL:
        return word
    with _lock:  # the stemmers keep the word they work on
        stem: str = _stemmer(language).stemWord(word)
    return stem


def language_of(metadata: Any, default: str) -> str:
    """Return the language that a document names, ``"en-US"`` as ``"en"``; else the default."""
    named = metadata.get("language") if metadata else None
    code = named[:2].lower() if isinstance(named, str) else default
    return code if code in _SNOWBALL else default


def _words_of(raw: str) -> tuple[tuple[str, int, int], ...]:
    """Return the words in a run of letters and digits, in lower case, with their places in it."""
    word = raw.lower() if raw.isascii() else unicodedata.normalize("NFKC", raw).lower()
    if not word.isascii() and _DENSE.search(word):
        return tuple(_characters(raw))
    if len(word) > _LONGEST:
        return ()
    return ((word.replace("\u2019", "'").removesuffix("'s"), 0, len(raw)),)


def _characters(text: str) -> Iterator[tuple[str, int, int]]:
    for index, char in enumerate(text):
        yield char, index, index + 1
        if index + 1 < len(text):
            yield text[index : index + 2], index, index + 2


def _stems_of(raw: str, language: str) -> tuple[str, ...]:
    stop = STOPWORDS.get(language, frozenset())
    return tuple(_stem(word, language) for word, _, _ in _words_of(raw) if word not in stop)


_known_stems = functools.lru_cache(maxsize=200_000)(_stems_of)


def _words_in(text: str) -> "re.Pattern[str]":
    return _ASCII_WORD if text.isascii() else _WORD


def _is_word(raw: str) -> bool:
    """Whether ``raw`` may come again: runs without spaces hardly do, and would fill a cache."""
    return len(raw) <= _LONGEST and (raw.isascii() or _DENSE.search(raw) is None)


def stems(text: str, language: str) -> list[str]:
    """Return the stems of ``text``, stop words left out, in order."""
    return [
        stem
        for raw in _words_in(text).findall(text)
        for stem in (_known_stems if _is_word(raw) else _stems_of)(raw, language)
    ]


class _WordStems(dict[str, str | None]):
    """The stems of runs that are one word, stop words too, of one language; None for the others.

    Finding words in texts costs a look for each of theirs: this is a third of a ``lru_cache``.
    """

    def __init__(self, language: str) -> None:
        self._language = language

    def __missing__(self, raw: str) -> str | None:
        if not _is_word(raw):
            return None
        words = _words_of(raw)
        stem = None if len(words) > 1 else _stem(words[0][0], self._language) if words else ""
        if len(self) >= _WORDS:
            self.clear()
        self[raw] = stem
        return stem


_word_stems = functools.cache(_WordStems)


class Spotter:
    """Finds the words of texts whose stems are among some; made for one query."""

    def __init__(self, terms: AbstractSet[str], language: str) -> None:
        """Look for the stems ``terms`` in texts of ``language``."""
        self._terms, self._language = terms, language
        self._stem_of = _word_stems(language).__getitem__
        self._hopeful = {*terms, None}
        self._known: dict[str, list[tuple[int, int]]] = {}

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return where such words begin and end, in order. Linear in the length of the text."""
        found: list[tuple[int, int]] = []
        known, matches = self._known, _words_in(text).finditer(text)
        # nearly all words of a text are others: they are passed over without a step of Python each
        while runs := list(itertools.islice(matches, _AT_ONCE)):
            hopeful = map(self._hopeful.__contains__, map(self._stem_of, map(_RAW, runs)))
            for match in itertools.compress(runs, hopeful):
                raw, start = match[0], match.start()
                if raw not in known:
                    known[raw] = self._places(raw)
                found += [(start + first, start + last) for first, last in known[raw]]
        return found

    def _places(self, raw: str) -> list[tuple[int, int]]:
        return [
            (first, last)
            for word, first, last in _words_of(raw)
            if _stem(word, self._language) in self._terms
        ]
