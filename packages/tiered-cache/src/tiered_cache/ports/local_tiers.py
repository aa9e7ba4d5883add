"""The port of L1: values by reference in this process."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

_NEVER = float("-inf")
Alias = tuple[dict[Any, "Entry"], Any]


@dataclass(slots=True, eq=False, weakref_slot=True)
class Entry:
    """A value in L1. Times are monotonic seconds.

    Attributes:
        value: The value itself, by reference.
        expires: Until when it is fresh.
        stale_until: Until when it may stand in.
        tags: The versions of its tags when it was computed.
        epoch: The cache's epoch at which the tags were last found valid.
        checked: When it was computed, or last compared with the shared level.
        refresh_at: When a hit starts a refresh; infinity for never.
        ttl: The ttl it was stored with, where hits renew it; else 0.
        copy: Whether callers get copies.
        size: Estimated bytes.
        until: Until when a hit is nothing but ``value``; minus infinity once it left L1.
        freq: How often it was used, as far as the policy of L1 wants to know: 0 to 3.
        key: Its key in L1.
        aliases: Where decorated functions find it by their arguments.
        newer, older: Its neighbours, for policies that keep a list.
    """

    value: Any
    expires: float
    stale_until: float
    tags: Mapping[str, int] = field(default_factory=dict)
    epoch: int = 0
    checked: float = 0.0
    refresh_at: float = float("inf")
    ttl: float = 0.0
    copy: bool = False
    size: int = 0
    until: float = _NEVER
    freq: int = 0
    key: str = ""
    aliases: list[Alias] | None = None
    newer: "Entry | None" = None
    older: "Entry | None" = None

    def arm(self) -> None:
        """Say until when a hit is nothing but the value: no copy, renewal or refresh is due."""
        plain = not (self.copy or self.ttl)
        self.until = min(self.expires, self.refresh_at) if plain else _NEVER

    def retire(self) -> None:
        """Be found nowhere any more. Tiers call it for every entry that leaves them."""
        self.until = _NEVER
        aliases, self.aliases = self.aliases, None
        for places, name in aliases or ():
            if places.get(name) is self:
                places.pop(name, None)

    def alias(self, places: dict[Any, "Entry"], name: Any) -> None:
        """Let ``places`` find this entry under ``name``, until it retires."""
        if places.get(name) is self:
            return
        places[name] = self
        if self.aliases is None:
            self.aliases = []
        self.aliases.append((places, name))
        if self.until == _NEVER:  # another thread dropped it in between
            places.pop(name, None)


class LocalTier(ABC):
    """The first level of a cache (L1): values by reference in this process. Safe for threads.

    Attributes:
        marks_use: Whether using an entry is no more than raising its ``freq`` (at most 3). The
            cache then serves hits of decorated functions without calling ``get``; every entry that
            leaves the tier must be told so (``Entry.retire``).
        evictions: How many entries left for want of room.
    """

    marks_use: ClassVar[bool] = False
    evictions: int = 0

    @abstractmethod
    def get(self, key: str) -> Entry | None:
        """Return the entry of ``key``, expired or not, and count it as used."""

    @abstractmethod
    def set(self, key: str, entry: Entry) -> None:
        """Store an entry, dropping others where there is no room."""

    @abstractmethod
    def delete(self, key: str) -> bool:
        """Drop an entry; return whether there was one."""

    @abstractmethod
    def clear(self) -> None:
        """Drop everything."""

    @abstractmethod
    def items(self) -> Iterable[tuple[str, Entry]]:
        """Return a copy of what is there."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Estimated bytes of all entries."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of entries."""
