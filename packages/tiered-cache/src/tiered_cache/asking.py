"""Asking the cache: hits at once, misses together, and how long callers wait."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, Final

from ._common.home import Home
from ._common.portal import Portal
from .computing import fill, fill_blocking, keep, run_factory, soft_limit, wants_context
from .engine import Engine, Job, get_flight
from .ports import Entry, Factory

PORTAL: Final = Portal("tiered_cache.sync")


async def get_value(engine: Engine, key: str, default: Any, kind: Any) -> Any:
    """Return the value of ``key`` from either tier, or ``default``."""
    if (entry := engine.fresh(key)) is not None:
        return _hit(engine, entry)
    if engine.shared is None:
        engine.count.misses += 1
        return default
    name = get_flight(key)
    flight, leads = engine.flights.board(name)
    if leads:
        from .models import CacheOptions

        job = Job(key, CacheOptions(), kind, flight_key=name)
        engine.flights.lead(name, flight, lambda: engine.look_up(job, flight))
    found: Entry | None = await asyncio.wrap_future(flight)
    if found is None or not engine.is_current(found):  # joined, and invalidated before that
        engine.count.misses += 1
        return default
    engine.count.hits += 1
    engine.count.l2_hits += 1
    return engine.value_of(found)


def _hit(engine: Engine, entry: Entry) -> Any:
    engine.count.hits += 1
    engine.count.l1_hits += 1
    return engine.value_of(entry)


async def ask(engine: Engine, job: Job, factory: Factory) -> Any:
    """Return the value of ``job``, computed by ``factory`` where it is not cached."""
    if (entry := engine.fresh(job.key)) is not None:
        if engine.clock.monotonic() >= entry.refresh_at:
            _refresh_behind(engine, job, factory, entry)
        return _hit(engine, entry)
    if engine.flights.is_ours(job.key):
        # the factory asks for its own key: waiting for itself would never end
        return await run_factory(engine, job, factory, engine.context(job))
    job.stale = engine.stale(job.key)
    flight, leads = engine.board(job)
    if leads:
        engine.flights.lead(job.key, flight, lambda: fill(engine, job, factory, flight))
    result = await _landed(engine, job, flight)
    if not leads and engine.is_outdated(flight, job.began):
        # the flight found only on its way that it has a tag which was invalidated before we joined
        return await ask(engine, job, factory)
    return result


def _refresh_behind(engine: Engine, job: Job, factory: Factory, entry: Entry) -> None:
    entry.refresh_at = float("inf")
    flight, leads = engine.board(job)
    if leads:
        # straight to the factory: L2 has what we have
        engine.flights.lead(job.key, flight, lambda: _again(engine, job, factory, flight))


async def _again(engine: Engine, job: Job, factory: Factory, flight: "Future[Any]") -> Any:
    if engine.shared is not None and not job.options.skip_l2:
        found = await engine.shared.read([job.key], job.tags)
        if found is not None:
            engine.learn(found.versions)
            job.fence = found.fences.get(job.key)
    job.versions = engine.local_versions(job.tags)
    context = engine.context(job)
    value = await run_factory(engine, job, factory, context)
    await keep(engine, job, context, value, flight)
    return value


async def refresh(engine: Engine, job: Job, factory: Factory) -> Any:
    """Compute and store anew, whatever is cached."""
    engine.flights.forget(job.key)
    flight, leads = engine.board(job)
    if leads:
        engine.flights.lead(job.key, flight, lambda: _again(engine, job, factory, flight))
    return await asyncio.wrap_future(flight)


async def _landed(engine: Engine, job: Job, flight: "Future[Any]") -> Any:
    limit = soft_limit(job)
    if limit is None:
        return await asyncio.wrap_future(flight)
    waiter = asyncio.wrap_future(flight)
    done, _ = await asyncio.wait([waiter], timeout=limit)
    if done:
        return waiter.result()
    if (stale := engine.stand_in(job, flight)) is None:
        return await waiter
    # nobody may be left to look at a late failure
    waiter.add_done_callback(lambda late: late.cancelled() or late.exception())
    engine.count.stale_served += 1
    return engine.value_of(stale)


def ask_blocking(
    engine: Engine,
    job: Job,
    factory: Callable[..., Any],
    home: Home,
    opened: Callable[[], Awaitable[Any]],
) -> Any:
    """Return the value of ``job`` for a blocking function, in its own thread."""
    if (entry := engine.fresh(job.key)) is not None:
        return _hit(engine, entry)
    job.stale = engine.stale(job.key)
    if engine.flights.is_ours(job.key):
        return factory(engine.context(job)) if wants_context(factory) else factory()
    flight, leads = engine.board(job)
    block = _blocker(engine, home, opened)
    if leads:
        work = lambda: fill_blocking(engine, job, factory, flight, block)  # noqa: E731  one use
        engine.flights.lead_here(job.key, flight, work)
    elif _runs_a_loop() and not flight.done():
        # the leader may be a task of this very loop, which stands still while we wait
        return factory()
    result = flight.result()
    if not leads and engine.is_outdated(flight, job.began):
        return ask_blocking(engine, job, factory, home, opened)
    return result


def _runs_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _blocker(
    engine: Engine, home: Home, opened: Callable[[], Awaitable[Any]]
) -> Callable[..., tuple[bool, Any]]:
    """Return what runs a coroutine function while this thread waits; L2's time limits hold."""

    async def work(function: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> Any:
        await opened()
        return await function(*args)

    def block(function: Callable[..., Awaitable[Any]], *args: Any) -> tuple[bool, Any]:
        if engine.shared is None or (_runs_a_loop() and home.is_here()):
            # without L2 there is nothing to wait for; on the home loop we would wait for ourselves
            return False, None
        return True, PORTAL.block(lambda: work(function, args))

    return block
