"""A time limit for one attempt, cheaper than ``asyncio.timeout``, which it follows."""

import asyncio


class Deadline:
    """Cancels the running task after some seconds, unless it is over by then.

    ``asyncio.timeout`` costs a third of what a worker may spend on a job; this is what it does,
    without a context manager and its states.
    """

    __slots__ = ("_before", "_handle", "_loop", "_task", "expired")

    def __init__(self, seconds: float) -> None:
        """Limit the current task from now on."""
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._task, self._before = task, task.cancelling()
        self.expired = False
        self._handle = self._loop.call_later(seconds, self._expire)

    def restart(self, seconds: float) -> None:
        """Give it ``seconds`` from now, unless it is over. Safe for threads."""
        self._loop.call_soon_threadsafe(self._again, seconds)

    def _again(self, seconds: float) -> None:
        if not self._handle.cancelled() and not self.expired:
            self._handle.cancel()
            self._handle = self._loop.call_later(seconds, self._expire)

    def _expire(self) -> None:
        self.expired = True
        self._task.cancel()

    def end(self) -> bool:
        """Be over; return whether it has cancelled the task, and nobody else has."""
        self._handle.cancel()
        return self.expired and self._task.uncancel() <= self._before
