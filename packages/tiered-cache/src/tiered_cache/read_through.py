"""Reading through the cache: hits at once, misses by single flight, and how long callers wait.

Here are eager refresh (a hit late in its life starts the factory behind) and the soft timeout (a
slow factory goes on behind while a stale value is served).
"""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from concurrent.futures import Future
from typing import Any

from .engine import Engine, Job
from .factories import run_factory
from .filling import fill, fill_anew
from .models import MISSING, seconds
from .ports import Entry, Factory
from .single_flight import Flight, LeaderLost, landed

logger = logging.getLogger(__name__)
_ATTEMPTS = 3


def find_value(engine: Engine, key: str, default: Any, kind: Any) -> Awaitable[Any]:
    """Return, to be awaited once, what L2 has of ``key``, or ``default``."""
    if engine.local is None:
        return engine.value_in_l2(key, kind, default)
    return _find_and_keep(engine, key, default, kind)


async def _find_and_keep(engine: Engine, key: str, default: Any, kind: Any) -> Any:
    found = None
    if engine.shared is not None:
        lookup = engine.lookups.begin(key)
        try:
            found = await engine.look_up_value(key, kind, lookup)
        finally:
            engine.lookups.end(key, lookup)
    return engine.given(found, default)


async def find_values(engine: Engine, keys: Sequence[str], kind: Any) -> dict[str, Any]:
    """Return what either tier has of ``keys``, by one read of L2."""
    values: dict[str, Any] = {}
    missing: list[str] = []
    for key in keys:
        if (entry := engine.fresh(key)) is None:
            missing.append(key)
        else:
            values[key] = engine.hit(entry)
    if not missing:
        return values
    lookups = {key: engine.lookups.begin(key) for key in missing}
    try:
        found = await engine.look_up_values(lookups, kind)
    finally:
        for key, lookup in lookups.items():
            engine.lookups.end(key, lookup)
    taken = ((key, engine.given(found.get(key), MISSING)) for key in missing)
    values |= {key: value for key, value in taken if value is not MISSING}
    return {key: values[key] for key in keys if key in values}


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
