"""What a flight does: ask L2, run the factory, store its value; stale values stand in (fail-safe).

The rule for tags that the factory names itself is here too: see :func:`keep`.
"""

from dataclasses import replace
from typing import Any

from .engine import Engine, Job
from .factories import run_factory
from .models import CacheContext, seconds
from .ports import Entry, Factory
from .single_flight import Flight, LeaderLost


async def fill(engine: Engine, job: Job, factory: Factory, flight: Flight) -> Any:
    """Return the value of ``job`` from L2 or the factory, and store it; the flight's task."""
    if (entry := await engine.look_up(job, flight)) is not None:
        return found_in_l2(engine, entry)
    claim = await engine.claim(job, flight)
    if isinstance(claim, Entry):
        return engine.value_of(claim)
    try:
        return await _compute(engine, job, factory, flight)
    finally:
        if claim is not None:
            engine.release_behind(claim)


async def _compute(engine: Engine, job: Job, factory: Factory, flight: Flight) -> Any:
    engine.count.misses += 1
    context = engine.context(job)
    try:
        value = await run_factory(engine, job, factory, context)
    except LeaderLost:
        raise  # no fault of the factory: others run theirs
    except Exception:
        engine.count.factory_errors += 1
        if (stale := await engine.stand_in(job, flight)) is None:
            raise
        return serve_stale(engine, job, stale, flight)
    await keep(engine, job, context, value, flight)
    return value


async def fill_anew(engine: Engine, job: Job, factory: Factory, flight: Flight) -> Any:
    """Return what the factory computes, whatever L2 has, and store it; the flight's task."""
    await engine.note_state(job, trusted=False)
    context = engine.context(job)
    try:
        value = await run_factory(engine, job, factory, context)
    except LeaderLost:
        raise
    except Exception:
        engine.count.factory_errors += 1
        raise
    await keep(engine, job, context, value, flight)
    return value


def found_in_l2(engine: Engine, entry: Entry) -> Any:
    """Return the value of an entry that L2 had."""
    engine.count.l2_hits += 1
    return engine.value_of(entry)


async def keep(engine: Engine, job: Job, context: CacheContext, value: Any, flight: Flight) -> None:
    """Store what a factory returned, unless it said not to.

    Tags that only the factory named had no version read before it ran. Their versions of now are
    good only where nobody bumped them meanwhile; else the value is returned, but not stored.
    """
    if context.skip:
        return
    before = dict(job.versions or {})
    _refine(job, context)
    if added := [tag for tag in job.tags if tag not in before]:
        if engine.shared is not None and not job.options.skip_l2:
            await engine.in_time(job, engine.ask([], lambda: added), "cache-ask")
        before |= engine.tags.current(added)
        still = engine.tags.stood_still(added, latest=job.latest, epoch=job.epoch)
        if not still or engine.tags.changed_since(added, job.began):
            return
        engine.keep_to_ourselves(job, added)
    job.versions = {tag: before[tag] for tag in job.tags}
    await engine.store(job, value, flight)


def _refine(job: Job, context: CacheContext) -> None:
    """Take over the tags and the ttl that the factory set."""
    if context.tags != list(job.options.tags or ()) or context.ttl != seconds(job.options.ttl):
        job.options = replace(job.options, tags=context.tags, ttl=context.ttl)


def serve_stale(engine: Engine, job: Job, entry: Entry, flight: Flight) -> Any:
    """Return an expired value in place of a fresh one."""
    engine.count.stale_served += 1
    engine.rearm(job, entry, flight)
    return engine.value_of(entry)
