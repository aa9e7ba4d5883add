"""The shared level in Redis or Valkey (6.2 or newer), and its backplane by publish/subscribe.

Keys below the prefix: ``v:KEY`` the value, ``f:KEY`` its fence, ``tags`` a hash of versions. Fences
and versions change in the same script as what they guard, by the server's clock.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import msgspec

from .._common.clock import Clock, SystemClock, new_id
from .._common.redis import connect, translated
from ..errors import BackendError
from ..ports import (
    FENCE_LIFE,
    LATEST,
    Backplane,
    Capabilities,
    Message,
    Read,
    RemoteTier,
    TagVersion,
    Write,
)

if TYPE_CHECKING:
    from redis.asyncio import Redis

_NOW = "local t = redis.call('TIME') local now = t[1] * 1000000 + t[2] "
_WRITE = (
    _NOW + "local done = {} for i = 1, #KEYS, 2 do local a = (i - 1) / 2 * 3 "
    "local fence = redis.call('GET', KEYS[i + 1]) or '0' "
    "if ARGV[a + 3] ~= '' and ARGV[a + 3] ~= fence then done[#done + 1] = 0 else "
    "if ARGV[a + 3] == '' then local n = string.format('%.0f', math.max(now, fence + 1)) "
    f"redis.call('SET', KEYS[i + 1], n, 'EX', {FENCE_LIFE:.0f}) end "
    "redis.call('SET', KEYS[i], ARGV[a + 1], 'PX', ARGV[a + 2]) "
    "done[#done + 1] = 1 end end return done"
)
_DELETE = (
    _NOW + "local n = 0 for i = 1, #KEYS, 2 do n = n + redis.call('UNLINK', KEYS[i]) "
    "local fence = redis.call('GET', KEYS[i + 1]) or '0' "
    "redis.call('SET', KEYS[i + 1], string.format('%.0f', math.max(now, fence + 1)), "
    f"'EX', {FENCE_LIFE:.0f}) end return n"
)
# KEYS[1] the hash; ARGV[1] 'soft' or 'hard'; then the tags, none to begin the hash. Its field ''
# has the highest version and that of the beginning, which tags have that were never bumped
_BUMP = (
    _NOW + "local function read(name, first) local raw = redis.call('HGET', KEYS[1], name) "
    "if not raw then return first, first end local at = string.find(raw, ':') "
    "return tonumber(string.sub(raw, 1, at - 1)), tonumber(string.sub(raw, at + 1)) end "
    "local function keep(name, version, hard) local raw = string.format('%.0f:%.0f', version, hard)"
    " redis.call('HSET', KEYS[1], name, raw) return raw end "
    "local last, began = read('', now) local out = {} for i = 2, #ARGV do "
    "local _, hard = read(ARGV[i], began) last = math.max(now, last + 1) "
    "if ARGV[1] == 'hard' then hard = last end "
    "out[#out + 1] = keep(ARGV[i], last, hard) end "
    "out[#out + 1] = keep('', last, began) return out"
)
_encode = msgspec.msgpack.Encoder().encode
_ESCAPED = str.maketrans({char: f"\\{char}" for char in "*?[]\\"})


def _connect(url: str, timeout: float) -> "Redis":
    return connect(url, dist="tiered-cache", timeout=timeout)


def _translated(url: str) -> AbstractAsyncContextManager[None]:
    return translated(url, BackendError, dist="tiered-cache")


class RedisTier(RemoteTier):
    """Values in Redis. A read is one pipeline, every change one script."""

    capabilities = Capabilities(shared=True, durable=True)

    def __init__(
        self,
        url: str,
        *,
        key_prefix: str = "cache:",
        timeout: float = 1.0,
        client: "Redis | None" = None,
    ) -> None:
        """Describe the server; the first call connects.

        Args:
            url: ``redis://``, ``rediss://`` or ``unix://``.
            key_prefix: Before every key; may hold any character.
            timeout: Seconds for connecting and for each answer.
            client: A ready client (``decode_responses=False``); it is not closed by us.
        """
        self._url, self._prefix, self._timeout = url, key_prefix, timeout
        self._client, self._owns_client = client, client is None

    @property
    def _redis(self) -> "Redis":
        if self._client is None:
            self._client = _connect(self._url, self._timeout)
        return self._client

    def _value(self, key: str) -> str:
        return f"{self._prefix}v:{key}"

    def _fence(self, key: str) -> str:
        return f"{self._prefix}f:{key}"

    async def read(self, keys: Sequence[str], tags: Sequence[str]) -> Read:
        async with _translated(self._url):
            pipe = self._redis.pipeline(transaction=False)
            if keys:
                pipe.mget([*map(self._value, keys), *map(self._fence, keys)])
            if tags:
                pipe.hmget(f"{self._prefix}tags", [LATEST, *tags])
            answers: list[Any] = await pipe.execute()
        found = answers[0] if keys else []
        values = {key: data for key, data in zip(keys, found, strict=False) if data is not None}
        fences = {key: int(raw or 0) for key, raw in zip(keys, found[len(keys) :], strict=True)}
        return Read(values, fences, await self._versions(tags, answers[-1] if tags else []))

    async def _versions(self, tags: Sequence[str], raws: Sequence[Any]) -> dict[str, TagVersion]:
        if not tags:
            return {}
        latest, *own = (None if raw is None else _version(raw) for raw in raws)
        if latest is None:
            latest = (await self._bump("hard", []))[LATEST]
        first = TagVersion(latest.hard, latest.hard)
        found = zip(tags, own, strict=True)
        return {tag: latest if tag == LATEST else version or first for tag, version in found}

    async def _bump(self, mode: str, tags: Sequence[str]) -> dict[str, TagVersion]:
        async with _translated(self._url):
            raws: Any = await self._redis.eval(_BUMP, 1, f"{self._prefix}tags", mode, *tags)
        return {tag: _version(raw) for tag, raw in zip([*tags, LATEST], raws, strict=True)}

    async def write(self, items: Sequence[Write]) -> Sequence[bool]:
        keys = [name for item in items for name in (self._value(item.key), self._fence(item.key))]
        values: list[Any] = []
        for item in items:
            fence = "" if item.fence is None else str(item.fence)
            values += [item.data, max(1, int(item.ttl * 1000)), fence]
        async with _translated(self._url):
            done: Any = await self._redis.eval(_WRITE, len(keys), *keys, *values)
        return [bool(each) for each in done]

    async def delete(self, keys: Sequence[str]) -> int:
        if not keys:
            return 0
        names = [name for key in keys for name in (self._value(key), self._fence(key))]
        async with _translated(self._url):
            return int(await self._redis.eval(_DELETE, len(names), *names))

    async def bump(self, tags: Sequence[str], *, soft: bool = False) -> Mapping[str, TagVersion]:
        if not tags:
            return {}
        made = await self._bump("soft" if soft else "hard", tags)
        return {tag: made[tag] for tag in tags}

    async def delete_pattern(self, pattern: str) -> int:
        start = f"{self._prefix}v:"
        count, batch = 0, list[str]()
        async with _translated(self._url):
            # SCAN, never KEYS; the prefix is escaped, so that the pattern cannot leave it
            found = self._redis.scan_iter(match=start.translate(_ESCAPED) + pattern, count=1000)
            async for raw in found:
                batch.append(bytes(raw).decode()[len(start) :])
                if len(batch) >= 1000:
                    count += await self.delete(batch)
                    batch.clear()
        return count + await self.delete(batch)

    async def aclose(self) -> None:
        if self._owns_client and self._client is not None:
            client, self._client = self._client, None
            with contextlib.suppress(OSError):
                await client.aclose()

    def detach(self) -> None:
        if self._owns_client:
            self._client = None


def _version(raw: bytes) -> TagVersion:
    version, _, hard = bytes(raw).partition(b":")
    return TagVersion(int(version), int(hard))


class RedisBackplane(Backplane):
    """Messages by publish/subscribe. A ping each half second tells whether we still listen."""

    def __init__(
        self,
        url: str,
        *,
        key_prefix: str = "cache:",
        timeout: float = 1.0,
        clock: Clock | None = None,
    ) -> None:
        """Use the channel ``<prefix>backplane`` of the server."""
        self._url, self._channel, self._timeout = url, f"{key_prefix}backplane", timeout
        self._clock, self._node = clock or SystemClock(), new_id()
        self._client: Redis | None = None
        self._task: asyncio.Task[None] | None = None
        self._alive = float("-inf")
        self._stopped = False

    async def start(
        self, on_message: Callable[[Message], None], on_gap: Callable[[], None]
    ) -> None:
        if self._task is not None and not self._task.done():
            return
        self._stopped = False
        ready = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(
            self._listen(on_message, on_gap, ready), name="cache-backplane"
        )
        await asyncio.wait(
            [ready, self._task], timeout=self._timeout, return_when="FIRST_COMPLETED"
        )

    async def _listen(
        self,
        on_message: Callable[[Message], None],
        on_gap: Callable[[], None],
        ready: "asyncio.Future[None]",
    ) -> None:
        pause = 0.05
        # a flag beside the cancellation: redis-py can lose one before Python 3.12
        while not self._stopped:
            try:
                async with _translated(self._url):
                    await self._subscribed(on_message, on_gap, ready)
            except BackendError:
                await asyncio.sleep(pause)
                pause = min(1.0, pause * 2)
            else:
                pause = 0.05

    async def _subscribed(
        self,
        on_message: Callable[[Message], None],
        on_gap: Callable[[], None],
        ready: "asyncio.Future[None]",
    ) -> None:
        pubsub = self._redis.pubsub()
        try:
            await pubsub.subscribe(self._channel)
            while not self._stopped:
                item: Any = await pubsub.get_message(timeout=0.5)
                if item is None:
                    if self._clock.monotonic() - self._alive > 2 * self._timeout + 1:
                        raise ConnectionError("no answer to ping")
                    await pubsub.ping()
                    continue
                self._alive = self._clock.monotonic()
                if item["type"] == "subscribe":
                    # what was sent before this moment was missed
                    on_gap() if ready.done() else ready.set_result(None)
                elif item["type"] == "message":
                    self._receive(bytes(item["data"]), on_message, on_gap)
        finally:
            with contextlib.suppress(Exception):
                await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py

    def _receive(
        self, data: bytes, on_message: Callable[[Message], None], on_gap: Callable[[], None]
    ) -> None:
        try:
            found = _body.decode(data)
        except (msgspec.DecodeError, TypeError):
            on_gap()
            return
        if found.node != self._node:
            tags = {tag: TagVersion(*value) for tag, value in found.tags.items()}
            on_message(Message(found.keys, tags))

    async def publish(self, message: Message) -> None:
        tags = {tag: (v.version, v.hard) for tag, v in message.tags.items()}
        async with _translated(self._url):
            await self._redis.publish(
                self._channel, _encode(_Body(self._node, list(message.keys), tags))
            )

    @property
    def _redis(self) -> "Redis":
        if self._client is None:
            self._client = _connect(self._url, self._timeout)
        return self._client

    @property
    def last_alive(self) -> float:
        return self._alive

    async def aclose(self) -> None:
        self._stopped = True
        task, self._task = self._task, None
        while task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=1.0)
        if self._client is not None:
            client, self._client = self._client, None
            with contextlib.suppress(OSError):
                await client.aclose()
        self._alive = float("-inf")

    def detach(self) -> None:
        self._stopped = True
        task, self._task = self._task, None
        if task is not None and not task.get_loop().is_closed():
            task.get_loop().call_soon_threadsafe(task.cancel)
        self._client, self._alive = None, float("-inf")


class _Body(msgspec.Struct, array_like=True):
    node: str
    keys: list[str]
    tags: dict[str, tuple[int, int]]


_body = msgspec.msgpack.Decoder(_Body)
