"""What a shelf holds but the texts, in a file: a process that starts need not read every row.

The file is never believed by itself: it has a checksum, and a mark that stands in the database
beside the number of the last change that it has. A copy of the database with the mark has these
changes in common with the file, and what came later is read. Numbers and JSON; no pickle.
"""

import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ..ports import Matrix, Stored
from .in_place import put_in_place

logger = logging.getLogger(__name__)
_MAGIC = b"semsearch vectors, format 1\n"
_ALIGNED = 64
_BLOCK = 2000
"""Documents whose metadata are decoded at a time: other threads have their turn in between."""


class _Head(msgspec.Struct, frozen=True, array_like=True):
    mark: str
    dimension: int
    names: list[str]
    digests: list[str]
    metadata: list[int]
    """Bytes of each block of documents."""


@dataclass(frozen=True, slots=True)
class SavedShelf:
    """What stands in a file.

    Attributes:
        mark: Stands in the database, too.
        documents: All but those without a text are ``unread``.
        matrix: Their vectors, not to be written to.
    """

    mark: str
    documents: Sequence[Stored]
    matrix: Matrix


def save(path: Path, mark: str, documents: Sequence[Stored], matrix: Matrix) -> None:
    """Write a file, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    digests = list(dict.fromkeys(each.digest for each in documents))
    numbers = {digest: number for number, digest in enumerate(digests)}
    metadata = [
        msgspec.json.encode([each.metadata for each in documents[start : start + _BLOCK]])
        for start in range(0, len(documents), _BLOCK)
    ]
    names = [each.id for each in documents]
    head = msgspec.msgpack.encode(
        _Head(mark, matrix.shape[1], names, digests, list(map(len, metadata)))
    )
    size = len(head).to_bytes(8, "little")
    which = np.array([numbers[each.digest] for each in documents], "<u4").tobytes()
    texts = np.array([bool(each.content) or each.unread for each in documents], "u1").tobytes()
    parts: list[Any] = [size, head, *metadata, which, texts]
    before = len(_MAGIC) + 4 + sum(map(len, parts))
    parts += [bytes(-before % _ALIGNED), np.ascontiguousarray(matrix, "<f4").data.cast("B")]
    put_in_place(path, [_MAGIC, _checksum(parts), *parts])


def load(path: Path, dimension: int) -> SavedShelf | None:
    """Return what a file says; None where there is none, or one that is damaged or another's."""
    try:
        raw = path.read_bytes()
    except OSError:
        return None
    start = len(_MAGIC) + 4
    body = memoryview(raw)[start:]
    try:
        if not raw.startswith(_MAGIC) or raw[len(_MAGIC) : start] != _checksum([body]):
            raise ValueError("the checksum is wrong")  # noqa: TRY301  answered like what follows
        return _decoded(body, dimension, start)
    except (msgspec.DecodeError, ValueError, IndexError) as exc:
        logger.warning("semsearch.vectors_corrupt", extra={"path": str(path), "reason": str(exc)})
        return None


def _checksum(parts: Sequence[Any]) -> bytes:
    found = 0
    for each in parts:
        found = zlib.crc32(each, found)
    return found.to_bytes(4, "little")


def _decoded(body: memoryview, dimension: int, start: int) -> SavedShelf | None:
    at = 8 + int.from_bytes(body[:8], "little")
    head = msgspec.msgpack.decode(body[8:at], type=_Head)
    if head.dimension != dimension:
        return None
    count = len(head.names)
    metadata: list[dict[str, Any]] = []
    for size in head.metadata:
        metadata += msgspec.json.decode(body[at : at + size], type=list[dict[str, Any]])
        at += size
    which = np.frombuffer(body, "<u4", count, at).tolist()
    texts = np.frombuffer(body, "u1", count, at + 4 * count).tolist()
    at += 5 * count
    at += -(at + start) % _ALIGNED
    matrix = np.frombuffer(body, "<f4", count * dimension, at).reshape(count, dimension)
    told = zip(head.names, metadata, matrix, which, texts, strict=True)
    documents = [
        Stored(name, "", known, vector, head.digests[number], (), bool(text))
        for name, known, vector, number, text in told
    ]
    return SavedShelf(head.mark, documents, matrix)
