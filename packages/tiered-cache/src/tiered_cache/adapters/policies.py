"""L1 in process memory: S3-FIFO (default), SIEVE and least recently used.

All are bounded by count and by estimated bytes, over one dict of entries. With S3-FIFO and SIEVE
using an entry is one attribute store; only storing takes the lock.
"""

import contextlib
import threading
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Iterable
from typing import ClassVar

from ..ports import Entry, LocalTier


class BoundedTier(LocalTier):
    """One dict of entries; a policy says which one leaves next."""

    def __init__(self, max_size: int = 1000, max_bytes: int | None = None) -> None:
        """Keep at most ``max_size`` entries and ``max_bytes`` bytes (None for no limit)."""
        self._max_size, self._max_bytes = max_size, max_bytes
        self._entries: dict[str, Entry] = {}
        self._lock = threading.Lock()
        self._size = 0
        self.evictions = 0

    def get(self, key: str) -> Entry | None:
        entry = self._entries.get(key)
        if entry is not None and entry.freq < 3:
            entry.freq += 1
        return entry

    def set(self, key: str, entry: Entry) -> None:
        with self._lock:
            if (old := self._entries.pop(key, None)) is not None:
                entry.freq = min(3, old.freq + 1)
                self._left(old)
            if self._max_bytes is not None and entry.size > self._max_bytes:
                self.evictions += 1
                return
            while len(self._entries) >= self._max_size or self._is_heavy(entry.size):
                self._evict()
            entry.key = key
            self._entries[key] = entry
            self._size += entry.size
            self._enter(entry)
            entry.arm()

    def _is_heavy(self, more: int) -> bool:
        return self._max_bytes is not None and self._size + more > self._max_bytes

    def _evict(self) -> None:
        victim = self._victim()
        del self._entries[victim.key]
        self._size -= victim.size
        victim.retire()
        self.evictions += 1

    def _left(self, entry: Entry) -> None:
        self._size -= entry.size
        self._leave(entry)
        entry.retire()

    def delete(self, key: str) -> bool:
        if key not in self._entries:
            return False
        with self._lock:
            if (old := self._entries.pop(key, None)) is not None:
                self._left(old)
            return old is not None

    def clear(self) -> None:
        with self._lock:
            entries, self._entries, self._size = self._entries, {}, 0
            self._forget()
            for entry in entries.values():
                entry.newer = entry.older = None
                entry.retire()

    def items(self) -> Iterable[tuple[str, Entry]]:
        with self._lock:
            return list(self._entries.items())

    @property
    def size(self) -> int:
        return self._size

    def __len__(self) -> int:
        return len(self._entries)

    # -- the policy; all of it is called under the lock --------------------------------------------

    @abstractmethod
    def _enter(self, entry: Entry) -> None:
        """Take an entry in."""

    @abstractmethod
    def _leave(self, entry: Entry) -> None:
        """Let go of an entry that was deleted or replaced."""

    @abstractmethod
    def _victim(self) -> Entry:
        """Let go of the entry that is to leave, and return it; there is at least one."""

    @abstractmethod
    def _forget(self) -> None:
        """Let go of all entries."""


class S3FifoTier(BoundedTier):
    """S3-FIFO: a small queue for newcomers, a main one, and keys that left lately (ghosts).

    What is used while it is in the small queue (a tenth of all) moves to the main one, what is not
    leaves at once: a scan passes through without pushing out what is used. Yang et al., "FIFO
    queues are all you need for cache eviction", SOSP 2023, section 4.
    """

    marks_use: ClassVar[bool] = True

    def __init__(self, max_size: int = 1000, max_bytes: int | None = None) -> None:
        """Keep at most ``max_size`` entries and ``max_bytes`` bytes (None for no limit)."""
        super().__init__(max_size, max_bytes)
        self._small: OrderedDict[str, Entry] = OrderedDict()
        self._main: OrderedDict[str, Entry] = OrderedDict()
        self._ghosts: OrderedDict[str, None] = OrderedDict()

    def _enter(self, entry: Entry) -> None:
        if entry.key in self._ghosts:
            del self._ghosts[entry.key]
            self._main[entry.key] = entry
        else:
            self._small[entry.key] = entry
        # what was used in a former life must prove itself anew
        entry.freq = 0

    def _leave(self, entry: Entry) -> None:
        if self._small.pop(entry.key, None) is None and self._main.pop(entry.key, None) is entry:
            # replaced, not new: it stays among those that proved themselves
            self._haunt(entry.key)

    def _haunt(self, key: str) -> None:
        self._ghosts[key] = None
        while len(self._ghosts) > self._max_size:
            self._ghosts.popitem(last=False)

    def _victim(self) -> Entry:
        while True:
            few = len(self._small) * 10 < len(self._entries)
            if self._small and not (few and self._main):
                key, entry = self._small.popitem(last=False)
                if entry.freq < 2:
                    self._haunt(key)
                    return entry
                entry.freq = 0
                self._main[key] = entry
                continue
            key, entry = self._main.popitem(last=False)
            if not entry.freq:
                return entry
            entry.freq -= 1
            self._main[key] = entry

    def _forget(self) -> None:
        self._small.clear()
        self._main.clear()
        self._ghosts.clear()


class SieveTier(BoundedTier):
    """SIEVE: a hand walks from old to new, spares what was used, and drops the first that was not.

    Zhang et al., "SIEVE is simpler than LRU", NSDI 2024, section 3.
    """

    marks_use: ClassVar[bool] = True
    _newest: Entry | None = None
    _oldest: Entry | None = None
    _hand: Entry | None = None

    def _enter(self, entry: Entry) -> None:
        entry.freq = 0
        entry.older, entry.newer = self._newest, None
        if self._newest is not None:
            self._newest.newer = entry
        self._newest = entry
        if self._oldest is None:
            self._oldest = entry

    def _leave(self, entry: Entry) -> None:
        older, newer = entry.older, entry.newer
        if self._hand is entry:
            self._hand = newer
        if older is None:
            self._oldest = newer
        else:
            older.newer = newer
        if newer is None:
            self._newest = older
        else:
            newer.older = older
        entry.older = entry.newer = None

    def _victim(self) -> Entry:
        entry = self._hand or self._oldest
        while entry is not None and entry.freq:
            entry.freq = 0
            entry = entry.newer or self._oldest
        if entry is None:
            raise LookupError("there is no entry to leave")
        self._hand = entry.newer
        self._leave(entry)
        return entry

    def _forget(self) -> None:
        self._newest = self._oldest = self._hand = None


class LruTier(BoundedTier):
    """The least recently used entry leaves."""

    def __init__(self, max_size: int = 1000, max_bytes: int | None = None) -> None:
        """Keep at most ``max_size`` entries and ``max_bytes`` bytes (None for no limit)."""
        super().__init__(max_size, max_bytes)
        self._order: OrderedDict[str, Entry] = OrderedDict()

    def get(self, key: str) -> Entry | None:
        entry = self._entries.get(key)
        if entry is not None:
            # another thread may drop it in between
            with contextlib.suppress(KeyError):
                self._order.move_to_end(key)
        return entry

    def _enter(self, entry: Entry) -> None:
        self._order[entry.key] = entry

    def _leave(self, entry: Entry) -> None:
        self._order.pop(entry.key, None)

    def _victim(self) -> Entry:
        return self._order.popitem(last=False)[1]

    def _forget(self) -> None:
        self._order.clear()
