"""``@cache.cached``: what the decorator asks of the service."""

from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from ..blocking import PORTAL, elsewhere, get_or_compute_blocking, runs_a_loop
from ..decorator import Cached, CachedFunction, cached_function
from ..engine import Engine, Job
from ..ports import Entry
from ..read_through import get_or_compute, refresh_behind
from .invalidation import Invalidating
from .values import Values, options_of

P = ParamSpec("P")
R = TypeVar("R")


class Decorating(Values, Invalidating):
    """``cached``, for coroutine and for blocking functions."""

    def cached(
        self,
        ttl: float | None = 300,
        tags: Sequence[str] | None = None,
        *,
        key: str | None = None,
        condition: Callable[..., bool] | None = None,
        unless: Callable[[Any], bool] | None = None,
        namespace: str | None = None,
        version: int = 1,
        **options: Any,
    ) -> Callable[[Callable[P, R]], CachedFunction[P, R]]:
        """Cache what the decorated function returns, by its arguments; sync and async.

        The function keeps its signature and gains ``.invalidate(*a)``, ``.refresh(*a)``,
        ``.key(*a)`` and ``.bypass(*a)``. Values come back from L2 as the return annotation says.
        All arguments are part of the key: an argument that says who asks must be one of them.

        Args:
            ttl: Seconds.
            tags: Names to invalidate by; ``"user:{user_id}"`` is filled in from the call, as an
                f-string would be.
            key: A template of the function's parameters, ``"user:{user_id}"``; fields are escaped.
            condition: Called with the arguments; False goes past the cache.
            unless: Called with the result; True does not cache it.
            namespace: In place of the function's module and name.
            version: Part of the key: raise it when the meaning of the result changes.
            options: The other fields of :class:`CacheOptions`.

        Raises:
            ConfigurationError: An option or a template is wrong.
        """
        chosen = options_of(None, {"ttl": ttl, "tags": tags, **options})
        rules = Cached(chosen, key, condition, unless, namespace, version)
        return lambda function: cached_function(self, function, rules)

    async def ask(self, job: Job, factory: Callable[[], Any]) -> Any:
        """Answer a call of a decorated coroutine function. For the decorator."""
        return await get_or_compute(await self.opened(), job, factory)

    def ask_blocking(self, job: Job, factory: Callable[[], Any]) -> Any:
        """Answer a call of a decorated blocking function. For the decorator.

        The function runs in its caller's thread, but for two cases that go on without it, in a
        thread of the pool: a refresh behind, and what may outlast a timeout.
        """
        engine, options = self._parts.engine, job.options
        if (entry := engine.fresh(job.key)) is not None:
            if engine.clock.monotonic() >= entry.refresh_at:
                self._refresh_behind(engine, job, factory, entry)
            return engine.hit(entry, job)
        limited = options.soft_timeout is not None or options.hard_timeout is not None
        if limited and not runs_a_loop():
            return PORTAL.block(self.ask, job, elsewhere(factory))
        return get_or_compute_blocking(engine, job, factory, self._home, self.opened)

    @staticmethod
    def _refresh_behind(engine: Engine, job: Job, factory: Callable[[], Any], entry: Entry) -> None:
        async def begin() -> None:
            refresh_behind(engine, job, elsewhere(factory), entry)

        if runs_a_loop():
            refresh_behind(engine, job, elsewhere(factory), entry)
        else:
            PORTAL.finish(begin)
