"""Between event loops and rendering threads: asynchronous records, awaitables, both with limits."""

import asyncio
import queue
from collections.abc import AsyncIterable, Awaitable, Iterator
from typing import Any

from .documents import Item
from .errors import ExportError
from .sink import Control

_BATCH, _AHEAD = 100, 4
_LOOK = 0.05


class Bridge:
    """What a rendering thread asks of the event loop where the source belongs."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None, control: Control) -> None:
        """Serve calls on ``loop``; None where there is none (``export_to``)."""
        self._loop, self._control = loop, control

    def resolve(self, value: Any) -> Any:
        """Return ``value``, awaited on the loop if it is awaitable; blocks the thread.

        Raises:
            ExportError: It was stopped meanwhile, or there is no loop (any more).
        """
        if not isinstance(value, Awaitable):
            return value
        loop = self._running(value)
        future = asyncio.run_coroutine_threadsafe(_awaited(value), loop)
        while True:
            try:
                return future.result(_LOOK)
            except TimeoutError:
                if future.done():
                    raise  # the user's own TimeoutError
            try:
                self._control.check()
                self._running(None)
            except BaseException:
                future.cancel()
                raise

    def items(self, source: AsyncIterable[Item]) -> Iterator[Item]:
        """Yield what ``source`` yields on its loop, at most a few hundred ahead."""
        loop = self._running(None)
        inbox: queue.SimpleQueue[list[Item] | BaseException | None] = queue.SimpleQueue()
        slots = asyncio.Semaphore(_AHEAD)
        pump = asyncio.run_coroutine_threadsafe(_pump(source, inbox, slots), loop)
        try:
            while True:
                try:
                    batch = inbox.get(timeout=_LOOK)
                except queue.Empty:
                    self._control.check()
                    self._running(None)
                    continue
                if batch is None:
                    return
                if isinstance(batch, BaseException):
                    raise batch
                loop.call_soon_threadsafe(slots.release)
                yield from batch
        finally:
            pump.cancel()

    def _running(self, given: Any) -> asyncio.AbstractEventLoop:
        if self._loop is None or not self._loop.is_running():
            if (close := getattr(given, "close", None)) is not None:
                close()
            raise ExportError(
                "asynchronous sources and formats need a running event loop: use export(), not "
                "export_to()"
                if self._loop is None
                else "the event loop of the source was closed",
                reason="interrupted",
            )
        return self._loop


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value


async def _pump(
    source: AsyncIterable[Item], inbox: "queue.SimpleQueue[Any]", slots: asyncio.Semaphore
) -> None:
    stream, batch = aiter(source), list[Item]()
    try:
        async for item in stream:
            batch.append(item)
            if len(batch) >= _BATCH:
                await slots.acquire()
                inbox.put(batch)
                batch = []
                await asyncio.sleep(0)  # a source that never waits must not hold the loop
        inbox.put(batch)
        inbox.put(None)
    except Exception as exc:  # noqa: BLE001  the user's exception is raised in the thread
        inbox.put(exc)
    finally:
        if (close := getattr(stream, "aclose", None)) is not None:
            await close()
