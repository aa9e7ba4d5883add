"""Computing a missing value: factories of both kinds, time limits, stale values that stand in."""

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from .engine import Engine, Job
from .errors import CacheFactoryTimeout
from .models import CacheContext, seconds
from .ports import Entry, Factory


def wants_context(factory: Factory) -> bool:
    """Whether a factory has a required positional parameter: it gets a ``CacheContext``."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return False
    kinds = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    return any(each.kind in kinds and each.default is each.empty for each in parameters)


async def fill(engine: Engine, job: Job, factory: Factory, flight: "Future[Any]") -> Any:
    """Return the value of ``job`` from L2 or the factory, and store it; the flight's task."""
    if (entry := await engine.look_up(job, flight)) is not None:
        engine.count.hits += 1
        engine.count.l2_hits += 1
        return engine.value_of(entry)
    engine.count.misses += 1
    context = engine.context(job)
    try:
        value = await run_factory(engine, job, factory, context)
    except Exception:
        engine.count.factory_errors += 1
        if (stale := engine.stand_in(job, flight)) is None:
            raise
        return serve_stale(engine, job, stale, flight)
    await keep(engine, job, context, value, flight)
    return value


async def run_factory(engine: Engine, job: Job, factory: Factory, context: CacheContext) -> Any:
    """Return what ``factory`` computes, within the hard timeout.

    Raises:
        CacheFactoryTimeout: It ran longer.
        Exception: What it raised.
    """
    engine.count.factory_calls += 1
    limit = seconds(job.options.hard_timeout)
    scope = asyncio.timeout(limit)
    try:
        async with scope:
            value = factory(context) if wants_context(factory) else factory()
            return await value if inspect.isawaitable(value) else value
    except TimeoutError as exc:
        if not scope.expired():
            raise
        raise CacheFactoryTimeout(f"the factory ran longer than {limit:g} s") from exc


def refine(job: Job, context: CacheContext) -> None:
    """Take over the tags and the ttl that the factory set."""
    if context.tags != list(job.options.tags or ()) or context.ttl != seconds(job.options.ttl):
        job.options = replace(job.options, tags=context.tags, ttl=context.ttl)


async def keep(
    engine: Engine, job: Job, context: CacheContext, value: Any, flight: "Future[Any]"
) -> None:
    """Store what a factory returned, unless it said not to."""
    if context.skip:
        return
    before = dict(job.versions or {})
    refine(job, context)
    if added := [tag for tag in job.tags if tag not in before]:
        if engine.shared is not None and (found := await engine.shared.read([], added)) is not None:
            engine.learn(found.versions)
        before |= engine.local_versions(added)
        if any(engine.changed.get(tag, 0) > job.began for tag in added):
            return  # a tag that the factory named was invalidated while it ran
    job.versions = {tag: before[tag] for tag in job.tags}
    await engine.store(job, value, flight)


def serve_stale(engine: Engine, job: Job, entry: Entry, flight: "Future[Any]") -> Any:
    """Return an expired value in place of a fresh one."""
    engine.count.stale_served += 1
    engine.rearm(job, entry, flight)
    return engine.value_of(entry)


def fill_blocking(
    engine: Engine,
    job: Job,
    factory: Callable[..., Any],
    flight: "Future[Any]",
    block: Callable[..., tuple[bool, Any]],
) -> Any:
    """Do what :func:`fill` does, for a blocking factory in its own thread.

    ``block`` runs a coroutine function and returns whether it could, and its result.
    """
    _, entry = block(engine.look_up, job, flight)
    if entry is not None:
        engine.count.hits += 1
        engine.count.l2_hits += 1
        return engine.value_of(entry)
    job.versions = job.versions or engine.local_versions(job.tags)
    engine.count.misses += 1
    engine.count.factory_calls += 1
    context = engine.context(job)
    try:
        value = factory(context) if wants_context(factory) else factory()
    except Exception:
        engine.count.factory_errors += 1
        if (stale := engine.stand_in(job, flight)) is None:
            raise
        return serve_stale(engine, job, stale, flight)
    done, _ = block(keep, engine, job, context, value, flight)
    if not done and not context.skip:
        local = Job(job.key, replace(job.options, skip_l2=True), versions=job.versions)
        _store_locally(engine, local, value, flight)
    return value


def _store_locally(engine: Engine, job: Job, value: Any, flight: "Future[Any]") -> None:
    step = engine.store(job, value, flight)
    try:
        step.send(None)
    except StopIteration:
        return
    step.close()


def soft_limit(job: Job) -> float | None:
    """Return how long a caller waits before the stale value is served; None without one."""
    return None if job.stale is None else seconds(job.options.soft_timeout)
