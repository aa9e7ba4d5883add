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


class Flight(Future[Any]):
    """A running factory.

    Attributes:
        job: What it works on, if tags matter to those who join.
        patterns: How many patterns had been deleted when it began.
    """

    job: Any = None
    patterns: int = 0


async def landed(flight: "Future[Any]") -> Any:
    """Return the result of a flight, wherever it flies.

    Cheaper than ``asyncio.wrap_future`` where it lands on the waiter's own loop, as a rule: that
    one wakes the loop through a socket for every waiter.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Any] = loop.create_future()

    def settle(done: "Future[Any]") -> None:
        if answer.done():
            return
        if (error := done.exception()) is not None:
            answer.set_exception(error)
        else:
            answer.set_result(done.result())

    def wake(done: "Future[Any]") -> None:
        if asyncio._get_running_loop() is loop:  # noqa: SLF001  the same without an exception
            settle(done)
        elif not loop.is_closed():
            loop.call_soon_threadsafe(settle, done)

    flight.add_done_callback(wake)
    return await answer


class Lookup:
    """Somebody who reads L2; ``is_outdated`` once the key was changed since."""

    __slots__ = ("is_outdated",)

    def __init__(self) -> None:
        self.is_outdated = False


class Lookups:
    """Those who read L2 to serve a plain ``get``. Safe for threads and event loops."""

    def __init__(self) -> None:
        """Nobody reads."""
        self._lock, self._pid = threading.Lock(), os.getpid()
        self._running: dict[str, list[Lookup]] = {}

    def begin(self, key: str) -> Lookup:
        """Note that somebody reads ``key`` from now on."""
        if self._pid != os.getpid():  # the parent's threads may have held the lock
            self._lock, self._pid, self._running = threading.Lock(), os.getpid(), {}
        with self._lock:
            lookup = Lookup()
            self._running.setdefault(key, []).append(lookup)
            return lookup

    def end(self, key: str, lookup: Lookup) -> None:
        """Note that it ended."""
        with self._lock:
            running = self._running.get(key, [])
            if lookup in running:
                running.remove(lookup)
            if not running:
                self._running.pop(key, None)

    def forget(self, key: str) -> None:
        """Say that what is read of ``key`` right now is outdated."""
        if key in self._running:
            with self._lock:
                for lookup in self._running.pop(key, ()):
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
