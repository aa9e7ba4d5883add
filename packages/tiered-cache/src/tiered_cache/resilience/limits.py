"""How long a call may take: of the time in which this process could have seen the answer."""

import asyncio
from types import TracebackType
from typing import Self

_LAG = 0.01
"""Seconds by which a timer of a loop that is not held up may be late."""


class Limit:
    """Raises ``TimeoutError`` for what takes longer than so many seconds, as asyncio's does.

    While somebody keeps the event loop busy, or the machine the whole process, nobody here can see
    that the answer has come. When the loop goes on, time limit and answer are due at once, and
    ``asyncio.timeout`` would blame the other side. The time that was lost is given back, as much
    again as the limit at most.
    """

    __slots__ = ("_at", "_left", "_limit", "_loop", "_timer")

    def __init__(self, seconds: float) -> None:
        """Begin when it is entered."""
        self._left, self._limit = seconds, asyncio.timeout(None)

    async def __aenter__(self) -> Self:
        """Begin."""
        await self._limit.__aenter__()
        self._loop = asyncio.get_running_loop()
        self._at = self._loop.time() + self._left
        self._timer = self._loop.call_at(self._at, self._expired)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""
        self._timer.cancel()
        await self._limit.__aexit__(kind, error, trace)

    def _expired(self) -> None:
        now = self._loop.time()
        more = min(now - self._at, self._left)
        if more <= _LAG:
            self._limit.reschedule(now)
            return
        self._left -= more
        self._at = now + more
        self._timer = self._loop.call_at(self._at, self._expired)
