"""Reading through the cache: hits at once, misses by single flight, and how long callers wait.

Here are eager refresh (a hit late in its life starts the factory behind) and the soft timeout (a
slow factory goes on behind while a stale value is served).
"""

import asyncio
import logging
from concurrent.futures import Future
from typing import Any

from .engine import Engine, Job
from .factories import run_factory
from .filling import fill, fill_anew, found_in_l2
from .models import seconds
from .ports import Entry, Factory
from .single_flight import Flight, LeaderLost, landed

logger = logging.getLogger(__name__)
_ATTEMPTS = 3


async def get_value(engine: Engine, key: str, default: Any, kind: Any) -> Any:
    """Return the value of ``key`` from either tier, or ``default``."""
    if (entry := engine.fresh(key)) is not None:
        return engine.hit(entry)
    return await find_value(engine, key, default, kind)


async def find_value(engine: Engine, key: str, default: Any, kind: Any) -> Any:
    """Return what L2 has of ``key``, or ``default``."""
    found = None
    if engine.shared is not None and engine.local is None:
        found = await engine.look_up_value(key, kind, None)  # what is found is not kept
    elif engine.shared is not None:
        lookup = engine.lookups.begin(key)
        try:
            found = await engine.look_up_value(key, kind, lookup)
        finally:
            engine.lookups.end(key, lookup)
    if found is None:
        engine.count.misses += 1
        return default
    return found_in_l2(engine, found)


async def get_or_compute(engine: Engine, job: Job, factory: Factory) -> Any:
    """Return the value of ``job``, computed by ``factory`` where it is not cached."""
    if (entry := engine.fresh(job.key)) is not None:
        if engine.clock.monotonic() >= entry.refresh_at:
            refresh_behind(engine, job, factory, entry)
        return engine.hit(entry, job)
    if engine.flights.is_ours(job.key):
        # the factory asks for its own key: waiting for itself would never end
        return await run_factory(engine, job, factory, engine.context(job))
    job.stale = engine.stale(job.key)
    flight, leads = engine.board(job)
    if leads:
        engine.flights.lead(job.key, flight, lambda: fill(engine, job, factory, flight))
    else:
        job.waits()
    try:
        result = await (landed(flight) if job.stale is None else _landed(engine, job, flight))
    except LeaderLost:
        # its loop ended, or its thread was interrupted: that is nobody else's concern
        if job.attempts >= _ATTEMPTS:
            raise
        job.attempts += 1
        return await get_or_compute(engine, job, factory)
    if not leads and engine.is_outdated(flight, job.began):
        # the flight found only on its way that it has a tag which was invalidated before we joined
        return await get_or_compute(engine, job, factory)
    return result


def refresh_behind(engine: Engine, job: Job, factory: Factory, entry: Entry) -> None:
    """Compute anew, in a task, what is fresh still; once for each entry."""
    entry.refresh_at = float("inf")
    entry.arm()
    flight, leads = engine.board(job)
    if leads:
        # straight to the factory: L2 has what we have
        engine.flights.lead(job.key, flight, lambda: fill_anew(engine, job, factory, flight))
        flight.add_done_callback(_tell_failure)


def _tell_failure(late: "Future[Any]") -> None:
    # nobody waits for it, and the value is fresh still
    if (error := late.exception()) is not None:
        logger.warning("cache.refresh_failed", extra={"error": type(error).__name__})


async def refresh(engine: Engine, job: Job, factory: Factory) -> Any:
    """Compute and store anew, whatever is cached."""
    engine.flights.forget(job.key)
    flight, leads = engine.board(job)
    if leads:
        engine.flights.lead(job.key, flight, lambda: fill_anew(engine, job, factory, flight))
    return await landed(flight)


async def _landed(engine: Engine, job: Job, flight: Flight) -> Any:
    """Wait for a flight; past the soft timeout a stale value is served while it goes on."""
    if (limit := seconds(job.options.soft_timeout)) is None:
        return await landed(flight)
    waiter = asyncio.ensure_future(landed(flight))
    done, _ = await asyncio.wait([waiter], timeout=limit)
    if done:
        return waiter.result()
    if (stale := await engine.stand_in(job, flight)) is None:
        return await waiter
    # nobody may be left to look at a late failure
    waiter.add_done_callback(lambda late: late.cancelled() or late.exception())
    engine.count.stale_served += 1
    return engine.value_of(stale)
