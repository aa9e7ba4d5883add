"""What the cache asks of L2."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from .._common.clock import Clock
from .._common.home import Home
from ..errors import (
    ConfigurationError,
    MissingExtraError,
    UnsupportedOperationError,
)
from ..keys import stored_key
from ..ports import ALL, Backplane, Message, Read, RemoteTier, TagVersion, Write
from .batches import Batches
from .breaker import Breaker
from .limits import Limit
from .replaying import Replaying

T = TypeVar("T")
logger = logging.getLogger(__name__)
_AT_ONCE = 250


class SharedLevel(Replaying):
    """Guards L2. No method raises for a fault: it says that there is no answer.

    After a fault the level is left alone until a probe succeeds (breaker). Changes of that time
    wait, the last one per key winning, and are replayed in order before anything is read again. A
    change whose caller was cancelled halfway waits, too: nobody knows how far it came.
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
        lease: float = 0.0,
    ) -> None:
        """Guard ``remote`` and ``backplane``.

        Args:
            remote: L2.
            backplane: Tells other processes; None if nobody is told.
            home: The event loop on which they live.
            clock: Gives durations.
            timeout: Seconds within which every call ends.
            rng: Spreads pauses.
            lease: Seconds for which a process that dies keeps others from computing a key; 0 for
                no leases.
        """
        super().__init__(home=home, clock=clock, lease=lease if remote.capabilities.leases else 0.0)
        self.remote, self.backplane = remote, backplane
        self._timeout, self._rng = timeout, rng
        self._breaker = Breaker(self._probe, clock=clock, rng=rng)
        self._batches = Batches(self._read_now, self._write_now)
        self.errors = 0
        self.last_error: Exception | None = None

    # -- state -------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether the breaker keeps calls away."""
        return self._breaker.is_open

    @property
    def times_opened(self) -> int:
        """How often the breaker opened."""
        return self._breaker.opened

    @property
    def last_alive(self) -> float:
        """When messages of other processes last reached us for sure, in monotonic seconds."""
        return float("-inf") if self.backplane is None else self.backplane.last_alive

    @property
    def has_pending(self) -> bool:
        """Whether changes wait for the shared level."""
        return bool(self._pending)

    @property
    def pending(self) -> int:
        """How many changes wait for the shared level."""
        return len(self._pending)

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""
        self._breaker.reset()
        self._batches = Batches(self._read_now, self._write_now)
        self.detach_replay()
        self.detach_leases()

    # -- reading -----------------------------------------------------------------------------

    async def read(
        self, keys: Sequence[str], tags: Sequence[str], *, fences: bool = True
    ) -> Read | None:
        """Return what is there, or None without an answer."""
        if self.is_open:
            return None
        names = {stored_key(key): key for key in keys}
        found = await self._home.run(self._batches.read, list(names), tags, fences)
        if found is None:
            return None
        values = {key: found.values[name] for name, key in names.items() if name in found.values}
        numbers = {key: found.fences[name] for name, key in names.items()} if fences else {}
        return Read(values, numbers, {tag: found.versions[tag] for tag in tags})

    def look(self, name: str) -> Awaitable[Read | None]:
        """Return what becomes the answer of a call that asks for a value, and perhaps for more.

        Args:
            name: Of a key as it is stored, see ``stored_key``.

        Returns:
            To be awaited once; None for no answer.
        """
        if not self._breaker.is_open:
            if (answer := self._batches.join(name)) is not None:
                return answer
            if self._home.is_here():
                return self._batches.look(name)
        return self.read([name], (), fences=False)

    def gather_reads(self) -> None:
        """Let all reads of this turn of the event loop share one call, the first one too."""
        if self._home.is_here():
            self._batches.gather()

    async def _read_now(
        self,
        keys: Sequence[str],
        tags: Sequence[str],
        fences: bool,  # noqa: FBT001  Batches calls it
    ) -> Read | None:
        return await self._guarded(lambda: self.remote.read(keys, tags, fences=fences))

    # -- changing ----------------------------------------------------------------------------

    async def write(self, items: Sequence[Write]) -> Sequence[bool] | None:
        """Store values and, where they replace others, tell the other processes."""
        begun = self._clock.monotonic()
        named = [_named(item) for item in items]
        replaced = [item for item in named if item.fence is None]
        with self._unless_done([item.key for item in replaced]):
            done = None
            if not self.is_open:
                done = await self._home.run(self._batches.write, named)
            if done is None:
                for item in replaced:
                    self._pending.set(item, begun)
            elif replaced:
                await self._tell(Message([item.key for item in replaced]))
        return done

    async def _write_now(self, items: Sequence[Write]) -> Sequence[bool] | None:
        # a computed value that is refused (for want of memory) is no loss: go on reading
        fills = all(item.fence is not None for item in items)
        done: list[bool] = []
        # the time limit is for so many at once: thousands take longer without any fault
        for start in range(0, len(items), _AT_ONCE):
            part = items[start : start + _AT_ONCE]
            some = await self._guarded(partial(self.remote.write, part), forgive=fills)
            if some is None:
                return None
            done += some
        return done

    async def delete(self, keys: Sequence[str]) -> bool:
        """Drop values everywhere; return whether the shared level has done it."""
        names = [stored_key(key) for key in keys]
        with self._unless_done(names):
            told = True
            for start in range(0, len(names), _AT_ONCE):
                part = names[start : start + _AT_ONCE]
                if await self._call(partial(self.remote.delete, part)) is None:
                    self._pending.delete(names[start:], self._clock.monotonic())
                    return False
                told = await self._tell(Message(part)) and told
            return told

    async def bump(self, tags: Sequence[str], *, soft: bool) -> Mapping[str, TagVersion] | None:
        """Invalidate tags everywhere; return their versions, or None without an answer."""
        with self._unless_done((), tags, soft=soft):
            made = await self._call(lambda: self.remote.bump(tags, soft=soft))
            if made is None:
                self._pending.bump(tags, self._clock.monotonic(), soft=soft)
                return None
            await self._tell(Message((), made))
            return made

    async def delete_pattern(self, pattern: str) -> int | None:
        """Drop matching values; may take longer than one call.

        Raises:
            UnsupportedOperationError: The level cannot list its keys.
        """
        if not self.remote.capabilities.patterns:
            raise UnsupportedOperationError(
                f"{type(self.remote).__name__} cannot list its keys: invalidate by tags instead"
            )
        count = await self._call(lambda: self.remote.delete_pattern(pattern), patience=60.0)
        if count is not None and self.remote.capabilities.announces:
            # others cannot know which keys went: they must doubt all that they hold
            await self._publish(Message([ALL]))
        elif count is not None:
            await self._tell(Message([ALL]))
        return count

    @contextlib.contextmanager
    def _unless_done(
        self, names: Sequence[str], tags: Sequence[str] = (), *, soft: bool = False
    ) -> Generator[None, None, None]:
        try:
            yield
        except asyncio.CancelledError:
            now = self._clock.monotonic()
            self._pending.delete(names, now)
            self._pending.bump(tags, now, soft=soft)
            raise

    async def _tell(self, message: Message) -> bool:
        """Tell the other processes, unless the shared level did; return whether they are told."""
        if self.backplane is None or self.remote.capabilities.announces:
            return True
        return await self._publish(message)

    async def _publish(self, message: Message) -> bool:
        if self.backplane is None:
            return True
        backplane = self.backplane

        async def publish() -> bool:
            await backplane.publish(message)
            return True

        told = await self._call(publish, replay=False)
        if told is None:
            now = self._clock.monotonic()
            self._pending.delete([name for name in message.keys if name != ALL], now)
            self._pending.bump([ALL] if ALL in message.keys else list(message.tags), now, soft=True)
        return bool(told)

    # -- calls -------------------------------------------------------------------------------

    async def _call(
        self,
        call: Callable[[], Awaitable[T]],
        *,
        replay: bool = True,
        patience: float | None = None,
    ) -> T | None:
        if self.is_open:
            return None
        return await self._home.run(self._guarded, call, replay=replay, patience=patience)

    async def _guarded(
        self,
        call: Callable[[], Awaitable[T]],
        *,
        replay: bool = True,
        patience: float | None = None,
        forgive: bool = False,
    ) -> T | None:
        if self.is_open:
            return None
        try:
            async with Limit(patience or self._timeout):
                if replay and self._pending:
                    await self._replay()
                return await call()
        except (ConfigurationError, MissingExtraError, UnsupportedOperationError):
            raise  # no fault of the level: whoever set the cache up is told
        except Exception as exc:  # noqa: BLE001  whatever is there, or an adapter of others raises
            self._failed(exc, forgive=forgive and not getattr(exc, "retryable", True))
            return None

    def _failed(self, exc: Exception, *, forgive: bool = False) -> None:
        self.errors += 1
        self.last_error = exc
        logger.warning("cache.l2_failed", extra={"error": type(exc).__name__})
        if not forgive:
            self._breaker.trip()

    async def _probe(self) -> bool:
        """Try whether the level answers again, and bring it what waits."""
        try:
            async with Limit(max(1.0, self._timeout) if self._pending else self._timeout):
                await self.remote.read([], [ALL])
                await self._replay()
        except Exception as exc:  # noqa: BLE001  as above
            self.errors += 1
            self.last_error = exc
            return False
        logger.info("cache.l2_recovered", extra={"replayed": self.replayed})
        return True


def _named(item: Write) -> Write:
    name = stored_key(item.key)
    return item if name == item.key else replace(item, key=name)
