"""L1 on other libraries' policies: cachetools, and theine's W-TinyLFU.

They decide what leaves; entries are counted, not weighed, unless the policy itself weighs them.
Own policies (:mod:`.policies`) are faster on a hit and as good on the traces that we measured.
"""

import threading
from collections.abc import Iterable
from typing import Any, ClassVar
from weakref import WeakValueDictionary

from .._common.extras import require
from ..errors import UnsupportedOperationError
from ..ports import Entry, LocalTier


class CachetoolsTier(LocalTier):
    """L1 on a policy of cachetools (extra ``cachetools``), which weighs entries if asked to."""

    kind: ClassVar[str] = "LFUCache"

    def __init__(self, max_size: int = 1000, max_bytes: int | None = None) -> None:
        """Keep at most ``max_size`` entries and ``max_bytes`` bytes (None for no limit)."""
        library: Any = require("cachetools", dist="tiered-cache", extra="cachetools")
        self._max_size, self._max_bytes = max_size, max_bytes
        limit = max_size if max_bytes is None else max_bytes
        weight = None if max_bytes is None else _weight
        self._made: Any = lambda: getattr(library, self.kind)(limit, getsizeof=weight)
        self._policy: Any = self._made()
        self._lock = threading.Lock()
        self._size = 0
        self.evictions = 0

    def get(self, key: str) -> Entry | None:
        # policies reorder themselves on a hit: not even reading is safe without the lock
        with self._lock:
            found: Entry | None = self._policy.get(key)
            return found

    def set(self, key: str, entry: Entry) -> None:
        with self._lock:
            self._drop(key)
            if self._max_bytes is not None and entry.size > self._max_bytes:
                self.evictions += 1
                return
            while len(self._policy) and self._is_full(entry):
                self._size -= self._policy.popitem()[1].size
                self.evictions += 1
            self._policy[key] = entry
            self._size += entry.size

    def _is_full(self, entry: Entry) -> bool:
        if len(self._policy) >= self._max_size:
            return True
        return self._max_bytes is not None and self._size + entry.size > self._max_bytes

    def _drop(self, key: str) -> bool:
        old: Entry | None = self._policy.pop(key, None)
        self._size -= 0 if old is None else old.size
        return old is not None

    def delete(self, key: str) -> bool:
        with self._lock:
            return self._drop(key)

    def clear(self) -> None:
        with self._lock:
            self._policy, self._size = self._made(), 0

    def items(self) -> Iterable[tuple[str, Entry]]:
        with self._lock:
            return list(self._policy.items())

    @property
    def size(self) -> int:
        return self._size

    def __len__(self) -> int:
        return len(self._policy)


def _weight(entry: Entry) -> int:
    return entry.size


class CachetoolsLruTier(CachetoolsTier):
    """Least recently used."""

    kind = "LRUCache"


class CachetoolsFifoTier(CachetoolsTier):
    """First in, first out."""

    kind = "FIFOCache"


class CachetoolsRandomTier(CachetoolsTier):
    """Any entry may leave."""

    kind = "RRCache"


class TheineTier(LocalTier):
    """L1 on theine's W-TinyLFU (extra ``theine``): counts entries, does not weigh them.

    theine's own maintenance is asynchronous: right after a burst of writes it may hold a few more
    than ``max_size``.
    """

    def __init__(self, max_size: int = 1000, max_bytes: int | None = None) -> None:
        """Keep about ``max_size`` entries.

        Raises:
            UnsupportedOperationError: A limit in bytes is asked for.
        """
        if max_bytes is not None:
            raise UnsupportedOperationError("the policy 'tinylfu' has no limit in bytes: max_bytes")
        library: Any = require("theine", dist="tiered-cache", extra="theine")
        self._made: Any = lambda: library.Cache(max_size)
        self._policy: Any = self._made()
        # theine tells nobody what it holds: what it dropped vanishes from here by itself
        self._alive: WeakValueDictionary[str, Entry] = WeakValueDictionary()
        self._lock = threading.Lock()
        self._sets = 0

    @property
    def evictions(self) -> int:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]  theine counts nothing
        return max(0, self._sets - len(self))

    def get(self, key: str) -> Entry | None:
        found: Entry | None = self._policy.get(key)[0]
        return found

    def set(self, key: str, entry: Entry) -> None:
        with self._lock:
            self._sets += key not in self._alive
            self._policy.set(key, entry)
            self._alive[key] = entry

    def delete(self, key: str) -> bool:
        with self._lock:
            self._alive.pop(key, None)
            found: bool = self._policy.delete(key)
            self._sets -= found
            return found

    def clear(self) -> None:
        with self._lock:
            old, self._policy = self._policy, self._made()
            self._alive.clear()
            self._sets = 0
            old.close()

    def items(self) -> Iterable[tuple[str, Entry]]:
        with self._lock:
            return list(self._alive.items())

    @property
    def size(self) -> int:
        return sum(entry.size for _, entry in self.items())

    def __len__(self) -> int:
        return len(self._policy)
