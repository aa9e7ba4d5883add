"""Getting and setting values, one or many; computing those that are missing."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Unpack

from ..engine import Engine, Job
from ..errors import ConfigurationError
from ..keys import check_key, check_keys
from ..models import MISSING, OPTION_NAMES, CacheOptions, OptionKeywords
from ..ports import Factory
from ..read_through import get_or_compute, get_value
from .base import Base


class Values(Base):
    """``get``, ``set``, ``get_or_set``, their forms for many keys, ``warm``."""

    async def get(self, key: str, default: Any = None, *, type: Any = None) -> Any:
        """Return the cached value, or ``default``. A cached None is a hit: see ``MISSING``.

        Args:
            key: A non-empty str.
            default: Returned where nothing is cached.
            type: What the value in L2 is decoded to, where it is a dataclass or the like.
        """
        if (value := self.peek(key)) is not MISSING:
            return value
        engine = await self.opened()
        return await get_value(engine, check_key(key), default, type)

    async def set(
        self,
        key: str,
        value: Any,
        options: CacheOptions | None = None,
        *,
        type: Any = None,
        **kw: Unpack[OptionKeywords],
    ) -> None:
        """Cache a value in both levels.

        Args:
            key: A non-empty str.
            value: None is a value, too.
            options: See :class:`CacheOptions`; or its fields as keywords.
            type: What the value is decoded to when it comes back from L2.
            kw: The fields of ``options``.

        Raises:
            CacheSerializationError: The value would not come back from L2 as it is.
        """
        engine = await self.opened()
        job = Job(check_key(key), options_of(options, kw), type)
        await self._set(engine, job, value)

    async def _set(self, engine: Engine, job: Job, value: Any) -> None:
        engine.drop([job.key])
        if engine.shared is not None and not job.options.skip_l2:
            unknown = [tag for tag in job.tags if engine.tags.is_unknown(tag)]
            if unknown and (found := await engine.shared.read([], unknown)) is not None:
                engine.tags.learn(found.versions)
        await engine.store(job, value, None)

    async def get_or_set(
        self,
        key: str,
        factory: Factory,
        options: CacheOptions | None = None,
        *,
        type: Any = None,
        **kw: Unpack[OptionKeywords],
    ) -> Any:
        """Return the cached value, or what ``factory`` computes, which is then cached.

        Of all callers at once, one runs the factory; it runs on the caller's loop.

        Args:
            key: A non-empty str.
            factory: Sync or async; with a required positional parameter it gets a
                :class:`CacheContext`.
            options: See :class:`CacheOptions`; or its fields as keywords.
            type: What the value in L2 is decoded to.
            kw: The fields of ``options``.

        Raises:
            CacheFactoryTimeout: The factory ran past ``hard_timeout`` and nothing stale stood in.
            Exception: What the factory raised, where nothing stale stood in.
        """
        if options is None and not kw and (value := self.peek(key)) is not MISSING:
            return value
        engine = await self.opened()
        job = Job(check_key(key), options_of(options, kw), type)
        return await get_or_compute(engine, job, factory)

    async def get_many(self, keys: Sequence[str], *, type: Any = None) -> dict[str, Any]:
        """Return the cached values among ``keys``; reads of L2 run side by side."""
        engine = await self.opened()
        names = check_keys(keys)
        values = await asyncio.gather(*(get_value(engine, key, MISSING, type) for key in names))
        found = zip(names, values, strict=True)
        return {key: value for key, value in found if value is not MISSING}

    async def set_many(
        self,
        items: Mapping[str, Any],
        options: CacheOptions | None = None,
        **kw: Unpack[OptionKeywords],
    ) -> None:
        """Cache several values; see :meth:`set`."""
        if not isinstance(items, Mapping):
            raise ConfigurationError(f"items must be a mapping, not a {type(items).__name__}")
        engine, chosen = await self.opened(), options_of(options, kw)
        jobs = [(Job(check_key(key), chosen), value) for key, value in items.items()]
        await asyncio.gather(*(self._set(engine, job, value) for job, value in jobs))

    async def warm(
        self,
        keys: Iterable[str],
        factory: Callable[[str], Awaitable[Any] | Any],
        concurrency: int = 10,
        *,
        options: CacheOptions | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> int:
        """Fill ``keys`` before they are asked for.

        Args:
            keys: Those that are cached already cost one look.
            factory: Called with a key.
            concurrency: At most so many at once.
            options: How the values are cached.
            on_progress: Called with the number of keys done.

        Returns:
            How many keys were looked at.

        Raises:
            ConfigurationError: ``concurrency`` is below 1.
            Exception: What a factory raised first; nothing new is begun after that.
        """
        if concurrency < 1:
            raise ConfigurationError(f"concurrency must be at least 1, not {concurrency!r}")
        done, left = 0, iter(keys)

        async def work() -> None:
            nonlocal done
            for key in left:
                await self.get_or_set(key, lambda key=key: factory(key), options)
                done += 1
                if on_progress is not None:
                    on_progress(done)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(concurrency):
                    group.create_task(work())
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return done


def options_of(options: CacheOptions | None, keywords: Mapping[str, Any]) -> CacheOptions:
    """Return the options of a call: an object or keywords, never both."""
    if unknown := sorted(keywords.keys() - OPTION_NAMES):
        raise TypeError(f"unexpected keyword argument {unknown[0]!r}")
    if options is not None and keywords:
        raise TypeError(f"give options or keywords, not both: {sorted(keywords)}")
    return options or CacheOptions(**keywords)
