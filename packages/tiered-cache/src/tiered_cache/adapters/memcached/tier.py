"""The shared level in memcached. What belongs to a key is one item, so that it changes in one step.

An item is its fence (16 bytes), its expiry (8 bytes) and the value. A key that was deleted, or read
before a factory runs, has an item without a value. A factory's value is stored in place of the
item with the same fence only: where memcached evicted it, or was emptied or restarted, the value is
not stored, for its key may have been deleted meanwhile. No fence is ever given twice.
"""

import hashlib
import secrets
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ..._common.clock import Clock, SystemClock
from ...errors import BackendError, UnsupportedOperationError
from ...ports import FENCE_LIFE, Capabilities, Read, RemoteTier, TagVersion, Write
from .connections import Connections, Held, Put
from .versions import Versions

_HEAD = struct.Struct(">QQd")
_ATTEMPTS = 20
_NONCE = 64


class _Item(NamedTuple):
    """What there is of a key."""

    fence: int
    data: bytes | None

    @property
    def changed(self) -> int:
        """When the key was set or deleted, in microseconds; 0 for never."""
        return self.fence >> _NONCE


_ABSENT = _Item(0, None)


class MemcachedTier(RemoteTier):
    """Values in one memcached (extra ``memcached``).

    It has no way to list keys or to tell of changes: ``delete_pattern`` is refused, and L1 serves
    what others may change for ``suspect_after`` seconds. Expiry is by the clocks of the processes.
    A proxy that spreads keys over several servers may not stand before it.
    """

    capabilities = Capabilities(shared=True, leases=True, patterns=False)

    def __init__(
        self,
        url: str,
        *,
        key_prefix: str = "cache:",
        timeout: float = 1.0,
        clock: Clock | None = None,
    ) -> None:
        """Describe the server; the first call connects.

        Args:
            url: ``memcached://host:11211``.
            key_prefix: Before every key and tag.
            timeout: Not used: the cache limits every call.
            clock: Gives the time of expiry and of versions.

        Raises:
            ConfigurationError: The URL names no host, or has options.
        """
        self._connections = Connections(url)
        self._prefix, self._clock = key_prefix, clock or SystemClock()
        self._versions = Versions(lambda tag: self._name("t", tag), self._clock)

    def _name(self, kind: str, name: str) -> bytes:
        # memcached allows 250 bytes without spaces and control characters: a digest always fits
        digest = hashlib.sha256(f"{self._prefix}\0{name}".encode()).hexdigest()
        return f"{kind}:{digest}".encode()

    def _value(self, key: str) -> bytes:
        return self._name("v2", key)

    # -- reading -----------------------------------------------------------------------------

    async def read(self, keys: Sequence[str], tags: Sequence[str], *, fences: bool = True) -> Read:
        names, labels = [self._value(key) for key in keys], self._versions.names(tags)
        if not names and not labels:
            return Read({}, {}, {})
        async with self._connections.held() as held:
            seen = self._versions.seen
            found, tokens = await held.gets([*names, *labels])
            items = [self._opened(found.get(name)) for name in names]
            if fences:
                items = await self._fenced(held, names, items, tokens)
            versions = await self._versions.of(held, tags, (found, tokens), seen)
        pairs = list(zip(keys, items, strict=True))
        values = {key: item.data for key, item in pairs if item.data is not None}
        return Read(values, {key: item.fence for key, item in pairs}, versions)

    def _opened(self, raw: bytes | None) -> _Item:
        if raw is None or len(raw) < _HEAD.size:
            return _ABSENT
        changed, nonce, expires = _HEAD.unpack_from(raw)
        data = raw[_HEAD.size :] if expires > self._clock.time() else None
        return _Item(changed << _NONCE | nonce, data)

    async def _fenced(
        self,
        held: Held,
        names: Sequence[bytes],
        items: list[_Item],
        tokens: Mapping[bytes, int],
    ) -> list[_Item]:
        """Give a fence to those that have none; return what there is then."""
        pairs = list(zip(names, items, strict=True))
        without = list(dict.fromkeys(name for name, item in pairs if not item.fence))
        # in place of foreign bytes, too
        puts = [Put(name, _made(0, 0.0), FENCE_LIFE, tokens.get(name)) for name in without]
        await held.put(puts)
        found, _ = await held.gets(without)
        return [item if item.fence else self._opened(found.get(name)) for name, item in pairs]

    # -- changing ----------------------------------------------------------------------------

    async def write(self, items: Sequence[Write]) -> Sequence[bool]:
        done = [True] * len(items)

        def replaced(at: int, old: _Item) -> tuple[bytes, float] | None:
            item, now = items[at], self._clock.time()
            life = max(item.ttl, FENCE_LIFE)
            if item.fence is not None:
                done[at] = bool(old.fence) and old.fence == item.fence
                return (_packed(old.fence, now + item.ttl, item.data), life) if done[at] else None
            done[at] = not (item.age and old.changed > (now - item.age) * 1e6)
            expires, data = (now + item.ttl, item.data) if done[at] else (0.0, b"")
            return _made(self._after(old), expires, data), life

        await self._change([self._value(item.key) for item in items], replaced)
        return done

    async def delete(self, keys: Sequence[str]) -> int:
        def deleted(_: int, old: _Item) -> tuple[bytes, float]:
            return _made(self._after(old), 0.0), FENCE_LIFE

        before = await self._change([self._value(key) for key in keys], deleted)
        return sum(item.data is not None for item in before)

    def _after(self, old: _Item) -> int:
        return max(int(self._clock.time() * 1e6), old.changed + 1)

    async def _change(
        self,
        names: Sequence[bytes],
        change: Callable[[int, _Item], tuple[bytes, float] | None],
    ) -> list[_Item]:
        """Replace items, each in one step, and return what was there.

        Args:
            names: Which.
            change: Returns the bytes and the life of what takes the place of the item with this
                number, or None to leave it.
        """
        before = [_ABSENT] * len(names)
        left = list(range(len(names)))
        for _ in range(_ATTEMPTS):
            async with self._connections.held() as held:
                found, tokens = await held.gets([names[at] for at in left])
                puts: dict[int, Put] = {}
                for at in left:
                    before[at] = self._opened(found.get(name := names[at]))
                    if (made := change(at, before[at])) is not None:
                        puts[at] = Put(name, *made, tokens.get(name))
                done = await held.put(list(puts.values()))
            left = [at for at, stored in zip(puts, done, strict=True) if not stored]
            if not left:
                return before
        raise BackendError(f"{self._connections.url}: a key changes all the time", retryable=True)

    async def bump(self, tags: Sequence[str], *, soft: bool = False) -> Mapping[str, TagVersion]:
        if not tags:
            return {}
        async with self._connections.held() as held:
            return await self._versions.bump(held, tags, soft=soft)

    async def delete_pattern(self, pattern: str) -> int:
        raise UnsupportedOperationError("memcached cannot list its keys: invalidate by tags")

    # -- leases ------------------------------------------------------------------------------

    async def acquire(self, name: str, token: str, ttl: float) -> bool:
        key, mine = self._name("l", name), token.encode()
        async with self._connections.held() as held:
            if (await held.put([Put(key, mine, ttl + 1, None)]))[0]:
                return True
            found, tokens = await held.gets([key])
            if found.get(key, b"?") not in {mine, b""}:
                return False
            return (await held.put([Put(key, mine, ttl + 1, tokens[key])]))[0]

    async def release(self, name: str, token: str) -> bool:
        key = self._name("l", name)
        async with self._connections.held() as held:
            found, tokens = await held.gets([key])
            if found.get(key) != token.encode():
                return False
            # free is who has no holder: a plain delete could meet another's lease
            return (await held.put([Put(key, b"", 1, tokens[key])]))[0]

    # -- life --------------------------------------------------------------------------------

    async def aclose(self) -> None:
        await self._connections.aclose()

    def detach(self) -> None:
        self._connections.detach()


def _made(changed: int, expires: float, data: bytes = b"") -> bytes:
    """Return an item with a fence that nobody has had before."""
    return _packed(changed << _NONCE | secrets.randbits(_NONCE - 1) + 1, expires, data)


def _packed(fence: int, expires: float, data: bytes) -> bytes:
    return _HEAD.pack(fence >> _NONCE, fence & (1 << _NONCE) - 1, expires) + data
