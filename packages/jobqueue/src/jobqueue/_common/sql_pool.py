"""The connections of one database, lent one call at a time."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from types import TracebackType

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
        self._limit, self.timeout, self._exclusive = limit, timeout, exclusive
        self._idle: list[Lane] = []
        self._held: set[Lane] = set()
        self.gate = asyncio.Semaphore(limit)

    def lane(self, timeout: float | None = None) -> "_Loan":
        """Lend a connection for a block; what the driver raises becomes the package's error.

        Args:
            timeout: Seconds that the block may hold it, where that is not the pool's.
        """
        return _Loan(self, self.timeout and (timeout or self.timeout))

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
        self.gate = asyncio.Semaphore(self._limit)

    async def take(self) -> Lane:
        """Return a connection, opened if none is idle. For :class:`_Loan`, as what follows."""
        lane = self._ready() or await self._connect()
        self._held.add(lane)
        return lane

    def give_back(self, lane: Lane | None, exc: BaseException | None) -> None:
        """Take a connection back after ``exc``, if it can be used again."""
        if exc is not None and lane is not None and self._exclusive and not is_harmless(exc):
            self._drop(lane)  # in the middle of an answer, or gone: never used again
        elif lane is not None and lane in self._held:
            self._held.discard(lane)
            self._idle.append(lane)

    async def undo(self, lane: Lane) -> None:
        """Roll back what ``lane`` has begun; a connection that cannot is never used again.

        Why it is undone stays what it was: drivers refuse a rollback in the middle of an answer,
        and who was cancelled there would go on.
        """
        try:
            # shielded: a second cancellation must not leave the lane inside a transaction
            await asyncio.shield(lane.end(commit=False))
        except Exception:
            if not self._exclusive:
                raise
            self._drop(lane)

    def fault_of(self, exc: BaseException) -> Exception | None:
        """Return the package's error for what a driver raised; None for anything else."""
        if not isinstance(exc, Exception) or not is_fault(exc):
            return None
        if is_lost(exc):
            self._drop(*self._idle)
        return self._fault(describe(self._url, exc), retryable=is_retryable(exc))

    async def enter(self, gate: asyncio.Semaphore) -> None:
        """Wait until a connection may be taken."""
        if not gate.locked():
            await gate.acquire()  # at once
            return
        try:
            async with asyncio.timeout(self.timeout):
                await gate.acquire()
        except TimeoutError as exc:
            message = f"all {self._limit} connections were in use for {self.timeout:g} s"
            raise self._fault(f"{redact(self._url)}: {message}", retryable=True) from exc

    def _ready(self) -> Lane | None:
        while self._idle:
            lane = self._idle.pop()
            if not lane.is_gone:
                return lane
            self._drop(lane)
        return None

    def _drop(self, *lanes: Lane) -> None:
        for lane in lanes:
            self._held.discard(lane)
            if lane in self._idle:
                self._idle.remove(lane)
            with contextlib.suppress(Exception):
                lane.detach()


class _Loan:
    """One connection for one block: as a class, at a third of what a generator takes."""

    __slots__ = ("_gate", "_lane", "_limit", "_pool", "_timeout")

    def __init__(self, pool: Pool, timeout: float | None) -> None:
        self._pool, self._gate, self._timeout = pool, pool.gate, timeout
        self._lane: Lane | None = None
        self._limit: asyncio.Timeout | None = None

    async def __aenter__(self) -> Lane:
        await self._pool.enter(self._gate)
        try:
            if self._timeout is not None:
                self._limit = asyncio.timeout(self._timeout)
                await self._limit.__aenter__()
            self._lane = lane = await self._pool.take()
        except BaseException as exc:
            await self.__aexit__(type(exc), exc, exc.__traceback__)
            raise
        return lane

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._limit is not None:
                try:
                    await self._limit.__aexit__(kind, exc, trace)
                except TimeoutError as late:
                    exc = late
            fault = None if exc is None else self._pool.fault_of(exc)
            self._pool.give_back(self._lane, exc)
            if fault is not None:
                raise fault from exc
        finally:
            self._gate.release()
