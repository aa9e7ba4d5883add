"""Reads that begin in one turn of the event loop share one call of the shared level.

The first one goes at once, alone, if none is on its way: nobody who asks one thing after the other
waits for a turn. With others on their way it joins those of its turn, else tasks that once went
alone would do so for ever, and calls would be as many as tasks. For the same reason a few wait a
moment for very many that will be back soon: else they would go beside them for ever.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from typing import Any

from ..ports import Read, Write

_MOST = 1000
_FEW = 8
"""How many times as many must be on their way for others to wait for them."""
_PAUSE = 0.001
"""Seconds that they wait at most."""


class _Batch:
    """What was asked for in this turn, and who waits for it."""

    def __init__(self) -> None:
        self.hold = self.fences = self.has_waited = self.is_sent = False
        self.timer: asyncio.TimerHandle | None = None
        self.loop = asyncio.get_running_loop()
        self.keys: dict[str, None] = {}
        self.tags: dict[str, None] = {}
        self.readers: list[asyncio.Future[Read | None]] = []
        self.writes: list[Write] = []
        self.writers: list[tuple[int, asyncio.Future[Sequence[bool] | None]]] = []


class Batches:
    """Collects reads and writes of one event loop."""

    def __init__(
        self,
        read: Callable[[Sequence[str], Sequence[str], bool], Awaitable[Read | None]],
        write: Callable[[Sequence[Write]], Awaitable[Sequence[bool] | None]],
    ) -> None:
        """Ask by ``read`` and ``write``, which never raise but when they are cancelled."""
        self._read, self._write = read, write
        self._batch: _Batch | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._flying = self._aloft = 0

    def _turn(self) -> _Batch | None:
        """Return the batch of this turn; None for the first who asks."""
        batch = self._batch
        if batch is not None and batch.loop is asyncio.get_running_loop():
            if len(batch.keys) < _MOST and len(batch.writes) < _MOST:
                return batch
        else:
            batch = None
        made = self._batch = _Batch()
        made.loop.call_soon(self._send, made)
        # full: the one who comes now begins the next one
        return None if batch is None and not self._flying else made

    def gather(self) -> None:
        """Let nobody of this turn and the next go alone: tasks that are begun now run in that."""
        self._turn()
        if not self._flying and (batch := self._batch) is not None:
            batch.hold = True

    async def read(
        self,
        keys: Sequence[str],
        tags: Sequence[str],
        fences: bool,  # noqa: FBT001  Home.run takes it so
    ) -> Read | None:
        """Return what is there of ``keys`` and ``tags``, and perhaps more; None for no answer."""
        if (batch := self._turn()) is None:
            return await self._alone(keys, tags, fences)
        batch.fences |= fences
        batch.keys.update(dict.fromkeys(keys))
        batch.tags.update(dict.fromkeys(tags))
        answer: asyncio.Future[Read | None] = batch.loop.create_future()
        batch.readers.append(answer)
        return await answer

    def look(self, key: str) -> Awaitable[Read | None]:
        """Return what is there of one key, and perhaps more, without fences and tags.

        No coroutine but a future where others share the call: this is what a plain ``get`` costs.
        """
        if (batch := self._turn()) is None:
            return self._alone((key,))
        batch.keys[key] = None
        answer: asyncio.Future[Read | None] = batch.loop.create_future()
        batch.readers.append(answer)
        return answer

    def join(self, key: str) -> "asyncio.Future[Read | None] | None":
        """Do what :meth:`look` does, where others of this turn and this event loop have asked."""
        batch = self._batch
        if batch is None or len(batch.keys) >= _MOST:
            return None
        if batch.loop is not asyncio.get_running_loop():
            return None
        batch.keys[key] = None
        answer: asyncio.Future[Read | None] = batch.loop.create_future()
        batch.readers.append(answer)
        return answer

    async def _alone(
        self,
        keys: Sequence[str],
        tags: Sequence[str] = (),
        fences: bool = False,  # noqa: FBT001, FBT002  as read has it
    ) -> Read | None:
        with self._flight():
            return await self._read(keys, tags, fences)

    async def write(self, items: Sequence[Write]) -> Sequence[bool] | None:
        """Store values; None for no answer."""
        if (batch := self._turn()) is None:
            with self._flight():
                return await self._write(items)
        batch.writes.extend(items)
        answer: asyncio.Future[Sequence[bool] | None] = batch.loop.create_future()
        batch.writers.append((len(items), answer))
        return await answer

    def _send(self, batch: _Batch) -> None:
        if batch.is_sent:
            return
        if batch.hold:
            batch.hold = False
            batch.loop.call_soon(self._send, batch)
            return
        if self._waits(batch):
            return
        batch.is_sent = True
        if self._batch is batch:
            self._batch = None
        if batch.readers:
            self._begin(batch, self._send_reads(batch))
        if batch.writers:
            self._begin(batch, self._send_writes(batch))

    def _waits(self, batch: _Batch) -> bool:
        """Whether a batch shall go with the many that are on their way, when those ask again."""
        if batch.timer is not None:
            batch.timer.cancel()
        few = bool(batch.readers) and len(batch.readers) * _FEW <= self._aloft
        if batch.has_waited or batch.writers or not few or self._batch is not batch:
            return False
        batch.has_waited = True
        batch.timer = batch.loop.call_later(_PAUSE, self._send, batch)
        return True

    def _landed(self) -> None:
        """Let those who were told now ask for the next thing together with those who waited."""
        if (batch := self._batch) is None:
            return
        if batch.timer is None:
            batch.hold = True
        else:
            batch.timer.cancel()
            batch.loop.call_soon(self._send, batch)

    def _begin(self, batch: _Batch, work: Coroutine[Any, Any, None]) -> None:
        self._flying += 1
        task = batch.loop.create_task(work, name="cache-batch")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._flying -= 1
        self._tasks.discard(task)

    @contextlib.contextmanager
    def _flight(self) -> Generator[None, None, None]:
        self._flying += 1
        try:
            yield
        finally:
            self._flying -= 1

    async def _send_reads(self, batch: _Batch) -> None:
        found: Read | None = None
        self._aloft += len(batch.readers)
        try:
            found = await self._read(list(batch.keys), list(batch.tags), batch.fences)
        finally:
            self._aloft -= len(batch.readers)
            for answer in batch.readers:
                if not answer.done():
                    answer.set_result(found)
        self._landed()

    async def _send_writes(self, batch: _Batch) -> None:
        done: Sequence[bool] | None = None
        try:
            done = await self._write(batch.writes)
        finally:
            at = 0
            for count, answer in batch.writers:
                if not answer.done():
                    answer.set_result(None if done is None else done[at : at + count])
                at += count
