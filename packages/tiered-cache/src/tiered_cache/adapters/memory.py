"""A shared level and a backplane within one process."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._common.clock import Clock, SystemClock
from ..errors import BackendError
from ..keys import glob_matches
from ..ports import (
    LATEST,
    Backplane,
    Capabilities,
    Message,
    Read,
    RemoteTier,
    TagVersion,
    Write,
)


@dataclass
class _Shelf:
    """What memory remotes of one process may share."""

    values: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    fences: dict[str, int] = field(default_factory=dict)
    versions: dict[str, TagVersion] = field(default_factory=dict)
    leases: dict[str, tuple[str, float]] = field(default_factory=dict)


class MemoryRemote(RemoteTier):
    """A shared level in this process: for tests of several caches side by side."""

    capabilities = Capabilities(shared=True, leases=True)

    def __init__(self, *, clock: Clock | None = None, shelf: Any = None) -> None:
        """Start empty, or on the ``shelf`` of another one."""
        self._clock = clock or SystemClock()
        self.shelf: _Shelf = shelf if isinstance(shelf, _Shelf) else _Shelf()

    async def read(self, keys: Sequence[str], tags: Sequence[str], *, fences: bool = True) -> Read:
        now = self._clock.time()
        values = self.shelf.values
        found = {key: values[key][0] for key in keys if key in values and values[key][1] > now}
        numbers = {key: self.shelf.fences.get(key, 0) for key in keys}
        return Read(found, numbers, {tag: self._version(tag) for tag in tags})

    def _version(self, tag: str) -> TagVersion:
        versions, now = self.shelf.versions, int(self._clock.time() * 1e6)
        # beside the highest version stands the one of the beginning, which unbumped tags have
        began = versions.setdefault(LATEST, TagVersion(now, now)).hard
        return versions.get(tag, TagVersion(began, began))

    async def write(self, items: Sequence[Write]) -> Sequence[bool]:
        return [self._write(item) for item in items]

    def _write(self, item: Write) -> bool:
        fence = self.shelf.fences.get(item.key, 0)
        if item.fence is not None and item.fence != fence:
            return False
        if item.fence is None:
            self._move_fence(item.key)
            if item.age and fence > (self._clock.time() - item.age) * 1e6:
                self.shelf.values.pop(item.key, None)
                return False
        self.shelf.values[item.key] = (item.data, self._clock.time() + item.ttl)
        return True

    def _move_fence(self, key: str) -> None:
        self.shelf.fences[key] = max(
            int(self._clock.time() * 1e6), self.shelf.fences.get(key, 0) + 1
        )

    async def list_keys(self, pattern: str, limit: int) -> list[str]:
        return [key for key in self.shelf.values if glob_matches(pattern, key)][:limit]

    async def acquire(self, name: str, token: str, ttl: float) -> bool:
        holder, until = self.shelf.leases.get(name, ("", 0.0))
        now = self._clock.time()
        if until > now and holder != token:
            return False
        self.shelf.leases[name] = token, now + ttl
        return True

    async def release(self, name: str, token: str) -> bool:
        holder, until = self.shelf.leases.get(name, ("", 0.0))
        if holder != token:
            return False
        del self.shelf.leases[name]
        return until > self._clock.time()

    async def delete(self, keys: Sequence[str]) -> int:
        count = 0
        for key in keys:
            self._move_fence(key)
            count += self.shelf.values.pop(key, None) is not None
        return count

    async def bump(self, tags: Sequence[str], *, soft: bool = False) -> Mapping[str, TagVersion]:
        made: dict[str, TagVersion] = {}
        for tag in tags:
            last, old = self._version(LATEST), self._version(tag)
            version = max(int(self._clock.time() * 1e6), last.version + 1)
            made[tag] = TagVersion(version, old.hard if soft else version)
            self.shelf.versions |= {tag: made[tag], LATEST: TagVersion(version, last.hard)}
        return made

    async def delete_pattern(self, pattern: str) -> int:
        return await self.delete([key for key in self.shelf.values if glob_matches(pattern, key)])


class MemoryBackplane(Backplane):
    """Reaches the other memory backplanes of the same ``hub`` at once."""

    def __init__(
        self, hub: "list[MemoryBackplane] | None" = None, *, clock: Clock | None = None
    ) -> None:
        """Join ``hub``; alone if None."""
        self.hub = [] if hub is None else hub
        self._clock = clock or SystemClock()
        self._on_message: Callable[[Message], None] | None = None
        self._on_gap: Callable[[], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lost_at: float | None = None

    async def start(
        self, on_message: Callable[[Message], None], on_gap: Callable[[], None]
    ) -> None:
        if self._on_message is None:
            self._on_message, self._on_gap = on_message, on_gap
            self._loop = asyncio.get_running_loop()
            self.hub.append(self)

    async def publish(self, message: Message) -> None:
        if self._lost_at is not None:
            raise BackendError("the backplane is cut", retryable=True)
        for other in self.hub:
            if other is not self:
                other.receive(message)

    def receive(self, message: Message) -> None:
        """Take a message, unless cut off."""
        if self._lost_at is None and self._on_message is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._on_message, message)

    def cut(self) -> None:
        """Hear nothing and reach nobody from now on; for tests."""
        self._lost_at = self._clock.monotonic()

    def heal(self) -> None:
        """Listen again, and say that messages were lost."""
        self._lost_at = None
        if self._on_gap is not None:
            self._on_gap()

    @property
    def last_alive(self) -> float:
        return self._clock.monotonic() if self._lost_at is None else self._lost_at

    async def aclose(self) -> None:
        self.detach()

    def detach(self) -> None:
        if self in self.hub:
            self.hub.remove(self)
        self._on_message = self._on_gap = self._loop = None
