"""Changes that the shared level did not take: bounded, the last one per key or tag, in order."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from ..ports import ALL, Write

_MOST = 10_000
_MOST_BYTES = 64 << 20
_AT_ONCE = 250
_BYTES_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One change that waits.

    Attributes:
        kind: ``set``, ``delete``, ``hard`` or ``soft`` (invalidation of a tag).
        name: The stored key, or the tag.
        write: The value of a ``set``.
        at: When it was meant, in monotonic seconds.
    """

    kind: str
    name: str
    at: float
    write: Write | None = None


class Pending:
    """The changes that wait. Too many of them become one: everything is invalid."""

    def __init__(self) -> None:
        """Nothing waits."""
        self._changes: OrderedDict[tuple[bool, str], Change] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """Return how many changes wait."""
        return len(self._changes)

    @property
    def tags(self) -> set[str]:
        """The tags whose invalidation waits."""
        return {name for is_tag, name in self._changes if is_tag}

    def set(self, write: Write, at: float) -> None:
        """Remember a value that is to be stored."""
        self._add(Change("set", write.key, at, write))

    def delete(self, names: Sequence[str], at: float) -> None:
        """Remember keys that are to be deleted."""
        for name in names:
            self._add(Change("delete", name, at))

    def bump(self, tags: Sequence[str], at: float, *, soft: bool) -> None:
        """Remember tags that are to be invalidated; a soft one does not weaken a hard one."""
        for tag in tags:
            old = self._changes.get((True, tag))
            weak = soft and (old is None or old.kind == "soft")
            self._add(Change("soft" if weak else "hard", tag, at))

    def _add(self, change: Change) -> None:
        name = (change.kind in {"hard", "soft"}, change.name)
        self._drop(name)
        self._changes[name] = change
        self._bytes += 0 if change.write is None else len(change.write.data)
        if len(self._changes) > _MOST or self._bytes > _MOST_BYTES:
            self._changes.clear()
            self._bytes = 0
            self._changes[True, ALL] = Change("hard", ALL, change.at)

    def _drop(self, name: tuple[bool, str]) -> None:
        old = self._changes.pop(name, None)
        if old is not None and old.write is not None:
            self._bytes -= len(old.write.data)

    def runs(self) -> Iterator[list[Change]]:
        """Give what waits now, in order, in runs of one kind, none longer than one call bears."""
        for _, run in groupby(list(self._changes.values()), key=lambda change: change.kind):
            yield from _pieces(run)

    def done(self, changes: Sequence[Change]) -> None:
        """Forget changes that were made, unless something newer took their place."""
        for change in changes:
            name = (change.kind in {"hard", "soft"}, change.name)
            if self._changes.get(name) is change:
                self._drop(name)


def _pieces(run: Iterable[Change]) -> Iterator[list[Change]]:
    piece, size = list[Change](), 0
    for change in run:
        piece.append(change)
        size += 0 if change.write is None else len(change.write.data)
        if len(piece) >= _AT_ONCE or size >= _BYTES_AT_ONCE:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece
