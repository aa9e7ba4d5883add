"""Single statements the short way: their time limit, and what becomes of their connections."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from jobqueue._common.sql_lanes import Args, Lane, Row, Step
from jobqueue._common.sql_quick import QuickPool

_PATIENCE = 10.0


class _Fault(Exception):
    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


class _Lane(Lane):
    """Answers a statement at once, or ``wait`` only when its connection is closed."""

    def __init__(self) -> None:
        self.waits, self.closed = asyncio.Event(), asyncio.Event()

    async def fetch(self, sql: str, args: Args) -> list[Row]:
        if sql == "wait":
            self.waits.set()
            await self.closed.wait()
            raise ConnectionResetError("closed in the middle of a call")
        return [(sql,)]

    async def fetch_each(self, sql: str, rows: Sequence[Args]) -> None:
        raise NotImplementedError

    async def batch(self, steps: Callable[[], Sequence[Step]]) -> list[list[Row]]:
        raise NotImplementedError

    async def begin(self) -> None:
        raise NotImplementedError

    async def end(self, *, commit: bool) -> None:
        raise NotImplementedError

    @property
    def is_gone(self) -> bool:
        return self.closed.is_set()

    async def aclose(self) -> None:
        self.closed.set()

    def detach(self) -> None:
        self.closed.set()


class _Server:
    """A pool of ``limit`` connections, each noted; ``opened`` opens some."""

    def __init__(self, limit: int, timeout: float | None) -> None:
        self.lanes: list[_Lane] = []
        self.pool = QuickPool(
            "postgresql://host/db", self._connect, fault=_Fault, limit=limit, timeout=timeout
        )

    async def _connect(self) -> _Lane:
        self.lanes.append(_Lane())
        return self.lanes[-1]

    async def opened(self, count: int) -> None:
        async with self.pool.lane(), asyncio.timeout(_PATIENCE):
            if count > 1:
                await self.opened(count - 1)


async def test_a_call_over_its_time_is_our_error_and_frees_its_place() -> None:
    server = _Server(limit=1, timeout=0.01)
    await server.opened(1)
    async with asyncio.timeout(_PATIENCE):
        with pytest.raises(_Fault) as caught:
            await server.pool.fetch("wait", ())
        assert caught.value.retryable
        assert isinstance(caught.value.__cause__, TimeoutError)
        assert server.lanes[0].closed.is_set()
        assert await server.pool.fetch("next", ()) == [("next",)]
    assert len(server.lanes) == 2, "a connection in the middle of an answer was used again"


async def test_one_timer_ends_each_call_at_its_own_time() -> None:
    server = _Server(limit=2, timeout=0.05)
    await server.opened(2)
    loop, ended = asyncio.get_running_loop(), list[float]()

    async def over_time() -> None:
        with pytest.raises(_Fault):
            await server.pool.fetch("wait", ())
        ended.append(loop.time())

    async with asyncio.timeout(_PATIENCE):
        begun = loop.time()
        first = asyncio.create_task(over_time())
        await asyncio.sleep(0.02)
        later = loop.time()
        await asyncio.gather(first, over_time())
    assert ended[0] >= begun + 0.048
    assert ended[1] >= later + 0.048, "it was ended when the time of another was over"


async def test_calls_that_end_in_time_keep_their_connection() -> None:
    server = _Server(limit=1, timeout=0.005)
    await server.opened(1)
    until = asyncio.get_running_loop().time() + 0.03
    while asyncio.get_running_loop().time() < until:
        assert await server.pool.fetch("quick", ()) == [("quick",)]
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)  # idle for longer than a call may take
    assert await server.pool.fetch("quick", ()) == [("quick",)]
    assert len(server.lanes) == 1


async def test_a_cancelled_call_closes_its_connection() -> None:
    server = _Server(limit=1, timeout=None)
    await server.opened(1)
    task = asyncio.create_task(server.pool.fetch("wait", ()))
    await server.lanes[0].waits.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert server.lanes[0].closed.is_set()
    async with asyncio.timeout(_PATIENCE):
        assert await server.pool.fetch("next", ()) == [("next",)]


async def test_detached_it_watches_nothing() -> None:
    server = _Server(limit=1, timeout=60)
    await server.opened(1)
    task = asyncio.create_task(server.pool.fetch("wait", ()))
    await server.lanes[0].waits.wait()
    timer = server.pool._timer
    assert timer is not None
    server.pool.detach()
    assert timer.cancelled()
    with pytest.raises(_Fault):
        await task
