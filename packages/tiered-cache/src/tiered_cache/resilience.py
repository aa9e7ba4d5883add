"""Resilience: the shared level behind a time limit, a circuit breaker and a queue of changes."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from typing import TypeVar

from ._common.clock import Clock
from ._common.home import Home
from .errors import BackendError
from .keys import stored_key
from .ports import ALL, Backplane, Message, Read, RemoteTier, TagVersion, Write

T = TypeVar("T")
logger = logging.getLogger(__name__)
_OPEN_FOR = 1.0
_MOST_PENDING = 10_000


class SharedLevel:
    """What the cache asks of L2. No method raises for a fault: it says that there is no answer.

    After a fault the level is left alone for a second (breaker). Invalidations of that time wait,
    the last one per key winning, and are replayed before anything is read again; if there are too
    many, everything is invalidated instead. A change whose caller was cancelled halfway waits, too:
    nobody knows how far it came.
    """

    def __init__(
        self,
        remote: RemoteTier,
        backplane: Backplane | None,
        *,
        home: Home,
        clock: Clock,
        timeout: float,
        rng: random.Random,
    ) -> None:
        """Guard ``remote`` and ``backplane``; every call ends within ``timeout`` seconds."""
        self.remote, self.backplane = remote, backplane
        self._home, self._clock, self._timeout, self._rng = home, clock, timeout, rng
        self._open_until = float("-inf")
        self._pending_keys: dict[str, None] = {}
        self._pending_tags: dict[str, bool] = {}
        self.errors = 0
        self.last_error: Exception | None = None
        self.on_replayed: Callable[[Mapping[str, TagVersion]], None] = lambda _: None

    @property
    def is_open(self) -> bool:
        """Whether the breaker keeps calls away."""
        return self._clock.monotonic() < self._open_until

    @property
    def last_alive(self) -> float:
        """When messages of other processes last reached us for sure, in monotonic seconds."""
        return float("-inf") if self.backplane is None else self.backplane.last_alive

    async def read(self, keys: Sequence[str], tags: Sequence[str]) -> Read | None:
        """Return what is there, or None without an answer."""
        names = {stored_key(key): key for key in keys}
        found = await self._call(lambda: self.remote.read(list(names), tags))
        if found is None:
            return None
        values = {names[name]: data for name, data in found.values.items()}
        fences = {names[name]: fence for name, fence in found.fences.items()}
        return Read(values, fences, found.versions)

    async def write(self, items: Sequence[Write]) -> Sequence[bool] | None:
        """Store values and, where they replace others, tell the other processes."""
        named = [Write(stored_key(i.key), i.data, i.ttl, i.fence) for i in items]
        replaced = [item.key for item in items if item.fence is None]
        with self._unless_done(replaced):
            done = await self._call(lambda: self.remote.write(named))
            if done is None:
                self._wait_for(replaced, (), soft=False)
            elif replaced:
                await self._tell(Message(replaced))
        return done

    async def delete(self, keys: Sequence[str]) -> bool:
        """Drop values everywhere; return whether the shared level has done it."""
        names = [stored_key(key) for key in keys]
        with self._unless_done(keys):
            if await self._call(lambda: self.remote.delete(names)) is None:
                self._wait_for(keys, (), soft=False)
                return False
            return await self._tell(Message(keys))

    async def bump(self, tags: Sequence[str], *, soft: bool) -> Mapping[str, TagVersion] | None:
        """Invalidate tags everywhere; return their versions, or None without an answer."""
        with self._unless_done((), tags, soft=soft):
            made = await self._call(lambda: self.remote.bump(tags, soft=soft))
            if made is None:
                self._wait_for((), tags, soft=soft)
                return None
            await self._tell(Message((), made))
            return made

    async def delete_pattern(self, pattern: str) -> int | None:
        """Drop matching values; may take longer than one call."""
        return await self._call(lambda: self.remote.delete_pattern(pattern), patience=60.0)

    async def tell(self, message: Message) -> bool:
        """Tell the other processes; return whether the backplane took it."""
        return await self._tell(message)

    @contextlib.contextmanager
    def _unless_done(
        self, keys: Sequence[str], tags: Sequence[str] = (), *, soft: bool = False
    ) -> Generator[None, None, None]:
        try:
            yield
        except asyncio.CancelledError:
            self._wait_for(keys, tags, soft=soft)
            raise

    async def _tell(self, message: Message) -> bool:
        if self.backplane is None:
            return True
        backplane = self.backplane
        told = await self._call(lambda: self._published(backplane, message), replay=False)
        if told is None:
            self._wait_for(message.keys, list(message.tags), soft=False)
        return bool(told)

    @staticmethod
    async def _published(backplane: Backplane, message: Message) -> bool:
        await backplane.publish(message)
        return True

    async def _call(
        self,
        call: Callable[[], Awaitable[T]],
        *,
        replay: bool = True,
        patience: float | None = None,
    ) -> T | None:
        if self.is_open:
            return None
        limit = patience or self._timeout
        return await self._home.run(self._guarded, call, replay=replay, limit=limit)

    async def _guarded(
        self, call: Callable[[], Awaitable[T]], *, replay: bool, limit: float
    ) -> T | None:
        try:
            async with asyncio.timeout(limit):
                if replay and (self._pending_keys or self._pending_tags):
                    await self._replay()
                return await call()
        except (BackendError, TimeoutError, OSError) as exc:
            self.errors += 1
            self.last_error = exc
            # spread over processes, so that they do not all probe at once
            self._open_until = self._clock.monotonic() + _OPEN_FOR * self._rng.uniform(0.8, 1.2)
            logger.warning("cache.l2_failed", extra={"error": type(exc).__name__})
            return None

    def _wait_for(self, keys: Sequence[str], tags: Sequence[str], *, soft: bool) -> None:
        for key in keys:
            self._pending_keys.pop(key, None)
            self._pending_keys[key] = None
        for tag in tags:
            # a hard invalidation is not weakened by a soft one after it
            self._pending_tags[tag] = self._pending_tags.get(tag, True) and soft
        if len(self._pending_keys) + len(self._pending_tags) > _MOST_PENDING:
            self._pending_keys.clear()
            self._pending_tags = {ALL: False}

    async def _replay(self) -> None:
        keys, tags = list(self._pending_keys), dict(self._pending_tags)
        if keys:
            await self.remote.delete([stored_key(key) for key in keys])
        made: dict[str, TagVersion] = {}
        for soft in (False, True):
            if some := [tag for tag, is_soft in tags.items() if is_soft is soft]:
                made |= await self.remote.bump(some, soft=soft)
        self.on_replayed(made)
        if self.backplane is not None:
            await self.backplane.publish(Message(keys, made))
        for key in keys:
            self._pending_keys.pop(key, None)
        for tag, soft in tags.items():
            if self._pending_tags.get(tag) is soft:
                del self._pending_tags[tag]
        logger.info("cache.l2_recovered", extra={"keys": len(keys), "tags": len(tags)})

    @property
    def has_pending(self) -> bool:
        """Whether invalidations wait for the shared level."""
        return bool(self._pending_keys or self._pending_tags)
