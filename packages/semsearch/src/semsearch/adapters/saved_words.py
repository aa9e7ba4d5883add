"""The words of documents in a file: a process that starts need not look for them again.

The file is never believed: it has a checksum, what it says of a document counts only where the
store has the same version of it, and what is missing or damaged is found anew. Numbers and JSON; no
pickle.
"""

import functools
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from .in_place import put_in_place

logger = logging.getLogger(__name__)
_MAGIC = b"semsearch words, format 1\n"
_SUM = 32
_MOST = (1 << 31) - 1
Terms = tuple[tuple[str, int], ...]
"""Stems of a document and how often they occur."""


@functools.cache
def _stemmers() -> str:
    """Return the release of the stemmers: another one may cut words elsewhere."""
    try:
        return version("snowballstemmer")
    except PackageNotFoundError:
        return ""


class _Head(msgspec.Struct, frozen=True, array_like=True):
    language: str
    stemmers: str
    names: list[str]
    versions: list[str]
    terms: list[str]
    postings: int


@dataclass(frozen=True, slots=True)
class SavedWords:
    """What stands in a file.

    Attributes:
        names: Ids of documents.
        versions: Of each of them.
        terms: All different words.
        lengths: How many different words each document has.
        places: Where in ``terms`` these are, one document after the other.
        counts: How often each of them occurs there.
    """

    names: Sequence[str]
    versions: Sequence[str]
    terms: Sequence[str]
    lengths: Any
    places: Any
    counts: Any


def save(path: Path, language: str, words: SavedWords) -> None:
    """Write a file, whole or not at all; a folder that cannot be written to is no fault."""
    head = msgspec.msgpack.encode(
        _Head(
            language,
            _stemmers(),
            list(words.names),
            list(words.versions),
            list(words.terms),
            len(words.places),
        )
    )
    arrays = [each.astype("<u4").tobytes() for each in (words.lengths, words.places, words.counts)]
    body = b"".join([len(head).to_bytes(8, "little"), head, *arrays])
    try:
        put_in_place(path, [_MAGIC, _digest(body), body])
    except OSError as exc:
        logger.info("semsearch.words_not_saved", extra={"reason": type(exc).__name__})


def load(path: Path, language: str) -> SavedWords | None:
    """Return what a file says; None where there is none, or one that is damaged or another's."""
    try:
        raw = path.read_bytes()
    except OSError:
        return None
    start = len(_MAGIC) + _SUM
    body = memoryview(raw)[start:]
    if not raw.startswith(_MAGIC) or raw[len(_MAGIC) : start] != _digest(body):
        logger.warning("semsearch.words_corrupt", extra={"path": str(path)})
        return None
    try:
        return _decoded(body, language)
    except (msgspec.DecodeError, ValueError, IndexError) as exc:
        logger.warning(
            "semsearch.words_corrupt", extra={"path": str(path), "reason": type(exc).__name__}
        )
        return None


def _digest(body: Any) -> bytes:
    return hashlib.blake2b(body, digest_size=_SUM).digest()


def _decoded(body: memoryview, language: str) -> SavedWords | None:
    size = int.from_bytes(body[:8], "little")
    head = msgspec.msgpack.decode(body[8 : 8 + size], type=_Head)
    if (head.language, head.stemmers) != (language, _stemmers()):
        return None
    count = len(head.names)
    numbers = np.frombuffer(body[8 + size :], "<u4")
    lengths, places, counts = np.split(numbers, [count, count + head.postings])
    words = SavedWords(head.names, head.versions, head.terms, lengths, places, counts)
    _check(words)
    return words


def _check(words: SavedWords) -> None:
    """Refuse what fits together nowhere: nobody looks beyond the end of a list later.

    Raises:
        ValueError: It does not.
    """
    if len(words.counts) != len(words.places) or int(words.lengths.sum(dtype=np.uint64)) != len(
        words.places
    ):
        raise ValueError("numbers are missing")
    if len(words.versions) != len(words.names) or len({*words.names}) != len(words.names):
        raise ValueError("versions are missing")
    if len({*words.terms}) != len(words.terms):
        raise ValueError("a word stands there twice")
    if len(words.places):
        total = int(words.counts.sum(dtype=np.uint64))
        if words.places.max() >= len(words.terms) or not words.counts.all() or total > _MOST:
            raise ValueError("a number is out of range")
