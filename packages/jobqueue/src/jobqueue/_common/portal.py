"""Blocking calls into asyncio: one background event loop per process for the ``sync`` facade."""

import asyncio
import atexit
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_Message = tuple[Callable[..., Any] | None, Any]


class CallerGone(RuntimeError):
    """The thread that was to run a function went away: ``interrupted``, or with its answer."""

    interrupted = False


class Inbox(SimpleQueue[_Message]):
    """What a blocked thread is to run; what comes once it went away fails by ``CallerGone``."""

    def __init__(self) -> None:
        """Nothing is to be run; the thread is there."""
        super().__init__()
        self._lock = threading.Lock()
        self._refusal: CallerGone | None = None

    def put(self, item: _Message, *_: object, **__: object) -> None:
        """Hand over to the thread."""
        with self._lock:
            if (refusal := self._refusal) is None:
                super().put(item)
        if refusal is not None and item[0] is not None:
            item[0](refusal)

    def leave(self, *, interrupted: bool) -> None:
        """Run nothing more; for the thread itself."""
        refusal = CallerGone("the thread that was to run this went away")
        refusal.interrupted = interrupted
        with self._lock:
            self._refusal = refusal
        while not self.empty():  # nobody else takes, and nobody puts any more
            if (function := self.get_nowait()[0]) is not None:
                function(refusal)


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
        """Run a coroutine function on the background loop and wait; refuse in a loop."""
        self.refuse_loop()
        return self.block(function, *args, **kwargs)

    def block(
        self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do so also inside a running event loop, which the work must not need."""
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
        loop, ended = self._running(), False
        future: Future[T] | None = None
        try:
            future = asyncio.run_coroutine_threadsafe(work, loop)
            future.add_done_callback(lambda done: inbox.put((None, done)))
            while True:
                function, argument = inbox.get()
                if function is None:
                    ended = True
                    return argument.result()  # type: ignore[no-any-return]
                function(argument)
        except BaseException:
            if future is not None:
                future.cancel()  # KeyboardInterrupt while blocked; a no-op when the work has ended
            raise
        finally:
            if isinstance(inbox, Inbox):
                inbox.leave(interrupted=not ended)

    def finish(
        self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do what :meth:`block` does; if the thread is interrupted, the work goes on without it."""
        work = function(*args, **kwargs)
        return asyncio.run_coroutine_threadsafe(work, self._running()).result()

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
            while not _ran(loop):
                pass

        thread = threading.Thread(target=serve, name=self._name, daemon=True)
        thread.start()
        ready.wait()
        atexit.register(_stop, loop, thread, os.getpid())
        return loop


def _ran(loop: asyncio.AbstractEventLoop) -> bool:
    """Run a loop until it is stopped; False if a task ended by what loops let through."""
    try:
        loop.run_forever()
    except (KeyboardInterrupt, SystemExit):
        return False
    return True


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

        def perform(refusal: CallerGone | None) -> None:
            if refusal is not None:
                _post(loop, future, future.set_exception, refusal)
                return
            try:
                result = function(*args, **kwargs)
            except Exception as exc:  # noqa: BLE001  whoever awaits the function gets it
                _post(loop, future, future.set_exception, exc)
            except BaseException:
                gone = CallerGone("the function was interrupted")
                gone.interrupted = True
                _post(loop, future, future.set_exception, gone)
                raise  # it is for this thread; a loop that met it would end
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
