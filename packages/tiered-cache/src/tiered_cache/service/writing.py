"""Writing through the cache: to the application's own store first, or a little later in batches."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from .._common.home import Home
from ..errors import ConfigurationError
from ..keys import check_key
from ..models import (
    MISSING,
    CacheOptions,
    Invalidation,
    Seconds,
    check_callable,
    check_count,
    check_seconds,
    seconds,
)

if TYPE_CHECKING:
    from .many import Many

logger = logging.getLogger(__name__)
Writer = Callable[[Mapping[str, Any]], Awaitable[None] | None]
"""Stores changes, the value of each key, ``MISSING`` for a deleted one; a plain or coroutine
function. What it raises means that nothing of them was stored."""


async def call_writer(writer: Writer, changes: Mapping[str, Any]) -> None:
    """Call a writer of either kind."""
    done = writer(changes)
    if inspect.isawaitable(done):
        await done


class WriteThrough:
    """Changes go to ``writer`` first, and into the cache once it has stored them.

    Where the writer raises, the caller gets its exception and the cache forgets the keys: nobody
    knows what was stored.
    """

    def __init__(self, cache: "Many", writer: Writer, options: CacheOptions | None) -> None:
        """Write by ``writer``; values are cached as ``options`` say."""
        check_callable("writer", writer)
        self._cache, self._writer, self._options = cache, writer, options

    async def set(self, key: str, value: Any) -> None:
        """Store a value, then cache it."""
        await self.set_many({key: value})

    async def set_many(self, items: Mapping[str, Any]) -> None:
        """Store several values by one call of the writer, then cache them."""
        changes = {check_key(key): value for key, value in items.items()}
        await self._write(changes)
        await self._cache.set_many(changes, self._options)

    async def delete(self, key: str) -> Invalidation:
        """Delete a value, then drop it from the cache."""
        await self._write({check_key(key): MISSING})
        return await self._cache.delete(key)

    async def _write(self, changes: Mapping[str, Any]) -> None:
        try:
            await call_writer(self._writer, changes)
        except BaseException:
            await self._cache.delete_many(list(changes))
            raise


class WriteBehind:
    """Changes go into the cache at once, and to ``writer`` in batches, the last one of each key.

    What the writer refuses is tried again, later each time. At most ``max_pending`` changes wait;
    then ``set`` waits, too. A process that is killed loses what waits.
    """

    def __init__(
        self,
        cache: "Many",
        writer: Writer,
        options: CacheOptions | None,
        *,
        max_delay: Seconds,
        max_batch: int,
        max_pending: int,
    ) -> None:
        """Write by ``writer``; see ``CacheProvider.write_behind``."""
        check_callable("writer", writer)
        check_seconds("max_delay", max_delay, zero=False)
        check_count("max_batch", max_batch)
        check_count("max_pending", max_pending)
        if max_pending < max_batch:
            raise ConfigurationError(
                f"max_pending must be at least max_batch, {max_batch}, not {max_pending}"
            )
        self._cache, self._writer, self._options = cache, writer, options
        self._delay, self._batch, self._most = seconds(max_delay) or 0.0, max_batch, max_pending
        self._waiting: dict[str, Any] = {}
        self._home = Home(lambda: None)
        self._changed: asyncio.Condition | None = None
        self._turn: asyncio.Lock | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.written = self.failures = 0

    @property
    def pending(self) -> int:
        """How many changes wait for the writer."""
        return len(self._waiting)

    async def set(self, key: str, value: Any) -> None:
        """Cache a value and let it be stored soon."""
        await self.set_many({key: value})

    async def set_many(self, items: Mapping[str, Any]) -> None:
        """Cache several values and let them be stored soon."""
        changes = {check_key(key): value for key, value in items.items()}
        await self._home.run(self._queue, changes)
        await self._cache.set_many(changes, self._options)

    async def delete(self, key: str) -> Invalidation:
        """Drop a value from the cache and let it be deleted soon."""
        await self._home.run(self._queue, {check_key(key): MISSING})
        return await self._cache.delete(key)

    async def _queue(self, changes: Mapping[str, Any]) -> None:
        condition = self._condition()
        async with condition:
            await condition.wait_for(
                lambda: (
                    len(self._waiting.keys() | changes.keys()) <= self._most or not self._waiting
                )
            )
            self._waiting |= changes
            condition.notify_all()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write_on(), name="cache-write-behind")

    def _condition(self) -> asyncio.Condition:
        if self._changed is None:
            self._changed = asyncio.Condition()
        return self._changed

    async def _write_on(self) -> None:
        condition, pause = self._condition(), self._delay
        while self._waiting:
            if len(self._waiting) < self._batch and not self._closing:
                await self._cache.clock.sleep(self._delay)
            if await self._write_batch():
                pause = self._delay
            else:
                pause = min(30.0, pause * 2)
                await self._cache.clock.sleep(pause)
            async with condition:
                condition.notify_all()

    async def _write_batch(self) -> bool:
        # one at a time: a slow call with an older value must not end after that with a newer one
        self._turn = self._turn or asyncio.Lock()
        async with self._turn:
            return not self._waiting or await self._write_now()

    async def _write_now(self) -> bool:
        keys = list(self._waiting)[: self._batch]
        changes = {key: self._waiting[key] for key in keys}
        try:
            await call_writer(self._writer, changes)
        except Exception as exc:  # noqa: BLE001  tried again
            self.failures += 1
            logger.warning("cache.write_behind_failed", extra={"error": type(exc).__name__})
            return False
        self.written += len(changes)
        for key, value in changes.items():
            # unless it was changed again while it was written
            if self._waiting.get(key, MISSING) is value:
                self._waiting.pop(key, None)
        return True

    async def flush(self) -> None:
        """Return once everything that waits is stored."""
        await self._home.run(self._flush)

    async def _flush(self) -> None:
        while self._waiting:
            if not await self._write_batch():
                await self._cache.clock.sleep(self._delay)
        async with self._condition():
            self._condition().notify_all()

    async def aclose(self, attempts: int = 3) -> None:
        """Store what waits, giving the writer some attempts; the cache calls it when it closes."""
        await self._home.run(self._end, attempts)

    async def _end(self, attempts: int) -> None:
        self._closing = True
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task])
        left = attempts
        while self._waiting and left:
            left -= not await self._write_batch()
        if self._waiting:
            logger.error("cache.write_behind_lost", extra={"changes": len(self._waiting)})
        self._closing, self._changed, self._turn = False, None, None
        self._home.leave()
