"""What a shared level keeps and is asked for: values, fences, versions of tags."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

ALL = "*"
"""The tag of every value: bumping it clears the cache."""
LATEST = ""
"""No tag of any value: its version is the highest that the store has given to any tag so far."""
FENCE_LIFE = 3600.0
"""Seconds for which a store keeps a fence at least; older ones do not protect a fill."""


class TagVersion(NamedTuple):
    """How often a tag was invalidated.

    Attributes:
        version: Grows with every invalidation. A value is fresh while it carries this.
        hard: The version of the last hard invalidation; a value older than that may not even be
            served as stale.
    """

    version: int
    hard: int


@dataclass(frozen=True, slots=True)
class Read:
    """What one read of the shared level found.

    Attributes:
        values: The bytes of the keys that are there.
        fences: The fence of each key, if asked for: whoever fills it must still find the same.
        versions: The version of each tag asked for.
    """

    values: Mapping[str, bytes]
    fences: Mapping[str, int]
    versions: Mapping[str, TagVersion]


@dataclass(frozen=True, slots=True)
class Write:
    """A value for the shared level.

    Attributes:
        key: Its key.
        data: Its bytes.
        ttl: Seconds after which the shared level drops it.
        fence: The fence that was read before the value was computed: it is stored only if nobody
            set or deleted the key since. None stores it in any case, and moves the fence on.
        age: Seconds since a value without fence was meant to be stored. If the key changed in that
            time, it is deleted instead: nobody knows which change came last.
    """

    key: str
    data: bytes
    ttl: float
    fence: int | None = None
    age: float = 0.0
