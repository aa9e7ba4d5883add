"""Blocking calls into asyncio: one background event loop per process for the ``sync`` facade."""

import asyncio
import atexit
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_Message = tuple[Callable[..., Any] | None, Any]


class Portal:
    """A daemon thread with an event loop, started at the first call, anew after a fork."""

    def __init__(self, name: str) -> None:
        """Name the thread; nothing is started yet."""
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = -1

    def run(
        self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a coroutine function on the background loop and block until it ends.

        Raises:
            RuntimeError: Called inside a running event loop, which it would block.
        """
        self.refuse_loop()
        return self.block(function, *args, **kwargs)

    def block(
        self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do what :meth:`run` does, also inside a running event loop, which then stands still.

        The work must not need that loop.
        """
        inbox: SimpleQueue[_Message] = SimpleQueue()
        return self.wait(inbox, function(*args, **kwargs))

    def refuse_loop(self) -> None:
        """Raise RuntimeError if this thread runs an event loop."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        raise RuntimeError(
            f"{self._name} would block the running event loop: await the asynchronous service"
        )

    def wait(self, inbox: "SimpleQueue[_Message]", work: Coroutine[Any, Any, T]) -> T:
        """Block until ``work`` ends, running meanwhile what :func:`here` sends to ``inbox``."""
        future = asyncio.run_coroutine_threadsafe(work, self._running())
        future.add_done_callback(lambda done: inbox.put((None, done)))
        try:
            while True:
                function, argument = inbox.get()
                if function is None:
                    return argument.result()  # type: ignore[no-any-return]
                function(argument)
        except BaseException:
            future.cancel()  # KeyboardInterrupt while blocked; a no-op when the work has ended
            raise

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._pid != os.getpid():
            self._lock = threading.Lock()
            self._loop, self._pid = None, os.getpid()
        with self._lock:
            if self._loop is None or self._loop.is_closed():
                self._loop = self._start()
            return self._loop

    def _start(self) -> asyncio.AbstractEventLoop:
        loop, ready = asyncio.new_event_loop(), threading.Event()

        def serve() -> None:
            asyncio.set_event_loop(loop)
            loop.call_soon(ready.set)
            loop.run_forever()

        thread = threading.Thread(target=serve, name=self._name, daemon=True)
        thread.start()
        ready.wait()
        atexit.register(_stop, loop, thread, os.getpid())
        return loop


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread, pid: int) -> None:
    if pid != os.getpid() or loop.is_closed():
        return
    asyncio.run_coroutine_threadsafe(_wind_up(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    if not thread.is_alive():
        loop.close()


async def _wind_up() -> None:
    rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


def here(inbox: "SimpleQueue[_Message]", function: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Return a coroutine function that runs ``function`` in the thread that waits on ``inbox``."""

    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def perform(_: object) -> None:
            try:
                result = function(*args, **kwargs)
            except BaseException as exc:
                _post(loop, future, future.set_exception, exc)
                if not isinstance(exc, Exception):
                    raise
            else:
                _post(loop, future, future.set_result, result)

        inbox.put((perform, None))
        return await future

    return call


def _post(
    loop: asyncio.AbstractEventLoop,
    future: "asyncio.Future[Any]",
    settle: Callable[[Any], None],
    value: Any,
) -> None:
    loop.call_soon_threadsafe(lambda: None if future.done() else settle(value))
