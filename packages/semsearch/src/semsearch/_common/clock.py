"""Time and ids as arguments, so that tests move time instead of sleeping."""

import asyncio
import heapq
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any, Protocol


class Clock(Protocol):
    """What a service knows of time. All values are seconds."""

    def time(self) -> float:
        """Return the seconds since the epoch, for timestamps."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never run backwards, for durations."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""


class SystemClock:
    """The machine's own clock."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class FakeClock:
    """A clock that stands still until :meth:`advance` moves it.

    Safe for one event loop: sleepers and ``advance`` belong to the same one.
    """

    def __init__(self, start: float = 1_750_000_000.0) -> None:
        """Begin at ``start``, in seconds since the epoch."""
        self._now = start
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def time(self) -> float:
        """Return the seconds since the epoch."""
        return self._now

    def monotonic(self) -> float:
        """Return the same seconds: this clock never runs backwards by itself."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Return once :meth:`advance` has passed ``seconds``."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), waiter))
        await waiter

    def shift(self, seconds: float) -> None:
        """Jump by ``seconds`` (also backwards) without waking anybody, as a wall clock may."""
        self._now += seconds

    async def advance(self, seconds: float) -> None:
        """Move time on, waking each sleeper at its own moment and letting it run."""
        end = self._now + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, waiter = heapq.heappop(self._sleepers)
            self._now = max(self._now, due)
            if not waiter.done():
                waiter.set_result(None)
            await settle()
        self._now = end
        await settle()


async def settle(rounds: int = 20) -> None:
    """Let every task that can run do so, ``rounds`` loop turns long."""
    for _ in range(rounds):
        await asyncio.sleep(0)


async def wait_event(event: asyncio.Event, seconds: float | None, clock: Clock) -> bool:
    """Wait for ``event`` at most ``seconds`` by ``clock``; return whether it is set.

    ``None`` waits without limit. The event is left as it is.
    """
    if event.is_set() or seconds is None:
        return await event.wait()
    if isinstance(clock, SystemClock):
        try:
            async with asyncio.timeout(seconds):
                return await event.wait()
        except TimeoutError:
            return event.is_set()
    tasks: set[asyncio.Future[Any]] = {
        asyncio.ensure_future(event.wait()),
        asyncio.ensure_future(clock.sleep(seconds)),
    }
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return event.is_set()


def utc(seconds: float) -> datetime:
    """Return the aware UTC datetime of a timestamp."""
    return datetime.fromtimestamp(seconds, UTC)


def new_id() -> str:
    """Return an unguessable id: 32 hexadecimal digits, 128 random bits."""
    return secrets.token_hex(16)


NewId = Callable[[], str]
