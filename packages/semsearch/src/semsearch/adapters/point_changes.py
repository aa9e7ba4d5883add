"""What became of documents that are points in some server: read from their numbers."""

import uuid
from collections.abc import Sequence

import msgspec
import numpy as np

from ..ports import Changes, Position, Stored
from .point_port import Points, Row
from .points import DOCUMENTS, Json, among, either, negated

_NAMESPACE = uuid.UUID("5b7b7c3e-5c0a-4f0e-9d57-6a3f1f0d5a11")


def point_id(kind: str, name: str) -> str:
    """Return the id of a point: Qdrant takes numbers and UUIDs alone."""
    return str(uuid.uuid5(_NAMESPACE, f"{kind}:{name}"))


def changes_since(points: Points, index: str, since: Position) -> Changes:
    """Return what became of the documents of an index since a position that this gave before."""
    epoch, seen = marks(points)
    position = (index, epoch, seen)
    if position == since:
        return Changes(position=since)
    match since:
        case (known, int(before), frozenset() as old) if (known, before) == (index, epoch):
            found = points.scroll(_later(old), None)
        case _:
            found = points.scroll({"must": [DOCUMENTS]}, None)
            return Changes(True, [_document(row) for row in found], (), position)
    if marks(points)[0] != epoch:  # what was deleted may have been removed meanwhile
        return changes_since(points, index, None)
    alive = {row[0]["id"]: _document(row) for row in found if row[0]["kind"] == "document"}
    gone = dict.fromkeys(row[0]["id"] for row in found if row[0]["kind"] == "gone")
    deleted = [name for name in gone if name not in alive]
    if points.discards:  # others may have written it again, before we heard of the end
        again = {each.id: each for each in fetched(points, deleted)}
        deleted = [name for name in deleted if name not in again]
        alive |= again
    return Changes(upserted=list(alive.values()), deleted=deleted, position=position)


def marks(points: Points) -> tuple[int, frozenset[tuple[str, int]]]:
    """Return the epoch, and the last finished write of each process."""
    wanted, fields = among("kind", ["writer", "index"]), ["kind", "writer", "seq", "epoch"]
    rows = [row for row, _ in points.scroll({"must": [wanted]}, fields)]
    epoch = max((row.get("epoch", 0) for row in rows if row["kind"] == "index"), default=0)
    return epoch, frozenset((r["writer"], r["seq"]) for r in rows if r["kind"] == "writer")


def fetched(points: Points, ids: Sequence[str]) -> list[Stored]:
    """Return the documents that are there."""
    names = [point_id("document", each) for each in dict.fromkeys(ids)]
    rows = points.fetch(names) if names else []
    return [_document(row) for row in rows if row[0]["kind"] == "document"]


def _later(seen: frozenset[tuple[str, int]]) -> Json:
    return {"must": [among("kind", ["document", "gone"]), newer(seen)]}


def newer(seen: frozenset[tuple[str, int]]) -> Json:
    """Return the condition that a point was written after the writes that were seen."""
    known = sorted(seen)
    newer = [
        {"must": [among("writer", [writer]), {"key": "seq", "range": {"gt": float(seq)}}]}
        for writer, seq in known
    ]
    others = negated(among("writer", [writer for writer, _ in known]))
    return either([*newer, others])


def _document(row: Row) -> Stored:
    payload, vector = row
    return Stored(
        payload["id"],
        payload["content"],
        msgspec.json.decode(payload["metadata"]),
        np.asarray(vector, np.float32),
        payload["digest"],
    )
