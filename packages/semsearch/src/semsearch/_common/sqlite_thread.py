"""A thread that does one call after the other for event loops.

An executor of one thread does it too, with two futures, a condition and two more turns of the loop
for each call: as much again as a small statement of SQLite.
"""

import asyncio
import atexit
import contextlib
import os
import queue
import threading
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_Queue = queue.SimpleQueue["_Job[Any] | None"]


class CallThread:
    """Starts with its first call. Calls may come from any loop, and are done in their order.

    The thread ends with ``shut``, when nobody has this object any more, and at the exit of the
    interpreter, each time after the calls that it was given.
    """

    def __init__(self, name: str) -> None:
        """Name the thread."""
        self._name = name
        self._jobs: _Queue = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Return what ``function`` returns in the thread; once given it is run to its end.

        Cancelled, the caller goes on waiting until it is over, so that the next one finds the
        thread idle.
        """
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        job = _Job(function, args, loop, ended)
        self._put(job)
        try:
            await ended
        except asyncio.CancelledError:
            while not job.is_over:
                job.ended = ended = loop.create_future()
                with contextlib.suppress(asyncio.CancelledError):  # raised below
                    await ended
            raise
        return job.result()

    def post(self, function: Callable[[], object]) -> None:
        """Have ``function`` called, and wait for nothing."""
        self._put(_Job(function, ()))

    def shut(self) -> None:
        """End the thread after the calls that it was given."""
        self._jobs.put(None)

    def _put(self, job: "_Job[Any]") -> None:
        if _exit.begun:
            raise RuntimeError("the interpreter is at its end: no database can be used any more")
        if self._thread is None:
            self._start()
        self._jobs.put(job)

    def _start(self) -> None:
        with _exit.lock:
            if self._thread is None:
                # a daemon: `_end_all` waits for it when the threads that may call it are over
                self._thread = threading.Thread(
                    target=_work, args=(self._jobs,), name=self._name, daemon=True
                )
                self._thread.start()
                _exit.running[self._thread] = self._jobs
                weakref.finalize(self, self._jobs.put, None).atexit = False


class _Job(Generic[T]):
    """A call, its loop, and what came of it."""

    __slots__ = ("_args", "_error", "_function", "_loop", "_made", "ended", "is_over")

    def __init__(
        self,
        function: Callable[..., T],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop | None = None,
        ended: asyncio.Future[None] | None = None,
    ) -> None:
        self._function, self._args, self._loop = function, args, loop
        self._made: T
        self._error: BaseException | None = None
        self.is_over = False
        self.ended = ended

    def run(self) -> None:
        """Do it, in the thread."""
        try:
            self._made = self._function(*self._args)
        except BaseException as exc:  # noqa: BLE001  raised where it is waited for
            self._error = exc
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._end)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more

    def _end(self) -> None:
        self.is_over = True
        if self.ended is not None and not self.ended.done():
            self.ended.set_result(None)

    def result(self) -> T:
        error, self._error = self._error, None
        if error is None:
            return self._made
        try:
            raise error
        finally:
            del error  # or it would hold this frame, which holds it


class _Exit:
    """What there is to end when the interpreter ends."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew: in a child the parent's threads are not there, its lock may be held."""
        self.lock, self.begun = threading.Lock(), False
        self.running: weakref.WeakKeyDictionary[threading.Thread, _Queue] = (
            weakref.WeakKeyDictionary()
        )


_exit = _Exit()


def _work(jobs: _Queue) -> None:
    while (job := jobs.get()) is not None:
        job.run()
        del job  # nothing is held on to while it waits


@atexit.register
def _end_all() -> None:
    _exit.begun = True
    for thread, jobs in list(_exit.running.items()):
        jobs.put(None)
        thread.join()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_exit.forget)
