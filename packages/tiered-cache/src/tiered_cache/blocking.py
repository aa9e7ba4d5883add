"""Reading through the cache for decorated blocking functions, which run in their callers' threads.

They share L1 and flights with coroutines; L2 is asked by the background loop of the ``sync`` facade
while the thread waits.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any, Final, TypeVar

from ._common.home import Home
from ._common.portal import CallerGone, Inbox, Portal, here
from .engine import Engine, Job
from .factories import run_at_once, wants_context
from .filling import found_in_l2, keep, serve_stale
from .ports import Entry
from .single_flight import Flight, LeaderLost

_ATTEMPTS = 3
PORTAL: Final = Portal("tiered_cache.sync")
Block = Callable[..., tuple[bool, Any]]
T = TypeVar("T")
_returning: set["asyncio.Task[Any]"] = set()


def take(ask: Callable[[], Awaitable[T]], give_back: Callable[[T], Coroutine[Any, Any, Any]]) -> T:
    """Block for what ``ask`` gets, on the background loop; who is interrupted gives it back."""
    lock, got, is_gone = threading.Lock(), list[T](), False

    async def work() -> T:
        result = await ask()
        with lock:
            if not is_gone:
                got.append(result)
                return result
        # a task of its own: we are about to be cancelled
        task = asyncio.create_task(give_back(result), name="cache-release")
        _returning.add(task)
        task.add_done_callback(_returning.discard)
        return result

    try:
        return PORTAL.block(work)
    except BaseException:
        with lock:
            is_gone = True
        if got:
            PORTAL.finish(give_back, got[0])
        raise


def get_or_compute_blocking(
    engine: Engine,
    job: Job,
    factory: Callable[..., Any],
    home: Home,
    opened: Callable[[], Awaitable[Any]],
) -> Any:
    """Return the value of ``job``, computed by ``factory`` in this thread if it is not cached."""
    if (entry := engine.fresh(job.key)) is not None:
        return engine.hit(entry, job)
    job.stale = engine.stale(job.key)
    if engine.flights.is_ours(job.key):
        return run_at_once(factory, engine.context(job))
    flight, leads = engine.board(job)
    block = _blocker(engine, home, opened)
    if leads:
        work = lambda: _fill(engine, job, factory, flight, block)  # noqa: E731  one use
        engine.flights.lead_here(job.key, flight, work)
    elif runs_a_loop() and not flight.done():
        # the leader may be a task of this very loop, which stands still while we wait
        return run_at_once(factory, engine.context(job))
    try:
        result = flight.result()
    except LeaderLost:
        if job.attempts >= _ATTEMPTS:
            raise
        job.attempts += 1
        return get_or_compute_blocking(engine, job, factory, home, opened)
    if not leads and engine.is_outdated(flight, job.began):
        return get_or_compute_blocking(engine, job, factory, home, opened)
    return result


def _fill(
    engine: Engine,
    job: Job,
    factory: Callable[..., Any],
    flight: Flight,
    block: Block,
) -> Any:
    """Do what :func:`filling.fill` does; ``block`` runs a coroutine function if it can."""
    asked, entry = block(engine.look_up, job, flight)
    if entry is not None:
        return found_in_l2(engine, entry)
    if not asked:
        engine.look_up_nothing(job)
    claim = take(lambda: engine.claim(job, flight), engine.give_back) if asked else None
    if isinstance(claim, Entry):
        return engine.value_of(claim)
    try:
        return _compute(engine, job, factory, flight, block)
    finally:
        if claim is not None:
            PORTAL.finish(engine.release, claim)


def _compute(
    engine: Engine,
    job: Job,
    factory: Callable[..., Any],
    flight: Flight,
    block: Block,
) -> Any:
    engine.count.misses += 1
    engine.count.factory_calls += 1
    context = engine.context(job)
    try:
        value = run_at_once(factory, context)
    except Exception:
        engine.count.factory_errors += 1
        if (stale := _stand_in(engine, job, flight, block)) is None:
            raise
        return serve_stale(engine, job, stale, flight)
    done, _ = block(keep, engine, job, context, value, flight)
    if not done and not context.skip:
        local = replace(job, options=replace(job.options, skip_l2=True))
        engine.store_locally(local, value, flight)
    return value


def _stand_in(engine: Engine, job: Job, flight: Flight, block: Block) -> Entry | None:
    done, stale = block(engine.stand_in, job, flight)
    if done:
        found: Entry | None = stale
        return found
    return engine.stand_in_at_once(job, flight)


def lent(inbox: Inbox, factory: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Return a coroutine function that runs ``factory`` in the thread that waits on ``inbox``.

    A thread that has its answer already does not wait for a refresh behind it: that one runs in
    another. One that was interrupted leaves the factory to those who wait for its value.
    """
    run = here(inbox, factory)

    async def call(*args: Any) -> Any:
        try:
            return await run(*args)
        except CallerGone as gone:
            if gone.interrupted:
                raise LeaderLost(str(gone)) from None
        return await asyncio.to_thread(factory, *args)

    return call


def elsewhere(factory: Callable[..., Any]) -> Callable[..., Any]:
    """Return a coroutine function with the same parameters that runs ``factory`` in the pool."""
    if wants_context(factory):

        async def with_context(context: Any) -> Any:
            return await asyncio.to_thread(factory, context)

        return with_context

    async def without() -> Any:
        return await asyncio.to_thread(factory)

    return without


def runs_a_loop() -> bool:
    """Whether this thread runs an event loop right now."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _blocker(engine: Engine, home: Home, opened: Callable[[], Awaitable[Any]]) -> Block:
    """Return what runs a coroutine function while this thread waits; L2's time limits hold.

    It returns whether it could, and the result.
    """

    async def work(function: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> Any:
        await opened()
        return await function(*args)

    def block(function: Callable[..., Awaitable[Any]], *args: Any) -> tuple[bool, Any]:
        if engine.shared is None or (runs_a_loop() and home.is_here()):
            # without L2 there is nothing to wait for; on the home loop we would wait for ourselves
            return False, None
        return True, PORTAL.block(lambda: work(function, args))

    return block
