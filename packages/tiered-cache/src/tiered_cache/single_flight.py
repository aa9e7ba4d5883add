"""Single flight: of all callers that miss a key at once, one runs the factory.

A flight is a ``concurrent.futures.Future``, so that tasks of any event loop and threads share it.
The factory of an asynchronous leader runs in a task of its own: a caller that is cancelled leaves
the others their flight, and nobody gets another's cancellation.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")
_PATIENCE = 5.0
_GONE = "whoever ran the factory went away: its event loop ended or its thread was interrupted"
_chain: ContextVar[frozenset[tuple[int, str]]] = ContextVar(
    "tiered_cache_chain", default=frozenset()
)


class LeaderLost(RuntimeError):
    """Whoever ran the factory went away before it ended: somebody else may run it."""


class _Crowd:
    """Those of one event loop who wait for a flight; only that loop's thread touches them."""

    __slots__ = ("_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[asyncio.Future[Any]] = []

    def join(self) -> "asyncio.Future[Any]":
        """Return what becomes the result for one more of them."""
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append(answer)
        return answer

    def wake(self, done: "Future[Any]") -> None:
        """Tell them; called in whichever thread the flight ended."""
        if asyncio._get_running_loop() is self._loop:  # noqa: SLF001  the same without an exception
            self._settle(done)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._settle, done)

    def _settle(self, done: "Future[Any]") -> None:
        waiting, self._waiting = self._waiting, []
        error = done.exception()
        result = done.result() if error is None else None
        for answer in waiting:
            if answer.done():
                continue
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)


class Flight(Future[Any]):
    """A running factory.

    Attributes:
        job: What it works on, if tags matter to those who join.
        patterns: How many patterns had been deleted when it began.
        crowds: Who waits for it, by event loop.
    """

    job: Any = None
    patterns: int = 0

    def __init__(self) -> None:
        """Nobody waits yet."""
        super().__init__()
        self.crowds: dict[asyncio.AbstractEventLoop, _Crowd] = {}


async def landed(flight: Flight) -> Any:
    """Return the result of a flight, wherever it flies.

    The loop is told once for all its tasks, and through its socket only if the flight ended in
    another thread.
    """
    loop = asyncio.get_running_loop()
    if (crowd := flight.crowds.get(loop)) is None or flight.done():
        crowd = flight.crowds[loop] = _Crowd(loop)
        answer = crowd.join()
        flight.add_done_callback(crowd.wake)  # at once, if it has ended
        return await answer
    return await crowd.join()


class Lookup:
    """Those who read a key of L2, ``count`` of them; ``is_outdated`` once it was changed since."""

    __slots__ = ("count", "is_outdated")

    def __init__(self) -> None:
        self.count, self.is_outdated = 0, False


class Lookups:
    """Those who read L2 to serve a plain ``get``. Safe for threads and event loops."""

    def __init__(self) -> None:
        """Nobody reads."""
        self._lock, self._pid = threading.Lock(), os.getpid()
        self._running: dict[str, Lookup] = {}

    def begin(self, key: str) -> Lookup:
        """Note that somebody reads ``key`` from now on."""
        if self._pid != os.getpid():  # the parent's threads may have held the lock
            self._lock, self._pid, self._running = threading.Lock(), os.getpid(), {}
        with self._lock:
            if (lookup := self._running.get(key)) is None:
                lookup = self._running[key] = Lookup()
            lookup.count += 1
            return lookup

    def end(self, key: str, lookup: Lookup) -> None:
        """Note that it ended."""
        with self._lock:
            lookup.count -= 1
            if not lookup.count and self._running.get(key) is lookup:
                del self._running[key]

    def forget(self, key: str) -> None:
        """Say that what is read of ``key`` right now is outdated."""
        if key in self._running:
            with self._lock:
                if (lookup := self._running.pop(key, None)) is not None:
                    lookup.is_outdated = True

    def forget_where(self, matches: Callable[[str], bool]) -> None:
        """Say so of all keys that match."""
        for key in [each for each in list(self._running) if matches(each)]:
            self.forget(key)

    def is_current(self, _: str, lookup: Any) -> bool:
        """Whether nothing changed the key since ``lookup`` began."""
        return not lookup.is_outdated

    def commit(self, _: str, lookup: Any, store: Callable[[], None]) -> bool:
        """Call ``store`` unless the key was changed since ``lookup`` began; return whether."""
        with self._lock:
            if lookup.is_outdated:
                return False
            store()
            return True


