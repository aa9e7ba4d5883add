"""The cache for blocking code: the same names without ``await``, on one background event loop.

It is a facade over the *same* instance: both see the same values and share flights. Inside a
running event loop it raises ``RuntimeError``, because it would block that loop. Factories run in
the calling thread.
"""

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar, Unpack

from . import _default, service
from ._common.portal import Inbox
from .blocking import PORTAL, lent, take
from .decorator import CachedFunction
from .factories import wants_context
from .models import (
    MISSING,
    CacheOptions,
    CacheStats,
    Invalidation,
    OptionKeywords,
    Seconds,
    check_factory,
)
from .ports import Factory
from .service.writing import WriteBehind, Writer, WriteThrough
from .settings import Settings

P = ParamSpec("P")
R = TypeVar("R")


class CacheProvider:
    """A blocking view of a :class:`tiered_cache.CacheProvider`. Safe for threads."""

    def __init__(self, cache: service.CacheProvider | None = None) -> None:
        """Show ``cache``; a new, unconfigured one if None."""
        self.asynchronous = cache or service.CacheProvider()

    @classmethod
    def from_url(cls, url: str, **kwargs: Any) -> Self:
        """Return a cache on ``url``; see the asynchronous one."""
        return cls(service.CacheProvider.from_url(url, **kwargs))

    def configure(self, settings: Settings | Mapping[str, Any] | str) -> None:
        """Set the configuration, before the first operation."""
        self.asynchronous.configure(settings)

    def get(self, key: str, default: Any = None, *, type: Any = None) -> Any:
        """Return the cached value, or ``default``."""
        PORTAL.refuse_loop()
        if (value := self.asynchronous.peek(key)) is not MISSING:
            return value
        return PORTAL.run(self.asynchronous.get, key, default, type=type)

    def set(
        self,
        key: str,
        value: Any,
        options: CacheOptions | None = None,
        *,
        type: Any = None,
        **kw: Unpack[OptionKeywords],
    ) -> None:
        """Cache a value in both levels."""
        PORTAL.run(self.asynchronous.set, key, value, options, type=type, **kw)

    def get_or_set(
        self,
        key: str,
        factory: Factory,
        options: CacheOptions | None = None,
        *,
        type: Any = None,
        **kw: Unpack[OptionKeywords],
    ) -> Any:
        """Return the cached value, or what ``factory`` computes in this thread."""
        PORTAL.refuse_loop()
        if options is None and not kw and (value := self.asynchronous.peek(key)) is not MISSING:
            return value
        check_factory(factory)
        inbox = Inbox()
        run = lent(inbox, factory)

        async def with_context(context: Any) -> Any:
            return await run(context)

        async def without() -> Any:
            return await run()

        chosen = with_context if wants_context(factory) else without
        work = self.asynchronous.get_or_set(key, chosen, options, type=type, **kw)
        return PORTAL.wait(inbox, work)

    def get_or_set_many(
        self,
        keys: Sequence[str],
        factory: Callable[[list[str]], Any],
        options: CacheOptions | None = None,
        *,
        type: Any = None,
        **kw: Unpack[OptionKeywords],
    ) -> dict[str, Any]:
        """Return the values of ``keys``; this thread computes those that nobody has."""
        PORTAL.refuse_loop()
        check_factory(factory)
        inbox = Inbox()
        work = self.asynchronous.get_or_set_many(
            keys, lent(inbox, factory), options, type=type, **kw
        )
        return PORTAL.wait(inbox, work)

    def delete(self, key: str) -> Invalidation:
        """Drop a value in every process."""
        return PORTAL.run(self.asynchronous.delete, key)

    def get_many(self, keys: Sequence[str], *, type: Any = None) -> dict[str, Any]:
        """Return the cached values among ``keys``."""
        return PORTAL.run(self.asynchronous.get_many, keys, type=type)

    def set_many(
        self,
        items: Mapping[str, Any],
        options: CacheOptions | None = None,
        **kw: Unpack[OptionKeywords],
    ) -> None:
        """Cache several values."""
        PORTAL.run(self.asynchronous.set_many, items, options, **kw)

    def delete_many(self, keys: Sequence[str]) -> Invalidation:
        """Drop values in every process."""
        return PORTAL.run(self.asynchronous.delete_many, keys)

    def invalidate(self, tags: Sequence[str], *, soft: bool = False) -> Invalidation:
        """Make every value with one of ``tags`` a miss, in every process."""
        return PORTAL.run(self.asynchronous.invalidate, tags, soft=soft)

    def clear(self) -> Invalidation:
        """Make every value a miss, in every process."""
        return PORTAL.run(self.asynchronous.clear)

    def delete_pattern(self, pattern: str) -> int:
        """Drop the values whose keys match a glob."""
        return PORTAL.run(self.asynchronous.delete_pattern, pattern)

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
        """Cache what the decorated function returns; may be called inside a running loop."""
        return self.asynchronous.cached(
            ttl,
            tags,
            key=key,
            condition=condition,
            unless=unless,
            namespace=namespace,
            version=version,
            **options,
        )

    def warm(
        self,
        keys: Iterable[str],
        factory: Callable[[str], Any],
        concurrency: int = 10,
        *,
        options: CacheOptions | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> int:
        """Fill ``keys`` before they are asked for; factories run on the background loop."""
        return PORTAL.run(
            self.asynchronous.warm,
            keys,
            factory,
            concurrency,
            options=options,
            on_progress=on_progress,
        )

    def write_through(
        self, writer: Writer, options: CacheOptions | None = None, **kw: Unpack[OptionKeywords]
    ) -> "BlockingWriter":
        """Return what stores changes by ``writer``, in a thread of its own, then in the cache."""
        made = self.asynchronous.write_through(_in_thread(writer), options, **kw)
        return BlockingWriter(made)

    def write_behind(
        self,
        writer: Writer,
        max_delay: Seconds = 1.0,
        max_batch: int = 100,
        *,
        max_pending: int = 10_000,
        options: CacheOptions | None = None,
        **kw: Unpack[OptionKeywords],
    ) -> "BlockingWriter":
        """Return what caches changes at once and stores them in batches, in another thread."""
        made = self.asynchronous.write_behind(
            _in_thread(writer), max_delay, max_batch, max_pending=max_pending, options=options, **kw
        )
        return BlockingWriter(made)

    @contextlib.contextmanager
    def lock(self, key: str, *, wait: Seconds = 30.0) -> Generator[bool, None, None]:
        """Hold the lock of ``key`` in all processes; it saves work and guarantees nothing."""
        scope = self.asynchronous.lock(key, wait=wait)
        PORTAL.refuse_loop()

        async def leave(_: object) -> None:
            await scope.__aexit__(None, None, None)

        held = take(scope.__aenter__, leave)
        try:
            yield held
        finally:
            PORTAL.finish(leave, held)

    def get_stats(self) -> CacheStats:
        """Return the counters and the present size."""
        return PORTAL.run(self.asynchronous.get_stats)

    def close(self) -> None:
        """Disconnect and return to the state after construction."""
        PORTAL.run(self.asynchronous.aclose)

    def __enter__(self) -> Self:
        """Return the cache itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the cache."""
        self.close()


class BlockingWriter:
    """What ``write_through`` and ``write_behind`` return, for blocking code."""

    def __init__(self, writer: WriteThrough | WriteBehind) -> None:
        """Show ``writer``."""
        self.asynchronous = writer

    def set(self, key: str, value: Any) -> None:
        """Store and cache a value."""
        PORTAL.run(self.asynchronous.set, key, value)

    def set_many(self, items: Mapping[str, Any]) -> None:
        """Store and cache several values."""
        PORTAL.run(self.asynchronous.set_many, items)

    def delete(self, key: str) -> Invalidation:
        """Delete a value, in the store and in the cache."""
        return PORTAL.run(self.asynchronous.delete, key)

    def flush(self) -> None:
        """Return once everything that waits is stored."""
        if isinstance(self.asynchronous, WriteBehind):
            PORTAL.run(self.asynchronous.flush)


def _in_thread(writer: Writer) -> Writer:
    """Return a writer for the background loop, which a blocking one must not hold up."""
    if inspect.iscoroutinefunction(writer):
        return writer

    async def write(changes: Mapping[str, Any]) -> None:
        await asyncio.to_thread(writer, changes)

    return write


cache: Final = CacheProvider(_default.cache)
