"""What the engine of an edge folder takes and gives, and the room that it needs."""

import shutil
from pathlib import Path
from typing import Any

from ..errors import BackendError
from .point_port import Row
from .points import Json
from .qdrant import VECTOR

_ROOM = 128 << 20
"""Bytes that must be free for a write: on a full disk the engine's mapped files end the process."""


def check_room(folder: Path) -> None:
    """Refuse to write where the disk is nearly full: nobody could catch what comes then.

    Raises:
        BackendError: Less than 128 MB are free.
    """
    where = folder.absolute()
    there = next(each for each in (where, *where.parents) if each.exists())
    free = shutil.disk_usage(there).free
    if free < _ROOM:
        raise BackendError(
            f"{folder}: {free >> 20} MB are free, and 'edge' writes with {_ROOM >> 20} MB at "
            "least: make room"
        )


def filter_of(library: Any, node: Json) -> Any:
    """Return the engine's own filter of one in JSON."""
    parts = {name: [_condition(library, each) for each in some] for name, some in node.items()}
    return library.Filter(**parts)


def _condition(library: Any, node: Json) -> Any:
    if "key" not in node:
        return filter_of(library, node)
    if "range" in node:
        return library.FieldCondition(node["key"], range=library.RangeFloat(**node["range"]))
    return library.FieldCondition(node["key"], match=library.MatchAny(node["match"]["any"]))


def row_of(record: Any) -> Row:
    """Return the payload and the vector of one of the engine's records."""
    vector = record.vector
    return record.payload, vector.get(VECTOR) if isinstance(vector, dict) else None