class Flights:
    """The running factories of one cache. Safe for threads and event loops."""

    def __init__(self) -> None:
        """Nothing is under way."""
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._running: dict[str, Flight] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._flying: WeakKeyDictionary[asyncio.Task[Any], tuple[str, Flight]] = WeakKeyDictionary()
        self.coalesced = self._patterns = 0

    def is_ours(self, key: str) -> bool:
        """Whether the caller runs inside the factory of ``key``: waiting would be for itself."""
        return (id(self), key) in _chain.get()

    def board(self, key: str, job: Any = None) -> tuple[Flight, bool]:
        """Return the flight of ``key``, and whether the caller leads it, for ``job``."""
        if self._pid != os.getpid():
            self._start_anew()
        with self._lock:
            if (flight := self._running.get(key)) is not None:
                self.coalesced += 1
                return flight, False
            flight = self._running[key] = Flight()
            flight.job, flight.patterns = job, self._patterns
            # running from the start: a waiter's cancellation must not cancel it for all
            flight.set_running_or_notify_cancel()
            return flight, True

    def _start_anew(self) -> None:
        # after a fork: what flies, flies in the parent, whose threads may have held the lock
        self._lock, self._pid = threading.Lock(), os.getpid()
        self._running, self._tasks = {}, set()

    def forget(self, key: str) -> None:
        """Let later callers start anew: what flies was computed before a change of ``key``."""
        if key in self._running:
            with self._lock:
                self._running.pop(key, None)

    def forget_flight(self, key: str, flight: "Future[Any]") -> None:
        """Let later callers of ``key`` start anew, if they would join ``flight``."""
        with self._lock:
            if self._running.get(key) is flight:
                del self._running[key]

    def is_current(self, key: str, flight: "Future[Any]") -> bool:
        """Whether nothing changed ``key`` since ``flight`` began."""
        return self._running.get(key) is flight

    def forget_where(self, matches: Callable[[str], bool]) -> None:
        """Let later callers of the matching keys start anew."""
        with self._lock:
            for key in [each for each in self._running if matches(each)]:
                del self._running[key]

    def forget_pattern(self, matches: Callable[[str], bool]) -> None:
        """Do so for keys that are deleted by a pattern."""
        with self._lock:
            self._patterns += 1
        self.forget_where(matches)

    def met_pattern(self, flight: Flight) -> bool:
        """Whether a pattern was deleted since ``flight`` began, perhaps one that matches its key.

        A flight that was forgotten for another reason before does not know whether it matches.
        """
        return flight.patterns != self._patterns

    def commit(self, key: str, flight: "Future[Any]", store: Callable[[], None]) -> bool:
        """Call ``store`` unless ``key`` was changed since ``flight`` began; return whether."""
        with self._lock:
            if self._running.get(key) is not flight:
                return False
            store()
            return True

    def land(
        self, key: str, flight: "Future[Any]", result: Any, error: BaseException | None
    ) -> None:
        """End a flight for everybody."""
        self.forget_flight(key, flight)
        if flight.done():
            return
        if error is not None:
            flight.set_exception(error)
        else:
            flight.set_result(result)

    def lead(self, key: str, flight: Flight, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Run ``work`` in a task of its own and land ``flight`` with its end."""

        async def fly() -> None:
            _chain.set(_chain.get() | {(id(self), key)})
            task = asyncio.current_task()
            try:
                result = await work()
            except asyncio.CancelledError:
                if task is None or not task.cancelling():
                    # nobody cancelled us: what the factory awaited was cancelled
                    error = RuntimeError("the factory was cancelled from within")
                    self.land(key, flight, None, error)
                raise
            except BaseException as exc:
                self._land_error(key, flight, exc)
                if not isinstance(exc, Exception):
                    raise
            else:
                self.land(key, flight, result, None)

        def ended(task: "asyncio.Task[None]") -> None:
            self._tasks.discard(task)
            # also where it was cancelled before its first step: fly() saw nothing of that
            self.land(key, flight, None, LeaderLost(_GONE))

        task = asyncio.create_task(fly(), name="cache-factory")
        self._flying[task] = key, flight
        self._tasks.add(task)
        task.add_done_callback(ended)

    def spawn(self, work: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        """Run ``work`` behind everybody's back; :meth:`settle` waits for it."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _land_error(self, key: str, flight: "Future[Any]", exc: BaseException) -> None:
        # an interrupted leader is no error of the factory
        self.land(key, flight, None, exc if isinstance(exc, Exception) else LeaderLost(_GONE))

    def lead_here(self, key: str, flight: "Future[Any]", work: Callable[[], Any]) -> None:
        """Run blocking ``work`` in this thread and land ``flight`` with its end."""
        token = _chain.set(_chain.get() | {(id(self), key)})
        try:
            result = work()
        except BaseException as exc:
            self._land_error(key, flight, exc)
            if not isinstance(exc, Exception):
                raise
        else:
            self.land(key, flight, result, None)
        finally:
            _chain.reset(token)

    async def settle(self, patience: float = _PATIENCE) -> None:
        """Wait for the tasks of this loop, refreshes behind included; then cancel the rest."""
        current = asyncio.current_task()
        mine = [
            task
            for task in self._tasks
            if task is not current and task.get_loop() is asyncio.get_running_loop()
        ]
        if not mine:
            return
        _, late = await asyncio.wait(mine, timeout=patience)
        for task in late:
            if (flown := self._flying.get(task)) is not None:
                self.land(*flown, None, RuntimeError("the cache was closed"))
            task.cancel()
        if late:
            await asyncio.wait(late)
