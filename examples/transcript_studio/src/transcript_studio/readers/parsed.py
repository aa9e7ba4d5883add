"""What every parser gives, and the times that all of them accept."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from ..errors import UnreadableFile
from ..transcript import Segment

_MAX_SEGMENTS: Final = 200_000
_MAX_CHARACTERS: Final = 20_000  # of one segment
_MAX_SECONDS: Final = 3_600_000.0  # 1000 hours: what a subtitle's time can say


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file's contents; ``segments`` are made as they are taken, so a bound can stop it early."""

    segments: Iterator[Segment]
    language: str = ""
    title: str = ""
    duration: float = 0.0


def seconds(value: float | None, default: float = 0.0) -> float:
    """Return a time between 0 and 1000 hours, or ``default`` for what is none."""
    if value is None or not math.isfinite(value):
        return default
    return min(max(value, 0.0), _MAX_SECONDS)


def bounded(segments: Iterable[Segment]) -> Iterator[Segment]:
    """Pass ``segments`` on, as long as neither their number nor one of them is absurd.

    Raises:
        UnreadableFile: There are too many, or one is too long.
    """
    for count, segment in enumerate(segments):
        if count >= _MAX_SEGMENTS:
            raise UnreadableFile(f"it has more than {_MAX_SEGMENTS} segments; split it")
        if len(segment.text) > _MAX_CHARACTERS:
            raise UnreadableFile(f"a segment has more than {_MAX_CHARACTERS} characters; split it")
        yield segment
