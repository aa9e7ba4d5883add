"""The circuit breaker: after a fault the shared level is left alone until a probe succeeds."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from .._common.clock import Clock

_FIRST = 1.0
_MOST = 10.0


class Breaker:
    """Open from a fault until a probe, a second later and behind everybody's back, succeeds.

    Nobody but the one who met the fault waits for it. Belongs to one event loop at a time.
    """

    def __init__(
        self, probe: Callable[[], Awaitable[bool]], *, clock: Clock, rng: random.Random
    ) -> None:
        """Be closed; ``probe`` tells whether the shared level answers again."""
        self._probe, self._clock, self._rng = probe, clock, rng
        self._task: asyncio.Task[None] | None = None
        self.is_open = False
        self.opened = 0
        """How often it opened."""

    def trip(self) -> None:
        """Open, and try again by and by."""
        if not self.is_open:
            self.opened += 1
        self.is_open = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._retry(), name="cache-probe")

    async def _retry(self) -> None:
        pause = _FIRST
        while self.is_open:
            # spread over processes, so that they do not all probe at once
            await self._clock.sleep(pause * self._rng.uniform(0.8, 1.2))
            if await self._probe():
                self.is_open = False
            pause = min(_MOST, pause * 1.5)

    def reset(self) -> None:
        """Be closed; for a new event loop, or the end of this one."""
        task, self._task = self._task, None
        self.is_open = False
        if task is not None and not task.done() and not task.get_loop().is_closed():
            task.get_loop().call_soon_threadsafe(task.cancel)
