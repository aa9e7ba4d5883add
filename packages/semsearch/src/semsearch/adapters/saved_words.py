"""The words of documents in a file: a process that starts need not look for them again.

The file is never believed: it has a checksum, what it says of a document counts only where the
store has the same version of it, and what is missing or damaged is found anew. Numbers and JSON; no
pickle.
"""

import contextlib
import functools
import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

logger = logging.getLogger(__name__)
_MAGIC = b"semsearch words, format 1\n"
_SUM = 32
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
        terms: Of each of them.
    """

    names: Sequence[str]
    versions: Sequence[str]
    terms: Sequence[Terms]

    def documents(self) -> Iterator[tuple[str, str, Terms]]:
        """Yield id, version and terms of each document."""
        return zip(self.names, self.versions, self.terms, strict=True)


def save(path: Path, language: str, words: SavedWords) -> None:
    """Write a file, whole or not at all; a folder that cannot be written to is no fault."""
    numbers: dict[str, int] = {}
    places = [numbers.setdefault(term, len(numbers)) for each in words.terms for term, _ in each]
    counts = [count for each in words.terms for _, count in each]
    head = msgspec.msgpack.encode(
        _Head(
            language,
            _stemmers(),
            list(words.names),
            list(words.versions),
            list(numbers),
            len(places),
        )
    )
    lengths = [len(each) for each in words.terms]
    arrays = [np.array(each, "<u4").tobytes() for each in (lengths, places, counts)]
    body = b"".join([len(head).to_bytes(8, "little"), head, *arrays])
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(_MAGIC + hashlib.blake2b(body, digest_size=_SUM).digest() + body)
        beside.replace(path)
    except OSError as exc:
        logger.info("semsearch.words_not_saved", extra={"reason": type(exc).__name__})
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


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
    if len(counts) != len(places) or int(lengths.sum()) != len(places) or 0 in counts:
        raise ValueError("numbers are missing")
    pairs = list(zip(map(head.terms.__getitem__, places.tolist()), counts.tolist(), strict=True))
    ends = [0, *np.cumsum(lengths).tolist()]
    terms = [tuple(pairs[first:last]) for first, last in pairwise(ends)]
    if len(head.versions) != count:
        raise ValueError("versions are missing")
    return SavedWords(head.names, head.versions, terms)
