"""From text to stems: NFKC, lower case, words, stop words, Snowball."""

import functools
import re
import threading
import unicodedata
from collections.abc import Iterator
from typing import Any

from .stopwords import STOPWORDS

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W\d_]+)?")
# scripts written without spaces: each character and each pair of neighbours is a token
_DENSE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]+")
_LONGEST = 64
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


def words(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield the words of ``text`` in lower case, with start and end in ``text`` itself."""
    for found in _WORD.finditer(text):
        word = unicodedata.normalize("NFKC", found[0]).lower()
        if _DENSE.search(word):
            yield from _characters(found[0], found.start())
        elif len(word) <= _LONGEST:
            yield word.replace("\u2019", "'").removesuffix("'s"), found.start(), found.end()


def _characters(text: str, start: int) -> Iterator[tuple[str, int, int]]:
    for index, char in enumerate(text):
        yield char, start + index, start + index + 1
        if index + 1 < len(text):
            yield text[index : index + 2], start + index, start + index + 2


def stems(text: str, language: str) -> list[str]:
    """Return the stems of ``text``, stop words left out, in order."""
    stop = STOPWORDS.get(language, frozenset())
    return [_stem(word, language) for word, _, _ in words(text) if word not in stop]


def stem(word: str, language: str) -> str:
    """Return the stem of one lower-case word."""
    return _stem(word, language)
