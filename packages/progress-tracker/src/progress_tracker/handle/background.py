"""The one thread of the process that writes what handles report.

It has an event loop of its own, so that progress is stored while the user's loop or thread is busy.
It starts with the first handle, is rebuilt after a fork, and flushes when the interpreter ends.
"""

import asyncio
import atexit
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
_LAST_WORDS = 5.0
"""Seconds that the end of the interpreter waits for the store."""


class Background:
    """A daemon thread with an event loop. Safe for threads."""

    def __init__(self, name: str) -> None:
        """Name the thread; nothing is started yet."""
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = -1
        self._at_exit: set[Callable[[], Coroutine[Any, Any, None]]] = set()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop; started if need be."""
        if self._pid != os.getpid():
            self._lock = threading.Lock()
            self._loop, self._pid = None, os.getpid()
            self._at_exit.clear()
        with self._lock:
            if self._loop is None:
                self._loop = self._start()
            return self._loop

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run ``work`` in the background, whatever runs here."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def at_exit(self, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Await ``step()`` before the interpreter ends."""
        _ = self.loop
        self._at_exit.add(step)

    def forget(self, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Undo :meth:`at_exit`."""
        self._at_exit.discard(step)

    def _start(self) -> asyncio.AbstractEventLoop:
        loop, ready = asyncio.new_event_loop(), threading.Event()

        def serve() -> None:
            asyncio.set_event_loop(loop)
            loop.call_soon(ready.set)
            loop.run_forever()

        threading.Thread(target=serve, name=self._name, daemon=True).start()
        ready.wait()
        # atexit comes too late: the thread pools that drivers use are closed before it
        register = getattr(threading, "_register_atexit", atexit.register)
        with contextlib.suppress(RuntimeError):  # the interpreter ends already
            register(self._end, os.getpid())
        return loop

    def _end(self, pid: int) -> None:
        if pid != os.getpid() or self._loop is None:
            return
        steps, self._at_exit = list(self._at_exit), set()

        async def all_steps() -> None:
            await asyncio.gather(*(step() for step in steps), return_exceptions=True)

        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(all_steps(), self._loop).result(_LAST_WORDS)


BACKGROUND = Background("progress-tracker")
