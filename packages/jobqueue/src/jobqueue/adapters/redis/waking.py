"""Hearing of new jobs: a blocking pop of the tokens that scripts leave, on a connection of its own.

A pop that is under way when its caller loses patience is not cut off, which would cost a new
connection each time: it goes on, and what it brings ends the next wait. A token that comes while
nobody here waits is handed back at once, for a worker that does.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from ..._common.redis_lanes import Lanes
from ..._common.redis_wire import drop

_POP = 5


class Waker:
    """The idle side of one broker."""

    def __init__(self, lanes: Lanes, prefix: bytes, timeout: float) -> None:
        """Wait with connections of ``lanes``, ``timeout`` seconds longer than the server does."""
        self._lanes, self._prefix, self._patience = lanes, prefix, timeout
        self._queues: tuple[str, ...] = ()
        self._lane: Any = None  # a connection of the library
        self._task: asyncio.Task[None] | None = None
        self._rung = asyncio.Event()
        self._waiting = 0

    def listen_to(self, queues: Sequence[str]) -> None:
        """Hear of these from the next pop on."""
        if tuple(queues) != self._queues:
            self._queues = tuple(queues)

    async def wait(self, timeout: float) -> None:
        """Return when rung, or after ``timeout`` seconds.

        Raises:
            BackendError: The server is not there.
        """
        if not self._queues:
            await asyncio.sleep(timeout)
            return
        self._waiting += 1
        try:
            if self._task is None or self._task.done():
                self._rung.clear()
                self._task = asyncio.create_task(self._listen(), name="jobqueue-wake")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._rung.wait()
            if self._task.done() and (exc := self._task.exception()) is not None:
                self._task = None
                raise self._lanes.fault(exc) from exc
        finally:
            self._waiting -= 1
            self._rung.clear()

    async def _listen(self) -> None:
        """Pop until there is a token, or nobody waits any more."""
        try:
            while self._waiting:
                token = await self._pop()
                if token is not None and not self._waiting:
                    await self._send(b"LPUSH", token, b"1")
                if token is not None:
                    return
        except BaseException:
            self._let_go()
            raise
        finally:
            self._rung.set()

    async def _pop(self) -> bytes | None:
        async with asyncio.timeout(_POP + self._patience):
            if self._lane is None:
                self._lane = await self._lanes.open()
            keys = [b"%b:wake:%b" % (self._prefix, name.encode()) for name in self._queues]
            found = await self._send(b"BLPOP", *keys, b"%d" % _POP)
        return None if found is None else bytes(found[0])

    async def _send(self, *words: bytes) -> Any:
        assert self._lane is not None
        packed = b"*%d\r\n" % len(words)
        packed += b"".join(b"$%d\r\n%b\r\n" % (len(each), each) for each in words)
        await self._lane.send_packed_command([packed], check_health=False)
        return await self._lane.read_response()

    def _let_go(self) -> None:
        lane, self._lane = self._lane, None
        if lane is not None:
            drop(lane)

    async def aclose(self) -> None:
        """Stop listening."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(BaseException):
                await asyncio.wait([task])
        self._let_go()

    def detach(self) -> None:
        """Forget what belongs to another loop."""
        self._task, self._waiting = None, 0
        self._rung = asyncio.Event()
        self._let_go()
