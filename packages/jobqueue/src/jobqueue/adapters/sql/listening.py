"""Hearing of new jobs in PostgreSQL: LISTEN on a connection of its own, outside the pool.

NOTIFY takes a lock of the whole server at commit, so it is only sent while somebody idles. Who
idles holds an advisory lock in shared mode; who enqueues looks whether it is held by trying to take
it, for the length of one expression. That is memory of the server: nothing is written for it. An
enqueue that looked just before we idled and commits just after is found by a look of our own.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from itertools import chain, repeat
from typing import Any

logger = logging.getLogger(__name__)
CHANNEL = "jobqueue"
LOCK = "1246907221, 1"  # a number of ours among the application's advisory locks
RING = (
    f"CASE WHEN pg_try_advisory_lock({LOCK}) THEN CAST(pg_advisory_unlock({LOCK}) AS text) "
    f"ELSE CAST(pg_notify('{CHANNEL}', '') AS text) END"
)
"""An expression that wakes those who idle, if there are any."""
_LOOKS = (0.0, 0.01, 0.05, 0.25)
_LOOK = 1.0
_BUSY = 3


class Listener:
    """A connection that listens; it is opened by the first wait, and again once it is lost.

    Any number of workers may wait, each as long as it likes, while others are busy.
    """

    def __init__(self, connect: Callable[[], Awaitable[Any]], patience: float) -> None:
        """Use ``connect`` for a connection of asyncpg; wait for it ``patience`` seconds."""
        self._connect, self._patience = connect, patience
        self._raw: Any = None
        self._idle = False
        self._steps = self._waiting = 0
        self._gate = asyncio.Lock()  # the connection does one thing at a time
        self._rising: asyncio.Task[None] | None = None
        self.rung = asyncio.Event()

    async def wait(self, timeout: float, has_news: Callable[[], Awaitable[bool]]) -> None:
        """Return when rung, when ``has_news``, or after ``timeout`` seconds."""
        self._waiting += 1
        try:
            await self._wait(timeout, has_news)
        finally:
            self._waiting -= 1

    async def _wait(self, timeout: float, has_news: Callable[[], Awaitable[bool]]) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        self._steps = 0
        if not self.rung.is_set():
            async with self._gate:
                await self._lie_down()
        for pause in chain(_LOOKS, repeat(_LOOK)):
            left = deadline - loop.time()
            if self.rung.is_set() or left <= 0:
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, pause)):
                    await self.rung.wait()
            if not self.rung.is_set() and await has_news():
                break
        self.rung.clear()

    def note(self, *, busy: bool) -> None:
        """Hear of a step; after some busy ones, while nobody waits, we no longer count as idle."""
        self._steps = self._steps + 1 if busy and not self._waiting else 0
        if self._idle and self._steps >= _BUSY and self._rising is None:
            # beside the step: what that has claimed neither waits for this nor is lost by it
            self._rising = asyncio.create_task(self._rise(), name="jobqueue-rising")

    async def _rise(self) -> None:
        try:
            async with self._gate:
                if self._idle and self._raw is not None:
                    self._idle = False
                    await self._execute(f"SELECT pg_advisory_unlock_shared({LOCK})")
        except Exception as exc:
            # the connection is let go, and the server forgets the lock with it
            logger.debug("listener.lost", exc_info=exc)
        finally:
            self._rising = None

    async def _lie_down(self) -> None:
        if self._raw is None or self._raw.is_closed():
            self._idle = False
            async with asyncio.timeout(self._patience):
                self._raw = await self._connect()
                await self._raw.add_listener(CHANNEL, self._heard)
            self._raw.add_termination_listener(self._lost)
        if not self._idle:
            await self._execute(f"SELECT pg_advisory_lock_shared({LOCK})")
            self._idle = True

    async def _execute(self, text: str) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await self._raw.execute(text)
        except BaseException:
            self.detach()
            raise

    def _heard(self, *_: object) -> None:
        self.rung.set()

    def _lost(self, *_: object) -> None:
        self.rung.set()  # look, and listen again

    async def aclose(self) -> None:
        """Close the connection."""
        if self._rising is not None:
            self._rising.cancel()
            await asyncio.wait([self._rising])
        raw, self._raw, self._idle = self._raw, None, False
        if raw is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(1):
                    await raw.close()
            raw.terminate()

    def detach(self) -> None:
        """Forget the connection without I/O."""
        raw, self._raw, self._idle = self._raw, None, False
        if raw is not None:
            with contextlib.suppress(Exception):
                raw.terminate()
