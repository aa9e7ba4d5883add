"""Sending without a task, where a socket takes it at once.

Waking a task for each of thousands of clients costs more than the sending itself. Nearly always a
server's ``send`` writes into the socket's buffer and returns without waiting. So it is stepped once
right away; only if it waits, because the buffer is full, a task is made that waits for the rest.
(The idea is that of eager tasks, ``asyncio.eager_task_factory`` of Python 3.12.)
"""

from collections.abc import Awaitable, Coroutine, Generator
from contextvars import Context
from types import CoroutineType
from typing import Any


class Rest:
    """What is left of a coroutine that waits: to be awaited by a task."""

    __slots__ = ("_coroutine", "_waiting")

    def __init__(self, coroutine: Coroutine[Any, Any, None], waiting: Any) -> None:
        """Go on with ``coroutine``, which has asked its loop for ``waiting``."""
        self._coroutine, self._waiting = coroutine, waiting

    def __await__(self) -> Generator[Any, Any, None]:
        """Wait for the end."""
        coroutine, waiting = self._coroutine, self._waiting
        while True:
            value, error = None, None
            try:
                value = yield waiting
            except BaseException as exc:  # noqa: BLE001 - a cancellation is the coroutine's to see
                error = exc
            try:
                waiting = coroutine.send(value) if error is None else coroutine.throw(error)
            except StopIteration:
                return


def begin(work: Awaitable[None], context: Context) -> Rest | None:
    """Step ``work`` once, in ``context``; return what is left of it, None if it ended.

    Raises:
        Exception: What ``work`` raised.
    """
    coroutine = work if isinstance(work, CoroutineType) else _awaiting(work)
    try:
        waiting = context.run(coroutine.send, None)
    except StopIteration:
        return None
    return Rest(coroutine, waiting)


async def _awaiting(work: Awaitable[None]) -> None:
    await work
