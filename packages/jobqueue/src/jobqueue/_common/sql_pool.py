"""The connections of one database, lent one call at a time."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable

from .sql_lanes import Lane
from .sql_statements import describe, is_fault, is_harmless, is_lost, is_retryable
from .urls import redact


class Pool:
    """Up to ``limit`` connections, bound to the event loop of the first call until ``detach``."""

    def __init__(
        self,
        url: str,
        connect: Callable[[], Awaitable[Lane]],
        *,
        fault: Callable[..., Exception],
        limit: int,
        timeout: float | None,
        exclusive: bool = True,
    ) -> None:
        """Open connections by ``connect``.

        Args:
            url: Named in messages, without its password.
            connect: Opens a connection.
            fault: Makes the package's backend error: ``fault(message, retryable=True)``.
            limit: The most connections at once.
            timeout: Seconds until one must come free, and seconds that a call may hold it.
            exclusive: A call that was broken off leaves its connection in the middle of an answer;
                SQLite's never is.
        """
        self._url, self._connect, self._fault = url, connect, fault
        self._limit, self._timeout, self._exclusive = limit, timeout, exclusive
        self._idle: list[Lane] = []
        self._held: set[Lane] = set()
        self._gate = asyncio.Semaphore(limit)

    @contextlib.asynccontextmanager
    async def lane(self) -> AsyncGenerator[Lane, None]:
        """Lend a connection; what the driver raises becomes the package's error."""
        gate, lane = self._gate, None
        await self._enter(gate)
        try:
            async with asyncio.timeout(self._timeout):
                lane = self._ready() or await self._connect()
                self._held.add(lane)
                yield lane
        except BaseException as exc:
            if lane is not None and self._exclusive and not is_harmless(exc):
                # in the middle of an answer, or gone: never used again
                self._drop(lane)
                lane = None
            if not isinstance(exc, Exception) or not is_fault(exc):
                raise
            if is_lost(exc):
                self._drop(*self._idle)
            raise self._fault(describe(self._url, exc), retryable=is_retryable(exc)) from exc
        finally:
            if lane is not None and lane in self._held:
                self._held.discard(lane)
                self._idle.append(lane)
            gate.release()

    async def aclose(self) -> None:
        """Close every connection; the next call opens new ones."""
        lanes, self._idle = self._idle, []
        for lane in lanes:
            with contextlib.suppress(Exception):
                await lane.aclose()
        self.detach()

    def detach(self) -> None:
        """Forget connections and locks that belong to another event loop or process."""
        for lane in [*self._idle, *self._held]:
            with contextlib.suppress(Exception):
                lane.detach()
        self._idle, self._held = [], set()
        self._gate = asyncio.Semaphore(self._limit)

    def _ready(self) -> Lane | None:
        while self._idle:
            lane = self._idle.pop()
            if not lane.is_gone:
                return lane
            self._drop(lane)
        return None

    async def _enter(self, gate: asyncio.Semaphore) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await gate.acquire()
        except TimeoutError as exc:
            message = f"all {self._limit} connections were in use for {self._timeout:g} s"
            raise self._fault(f"{redact(self._url)}: {message}", retryable=True) from exc

    def _drop(self, *lanes: Lane) -> None:
        for lane in lanes:
            self._held.discard(lane)
            if lane in self._idle:
                self._idle.remove(lane)
            with contextlib.suppress(Exception):
                lane.detach()
