"""The ports: a local tier, a remote tier, a backplane; serializers and compressors."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol

from .errors import UnsupportedOperationError

ALL = "*"
"""The tag of every value: bumping it clears the cache."""
LATEST = ""
"""No tag of any value: its version is the highest that the store has given to any tag so far."""
FENCE_LIFE = 3600.0
"""Seconds for which a store keeps a fence at least; older ones do not protect a fill."""


_NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a tier can do.

    Attributes:
        shared: Other processes see the values.
        durable: Values survive the end of every process.
        announces: Its changes reach the backplane's listeners by themselves, in the same step.
        leases: It can tell processes which of them computes a key.
        patterns: It can list its keys.
    """

    shared: bool = False
    durable: bool = False
    announces: bool = False
    leases: bool = False
    patterns: bool = True


Alias = tuple[dict[Any, "Entry"], Any]


class TagVersion(NamedTuple):
    """How often a tag was invalidated.

    Attributes:
        version: Grows with every invalidation. A value is fresh while it carries this.
        hard: The version of the last hard invalidation; a value older than that may not even be
            served as stale.
    """

    version: int
    hard: int


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


class RemoteTier(ABC):
    """The shared level of a cache (L2): bytes with expiry, fences per key, versions per tag.

    Keys and tags are non-empty str, times seconds (float). Constructors do no I/O: the first call
    connects, ``aclose`` disconnects. Safe for concurrent use within one event loop. Every call may
    raise ``BackendError``.

    Versions are the store's time in microseconds, or one more than the highest that was given
    (``LATEST``), so that they grow whatever the clock does. A tag that was never bumped has the
    version at which the store began to keep versions: a lost version never makes old values valid.
    """

    capabilities: Capabilities = Capabilities()

    @abstractmethod
    async def read(self, keys: Sequence[str], tags: Sequence[str], *, fences: bool = True) -> Read:
        """Return the live values and fences of ``keys`` and the versions of ``tags``.

        ``fences`` says whether fences are asked for; a tier may return them all the same.
        """

    @abstractmethod
    async def write(self, items: Sequence[Write]) -> Sequence[bool]:
        """Store values; return for each whether it was stored: its fence allowed it.

        A call that its caller gave up may still take effect later. Of a value without fence it
        must not then undo what changed its key since.
        """

    @abstractmethod
    async def delete(self, keys: Sequence[str]) -> int:
        """Drop values and move their fences on; return how many values there were."""

    @abstractmethod
    async def bump(self, tags: Sequence[str], *, soft: bool = False) -> Mapping[str, TagVersion]:
        """Give each tag a higher version, atomically, and return them."""

    @abstractmethod
    async def delete_pattern(self, pattern: str) -> int:
        r"""Drop the values whose keys match a glob; return how many.

        ``*``, ``?``, ``[abc]``, ``[a-c]``, ``[^abc]``, and ``\*`` for the character itself, as
        Redis understands them: see ``tiered_cache.keys.glob_matches``. Fences may stay as they are.
        """

    async def list_keys(self, pattern: str, limit: int) -> list[str]:
        """Return at most ``limit`` of the keys that match a glob.

        Raises:
            UnsupportedOperationError: The tier has no ``patterns``.
        """
        raise UnsupportedOperationError(f"{type(self).__name__} cannot list its keys")

    async def acquire(self, name: str, token: str, ttl: float) -> bool:
        """Take the lease of ``name`` for ``ttl`` seconds, or renew it if ``token`` has it.

        Returns:
            Whether ``token`` has it now.

        Raises:
            UnsupportedOperationError: The tier has no ``leases``.
        """
        raise UnsupportedOperationError(f"{type(self).__name__} has no leases")

    async def acquire_many(self, leases: Sequence[tuple[str, str]], ttl: float) -> Sequence[bool]:
        """Take or renew leases, each a name and its token; override to save round trips.

        Returns:
            For each whether its token has it now.

        Raises:
            UnsupportedOperationError: The tier has no ``leases``.
        """
        return await asyncio.gather(*(self.acquire(name, token, ttl) for name, token in leases))

    async def release(self, name: str, token: str) -> bool:
        """Give the lease of ``name`` back; return whether ``token`` had it.

        Raises:
            UnsupportedOperationError: The tier has no ``leases``.
        """
        raise UnsupportedOperationError(f"{type(self).__name__} has no leases")

    async def aclose(self) -> None:
        """Disconnect; a later call connects again."""

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a process tells the others.

    Attributes:
        keys: Keys that were set or deleted, as the shared level names them; ``ALL`` for any.
        tags: Tags that have new versions.
        ready: Keys that a process is done with computing.
        forget_versions: Tags have changed in a way that only the shared level knows.
    """

    keys: Sequence[str] = ()
    tags: Mapping[str, TagVersion] = field(default_factory=dict)
    ready: Sequence[str] = ()
    forget_versions: bool = False


class Backplane(ABC):
    """Tells other processes that something changed; never carries values.

    ``on_message`` is called on the loop that called ``start``; ``on_gap`` whenever messages may
    have been missed: L1 must then be doubted.
    """

    @abstractmethod
    async def start(
        self, on_message: Callable[[Message], None], on_gap: Callable[[], None]
    ) -> None:
        """Begin to listen; returns when messages from now on arrive. Idempotent."""

    @abstractmethod
    async def publish(self, message: Message) -> None:
        """Tell the others, not ourselves."""

    @property
    @abstractmethod
    def last_alive(self) -> float:
        """When listening last worked, in the clock's monotonic seconds."""

    async def aclose(self) -> None:
        """Stop listening."""

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""


class Serializer(Protocol):
    """Values to bytes and back. ``id`` (0 to 255) is written before the bytes."""

    id: int

    def dumps(self, value: Any, kind: Any) -> bytes:
        """Return the bytes of ``value``, declared as the type ``kind`` (or None).

        Raises:
            CacheSerializationError: They would not give the same value back.
        """
        ...

    def loads(self, data: bytes, kind: Any) -> Any:
        """Return the value of ``data``; any exception makes it a miss."""
        ...


class Compressor(Protocol):
    """Bytes to fewer bytes and back. ``id`` (1 to 255) is written before the bytes."""

    id: int

    def compress(self, data: bytes) -> bytes:
        """Return the compressed bytes."""
        ...

    def decompress(self, data: bytes, limit: int) -> bytes:
        """Return the bytes; raise ValueError if they are over ``limit`` or broken."""
        ...


Factory = Callable[..., Awaitable[Any] | Any]
