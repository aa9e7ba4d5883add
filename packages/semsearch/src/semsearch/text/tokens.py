"""From text to stems: NFKC, lower case, words, stop words, Snowball."""

import functools
import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from .stopwords import STOPWORDS

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W\d_]+)?")
_ASCII_WORD = re.compile(r"[A-Za-z0-9]+(?:'[A-Za-z]+)?")
"""The same in ASCII, where a class of few ranges is a third quicker."""
# scripts written without spaces: each character and each pair of neighbours is a token
_DENSE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]+")
LONGEST = 64
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
def stem_of(word: str, language: str) -> str:
    """Return the stem of a word in lower case; the word itself where there is no stemmer."""
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


def words_of(raw: str) -> Iterable[tuple[str, int, int]]:
    """Return the words in a run of letters and digits, in lower case, with their places in it."""
    word = _folded(raw)
    if _has_dense(word):
        return _characters(raw)  # one by one: a run may be a whole book
    if len(word) > LONGEST:
        return ()
    return ((word.replace("\u2019", "'").removesuffix("'s"), 0, len(raw)),)


def is_dense(raw: str) -> bool:
    """Whether the words of a run are its characters and its pairs of neighbours."""
    return _has_dense(_folded(raw))


def _folded(raw: str) -> str:
    return raw.lower() if raw.isascii() else unicodedata.normalize("NFKC", raw).lower()


def _has_dense(word: str) -> bool:
    return not word.isascii() and _DENSE.search(word) is not None


def _characters(text: str) -> Iterator[tuple[str, int, int]]:
    for index, char in enumerate(text):
        yield char, index, index + 1
        if index + 1 < len(text):
            yield text[index : index + 2], index, index + 2


def _stems_of(raw: str, language: str) -> tuple[str, ...]:
    stop = STOPWORDS.get(language, frozenset())
    return tuple(stem_of(word, language) for word, _, _ in words_of(raw) if word not in stop)


_known_stems = functools.lru_cache(maxsize=200_000)(_stems_of)


def words_in(text: str) -> "re.Pattern[str]":
    """Return what finds the runs of letters and digits in ``text``."""
    return _ASCII_WORD if text.isascii() else _WORD


def is_word(raw: str) -> bool:
    """Whether ``raw`` may come again: runs without spaces hardly do, and would fill a cache."""
    return len(raw) <= LONGEST and (raw.isascii() or _DENSE.search(raw) is None)


def stems(text: str, language: str) -> list[str]:
    """Return the stems of ``text``, stop words left out, in order."""
    return [
        stem
        for raw in words_in(text).findall(text)
        for stem in (_known_stems if is_word(raw) else _stems_of)(raw, language)
    ]


def query_stems(text: str, default: str, languages: Counter[str]) -> dict[str, float]:
    """Return the weighted stems of a query in the languages of the documents.

    Args:
        text: The query.
        default: The language that is asked first.
        languages: How many documents are in each; the most frequent ones are asked.
    """
    frequent = [name for name, count in languages.most_common(5) if count > 0]
    weights: dict[str, float] = {}
    for language in dict.fromkeys([default, *frequent]):
        for term, count in Counter(stems(text, language)).items():
            weights[term] = max(weights.get(term, 0.0), float(count))
    return weights
