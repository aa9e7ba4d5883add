"""Running a factory: sync or async, with or without a context, within its hard timeout."""

import asyncio
import inspect
from typing import Any

from .engine import Engine, Job
from .errors import CacheFactoryTimeout
from .models import CacheContext, seconds
from .ports import Factory


def wants_context(factory: Factory) -> bool:
    """Whether a factory has a required positional parameter: it gets a ``CacheContext``."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return False
    kinds = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    return any(each.kind in kinds and each.default is each.empty for each in parameters)


async def run_factory(engine: Engine, job: Job, factory: Factory, context: CacheContext) -> Any:
    """Return what ``factory`` computes, within the hard timeout.

    Raises:
        CacheFactoryTimeout: It ran longer.
        Exception: What it raised.
    """
    engine.count.factory_calls += 1
    begun = engine.clock.monotonic()
    limit = seconds(job.options.hard_timeout)
    scope = asyncio.timeout(limit)
    try:
        async with scope:
            value = run_at_once(factory, context)
            return await value if inspect.isawaitable(value) else value
    except TimeoutError as exc:
        if not scope.expired():
            raise
        raise CacheFactoryTimeout(f"the factory ran longer than {limit:g} s") from exc
    finally:
        engine.count.factory_seconds += engine.clock.monotonic() - begun


def run_at_once(factory: Factory, context: CacheContext) -> Any:
    """Return what calling ``factory`` gives: a value, or something to await."""
    return factory(context) if wants_context(factory) else factory()
