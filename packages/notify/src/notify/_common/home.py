"""One home loop per instance: clients live on it, calls from elsewhere are forwarded to it.

asyncio clients break when two event loops share them. An instance therefore does its I/O on the
loop of its first call, its *home*. Calls from other loops and threads are forwarded there; when
the home loop was closed or stopped, or the process forked, the next caller's loop becomes the home
and the adapters forget what they had bound to the old one (``detach``).
"""

import asyncio
import functools
import inspect
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_LOOK = 0.5
_GONE = "the event loop that served this call was closed"


class Home:
    """Where the I/O of one instance happens. Safe for threads."""

    __slots__ = ("_detach", "_lock", "_loop", "_pid")

    def __init__(self, detach: Callable[[], None]) -> None:
        """Remember what to call, without I/O, when the home moves to another loop."""
        self._detach = detach
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()

    def is_here(self) -> bool:
        """Whether the running loop is the home; it becomes it if there is none (any more)."""
        running = asyncio.get_running_loop()
        if running is self._loop and self._pid == os.getpid():
            return True
        return self._settle(running)

    def _settle(self, running: asyncio.AbstractEventLoop) -> bool:
        if forked := self._pid != os.getpid():
            self._lock = threading.Lock()  # the parent's may be held by a thread we do not have
        with self._lock:
            home = self._loop
            if not forked and home is not None and home.is_running():
                return home is running
            self._loop, self._pid = running, os.getpid()
        if home is not None:
            self._detach()
        return True

    def leave(self) -> None:
        """Have no home: the next call chooses one. For ``aclose``."""
        self._loop = None

    async def run(
        self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Await ``function(*args, **kwargs)`` on the home loop, wherever we are.

        Raises:
            RuntimeError: The home loop was closed before the call ended.
        """
        if self.is_here():
            return await function(*args, **kwargs)
        home = self._loop
        assert home is not None
        return await hop(home, lambda: function(*args, **kwargs))

    def stop(self, *tasks: "asyncio.Task[Any] | None") -> None:
        """Cancel tasks of a home that may be gone; never raises."""
        for task in tasks:
            if task is not None and not task.done() and not task.get_loop().is_closed():
                task.get_loop().call_soon_threadsafe(task.cancel)


class _Housed(Protocol):
    @property
    def _home(self) -> Home: ...


S = TypeVar("S", bound=_Housed)


def at_home(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Make a coroutine method run on the home loop of its object."""

    @functools.wraps(method)
    async def forwarded(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self._home.is_here():
            return await method(self, *args, **kwargs)
        return await self._home.run(method, self, *args, **kwargs)

    return forwarded


def stream_at_home(
    method: Callable[Concatenate[S, P], AsyncGenerator[T, None]],
) -> Callable[Concatenate[S, P], AsyncGenerator[T, None]]:
    """Make an asynchronous generator method take each of its steps on the home loop."""

    @functools.wraps(method)
    async def forwarded(self: S, /, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T, None]:
        stream = method(self, *args, **kwargs)
        try:
            while True:
                try:
                    item = await self._home.run(_step, stream)
                except StopAsyncIteration:
                    return
                yield item
        finally:
            await self._home.run(_close, stream)

    return forwarded


async def _step(stream: AsyncGenerator[T, None]) -> T:
    return await anext(stream)


async def _close(stream: AsyncGenerator[Any, None]) -> None:
    await stream.aclose()


def borrow(function: Callable[P, Awaitable[T] | T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Return a coroutine function that runs a user's callable on the loop that runs now.

    The home loop may await it: the callable still runs where its owner called us.
    """
    origin = asyncio.get_running_loop()

    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        make = functools.partial(_call, function, *args, **kwargs)
        return await (make() if asyncio.get_running_loop() is origin else hop(origin, make))

    return call


async def _call(function: Callable[..., Awaitable[T] | T], *args: Any, **kwargs: Any) -> T:
    result: Any = function(*args, **kwargs)
    ended: T = await result if inspect.isawaitable(result) else result
    return ended


class _Later(Coroutine[Any, Any, T]):
    """A coroutine that is made when its loop first runs it: until then nothing is to be closed."""

    __slots__ = ("_make", "_step")

    def __init__(self, make: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._make = make
        self._step: Coroutine[Any, Any, T] | None = None

    def send(self, value: Any) -> Any:
        self._step = self._step or self._make()
        return self._step.send(value)

    def throw(self, *error: Any) -> Any:
        self._step = self._step or self._make()
        return self._step.throw(*error)

    def close(self) -> None:
        if self._step is not None:
            self._step.close()

    def __await__(self) -> Generator[Any, Any, T]:
        raise TypeError("only a task runs this one")


async def hop(loop: asyncio.AbstractEventLoop, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Await the coroutine that ``make`` returns on another, running loop, where it is made.

    A cancellation of ours reaches it.

    Raises:
        RuntimeError: The loop was closed, or stood still, before the coroutine ended.
    """
    answer = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_Later(make), loop))
    try:
        # a loop that ends takes what was sent to it last with it, without a word
        stood = False
        while not (await asyncio.wait([answer], timeout=_LOOK))[0]:
            if stood and not loop.is_running():
                raise RuntimeError(_GONE)
            stood = not loop.is_running()
        return answer.result()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            if not loop.is_closed():
                answer.cancel()
            raise
        raise RuntimeError(_GONE) from None
