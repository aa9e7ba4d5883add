"""The shared level in memcached. What belongs to a key is one item, so that it changes in one step.

An item is its fence (8 bytes), its expiry (8 bytes) and the value; a deleted key keeps an item
without a value, so that a factory that runs meanwhile finds another fence. Versions of tags are
items, too: one that memcached evicted is begun anew at the highest version so far, which makes a
miss of every value that carries an older one.
"""

import asyncio
import contextlib
import hashlib
import struct
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from .._common.clock import Clock, SystemClock
from .._common.extras import require
from .._common.urls import query_of, redact
from ..errors import BackendError, ConfigurationError, UnsupportedOperationError
from ..ports import FENCE_LIFE, LATEST, Capabilities, Read, RemoteTier, TagVersion, Write

_HEAD = struct.Struct(">Qd")
_PORT = 11211
_ATTEMPTS = 20
_MONTH = 30 * 24 * 3600


class MemcachedTier(RemoteTier):
    """Values in one memcached (extra ``memcached``).

    It has no way to list keys or to tell of changes: ``delete_pattern`` is refused, and L1 serves
    what others may change for ``suspect_after`` seconds. What it evicts for want of memory is lost
    together with its fence. Expiry is by the clocks of the processes.
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
        query_of(url, allowed=frozenset())
        parts = urlsplit(url)
        if not parts.hostname:
            raise ConfigurationError(f"no host in {redact(url)!r}: memcached://host:{_PORT}")
        self._url, self._prefix, self._clock = url, key_prefix, clock or SystemClock()
        try:
            self._host, self._port = parts.hostname, parts.port or _PORT
        except ValueError as exc:
            raise ConfigurationError(f"{redact(url)!r}: {exc}") from exc
        self._client: Any = None
        # now: importing takes longer than the first call may
        require("aiomcache", dist="tiered-cache", extra="memcached")

    @property
    def _memcached(self) -> Any:
        if self._client is None:
            library: Any = require("aiomcache", dist="tiered-cache", extra="memcached")
            self._client = library.Client(self._host, self._port, pool_size=4)
            _mend(self._client._pool)  # noqa: SLF001  no other way to it
        return self._client

    @contextlib.asynccontextmanager
    async def _faults(self) -> AsyncGenerator[Any, None]:
        library: Any = require("aiomcache", dist="tiered-cache", extra="memcached")
        try:
            yield self._memcached
        except (library.exceptions.ClientException, OSError, EOFError) as exc:
            text = f"{redact(self._url)}: {type(exc).__name__}: {str(exc)[:200]}"
            raise BackendError(text, retryable=isinstance(exc, OSError | EOFError)) from exc

    def _name(self, kind: str, name: str) -> bytes:
        # memcached allows 250 bytes without spaces and control characters: a digest always fits
        digest = hashlib.sha256(f"{self._prefix}\0{name}".encode()).hexdigest()
        return f"{kind}:{digest}".encode()

    # -- reading -----------------------------------------------------------------------------

    async def read(self, keys: Sequence[str], tags: Sequence[str], *, fences: bool = True) -> Read:
        names = [self._name("v", key) for key in keys]
        wanted = dict.fromkeys([LATEST, *tags]) if tags else {}
        labels = [self._name("t", tag) for tag in wanted]
        async with self._faults() as client:
            found = await client.multi_get(*names, *labels) if names or labels else ()
        values: dict[str, bytes] = {}
        numbers: dict[str, int] = {}
        for key, item in zip(keys, found, strict=False):
            numbers[key], data = self._opened(item)
            if data is not None:
                values[key] = data
        raws = dict(zip(wanted, found[len(keys) :], strict=True))
        return Read(values, numbers, await self._versions(tags, raws))

    def _opened(self, item: bytes | None) -> tuple[int, bytes | None]:
        if item is None or len(item) < _HEAD.size:
            return 0, None
        fence, expires = _HEAD.unpack_from(item)
        return fence, item[_HEAD.size :] if expires > self._clock.time() else None

    async def _versions(
        self, tags: Sequence[str], raws: Mapping[str, bytes | None]
    ) -> dict[str, TagVersion]:
        if not tags:
            return {}
        latest = await self._latest(raws[LATEST])
        found = {LATEST: TagVersion(latest, latest)}
        for tag in tags:
            if tag not in found:
                found[tag] = await self._begun(tag, raws.get(tag), latest)
        return {tag: found[tag] for tag in tags}

    async def _latest(self, raw: bytes | None) -> int:
        name = self._name("t", LATEST)
        while raw is None:
            # begun, or begun anew, by the clock: more than was ever given by counting
            seed = str(int(self._clock.time() * 1e6)).encode()
            async with self._faults() as client:
                await client.add(name, seed)
                raw = await client.get(name)
        return int(raw)

    async def _begun(self, tag: str, raw: bytes | None, latest: int) -> TagVersion:
        name = self._name("t", tag)
        while raw is None:
            async with self._faults() as client:
                await client.add(name, f"{latest}:{latest}".encode())
                raw = await client.get(name)
        version, _, hard = raw.partition(b":")
        return TagVersion(int(version), int(hard))

    # -- changing ----------------------------------------------------------------------------

    async def write(self, items: Sequence[Write]) -> Sequence[bool]:
        return [await self._write(item) for item in items]

    async def _write(self, item: Write) -> bool:
        for _ in range(_ATTEMPTS):
            fence, _, token = await self._gets(item.key)
            if item.fence is not None and item.fence != fence:
                return False
            now = self._clock.time()
            new = fence if item.fence is not None else max(int(now * 1e6), fence + 1)
            late = item.fence is None and bool(item.age) and fence > (now - item.age) * 1e6
            made = _HEAD.pack(new, now if late else now + item.ttl) + (b"" if late else item.data)
            if await self._put(item.key, made, token, max(item.ttl, FENCE_LIFE)):
                return not late
        raise BackendError(f"{redact(self._url)}: a key changes all the time", retryable=True)

    async def _gets(self, key: str) -> tuple[int, bool, int | None]:
        """Return fence, whether there is a value, and the token to change the item by."""
        async with self._faults() as client:
            item, token = await client.gets(self._name("v", key))
        fence, data = self._opened(item)
        return fence, data is not None, token

    async def _put(self, key: str, item: bytes, token: int | None, life: float) -> bool:
        name, seconds = self._name("v", key), _seconds(life)
        async with self._faults() as client:
            if token is None:
                return bool(await client.add(name, item, seconds))
            return bool(await client.cas(name, item, token, seconds))

    async def delete(self, keys: Sequence[str]) -> int:
        return sum([await self._delete(key) for key in keys])

    async def _delete(self, key: str) -> bool:
        for _ in range(_ATTEMPTS):
            fence, there, token = await self._gets(key)
            new = max(int(self._clock.time() * 1e6), fence + 1)
            if await self._put(key, _HEAD.pack(new, 0.0), token, FENCE_LIFE):
                return there
        raise BackendError(f"{redact(self._url)}: a key changes all the time", retryable=True)

    async def bump(self, tags: Sequence[str], *, soft: bool = False) -> Mapping[str, TagVersion]:
        made: dict[str, TagVersion] = {}
        for tag in tags:
            made[tag] = await self._raise(tag, await self._next(), soft=soft)
        return made

    async def _next(self) -> int:
        """Return a version higher than any before."""
        name = self._name("t", LATEST)
        async with self._faults() as client:
            await self._latest(await client.get(name))
            version: int = await client.incr(name)
            return version

    async def _raise(self, tag: str, version: int, *, soft: bool) -> TagVersion:
        name = self._name("t", tag)
        for _ in range(_ATTEMPTS):
            async with self._faults() as client:
                raw, token = await client.gets(name)
                old = await self._begun(tag, raw, version - 1)
                if old.version >= version:
                    return old  # somebody bumped it after us, and was faster
                new = TagVersion(version, old.hard if soft else version)
                text = f"{new.version}:{new.hard}".encode()
                if token is not None and await client.cas(name, text, token):
                    return new
        raise BackendError(f"{redact(self._url)}: a tag changes all the time", retryable=True)

    async def delete_pattern(self, pattern: str) -> int:
        raise UnsupportedOperationError("memcached cannot list its keys: invalidate by tags")

    # -- leases ------------------------------------------------------------------------------

    async def acquire(self, name: str, token: str, ttl: float) -> bool:
        key, mine, seconds = self._name("l", name), token.encode(), int(ttl) + 2
        async with self._faults() as client:
            if await client.add(key, mine, seconds):
                return True
            holder, change = await client.gets(key)
            if holder not in {mine, b""} or change is None:
                return False
            return bool(await client.cas(key, mine, change, seconds))

    async def release(self, name: str, token: str) -> bool:
        key = self._name("l", name)
        async with self._faults() as client:
            holder, change = await client.gets(key)
            if holder != token.encode() or change is None:
                return False
            # free is who has no holder: a plain delete could meet another's lease
            return bool(await client.cas(key, b"", change, 1))

    # -- life --------------------------------------------------------------------------------

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(OSError):
                await client.close()

    def detach(self) -> None:
        self._client = None


def _mend(pool: Any) -> None:
    """Let a connection of the library end where its server or its command did.

    It waits for the rest of an answer that ended without letting anything else run, for ever. And
    it gives a connection back whose command was cancelled, with the answer yet to come, which the
    next command would take for its own: a change would count as made that was not.
    """
    connect, release = pool._create_new_conn, pool.release  # noqa: SLF001  no other way to it

    async def connected() -> Any:
        connection = await connect()
        if connection is not None:
            connection.reader.readline = partial(_whole_line, connection.reader.readline)
        return connection

    def checked(connection: Any) -> None:
        if isinstance(sys.exception(), asyncio.CancelledError):
            connection.reader.set_exception(ConnectionError("its command was cancelled"))
        release(connection)

    pool._create_new_conn, pool.release = connected, checked  # noqa: SLF001  as above


async def _whole_line(read: Callable[[], Awaitable[bytes]]) -> bytes:
    line = await read()
    if not line.endswith(b"\n"):
        raise ConnectionResetError("the server ended the connection")
    return line


def _seconds(life: float) -> int:
    # more than a month would be read as a date
    return max(1, min(_MONTH, int(life) + 1))
