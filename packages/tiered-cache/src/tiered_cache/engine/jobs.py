"""What the engine works on: one key that is looked up or computed; and what it counts."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ..models import CacheOptions
from ..ports import ALL, Alias, Entry


class Live:
    """What a hit in L1 looks at, and its counter; stays the same object when a cache is rebuilt.

    Attributes:
        epoch: Grows with everything that is learnt of tags; see ``KnownTags``.
        trusted_until: Until when, in monotonic seconds, messages of other processes arrive for
            sure. The backplane's next sign of life moves it on: see ``State.trusts_messages``.
        l1_hits: Values found in process memory.
    """

    __slots__ = ("epoch", "l1_hits", "trusted_until")

    def __init__(self) -> None:
        """Trust nobody yet."""
        self.epoch, self.l1_hits = 1, 0
        self.trusted_until = float("-inf")


@dataclass(slots=True)
class Counters:
    """Plain integers; observers read them, nothing is paid on the path."""

    misses: int = 0
    l2_hits: int = 0
    shared_flights: int = 0
    stale_served: int = 0
    factory_calls: int = 0
    factory_errors: int = 0
    factory_seconds: float = 0.0
    expired: int = 0
    invalidated: int = 0
    corrupt: int = 0
    unserializable: int = 0


@dataclass(slots=True)
class Job:
    """One key that is looked up or computed.

    Attributes:
        key: Which.
        options: How.
        kind: The declared type of the value, or None.
        is_lookup: Whether it only reads (a plain ``get``): such jobs share flights of their own.
        stale: The expired entry that may stand in, or None.
        fence: The key's fence in L2 before the factory ran; None if it was not read.
        versions: The versions of the tags before the factory ran.
        latest: The highest version of any tag in L2 before the factory ran; None if it was not
            read. Tags that the factory names later must not have a higher one.
        began: The number of changes of tags before it began, see ``KnownTags.changes``.
        epoch: The epoch at which it began, see ``KnownTags.epoch``.
        since: The moment before anything was read; what was computed is as fresh as that.
        asked: The moment before L2 was last asked for it, in monotonic seconds.
        found: The tags of the value that L2 had.
        on_wait: Called where somebody else, here or in another process, turns out to compute it.
        attempts: How many leaders were lost that it waited for.
        waited: Seconds that it has waited for L2: see ``State.in_time``.
        alias: Where a decorated function finds the entry by its arguments, or None.
    """

    key: str
    options: CacheOptions
    kind: Any = None
    is_lookup: bool = False
    stale: Entry | None = None
    fence: int | None = None
    versions: Mapping[str, int] | None = None
    latest: int | None = None
    began: int = 0
    epoch: int = 0
    since: float | None = None
    asked: float = 0.0
    found: Collection[str] = ()
    alias: Alias | None = None
    attempts: int = 0
    waited: float = 0.0
    on_wait: Callable[[], None] | None = None

    def waits(self) -> None:
        """Note that somebody else computes it."""
        if self.on_wait is not None:
            self.on_wait()

    @property
    def tags(self) -> list[str]:
        """The tags asked for, and that of every value."""
        return [ALL, *(self.options.tags or ())]
