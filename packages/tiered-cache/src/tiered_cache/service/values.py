"""Getting and setting a value; computing it where it is missing."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from ..engine import Engine, Job
from ..errors import ConfigurationError
from ..keys import check_key
from ..models import MISSING, OPTION_NAMES, CacheOptions, OptionKeywords, check_factory
from ..ports import Factory
from ..read_through import find_value, get_or_compute
from .base import Base


class Values(Base):
    """``get``, ``set``, ``get_or_set``."""

    async def get(self, key: str, default: Any = None, *, type: Any = None) -> Any:
        """Return the cached value, or ``default``. A cached None is a hit: see ``MISSING``.

        Args:
            key: A non-empty str.
            default: Returned where nothing is cached.
            type: What the value in L2 is decoded to, where it is a dataclass or the like.
        """
        built = self._built if self._started else None
        engine = await self.opened() if built is None else built.engine
        if (entry := engine.fresh(key)) is not None:
            return engine.hit(entry)
        return await find_value(engine, check_key(key), default, type)

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
        await self._set_all(engine, [(job, value)])

    @staticmethod
    async def _set_all(engine: Engine, items: Sequence[tuple[Job, Any]]) -> None:
        engine.drop(job.key for job, _ in items)
        tags = {tag for job, _ in items if not job.options.skip_l2 for tag in job.tags}

        def unknown() -> list[str]:
            return [tag for tag in tags if engine.tags.is_unknown(tag)]

        if unknown():
            await engine.ask([], unknown)
        for job, _ in items:
            # now: a gap in the messages while L2 is written makes them unknown again
            job.versions = engine.tags.current(job.tags)
        await engine.store_many(items)

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
            ConfigurationError: ``factory`` is no function.
            CacheFactoryTimeout: The factory ran past ``hard_timeout`` and nothing stale stood in.
            Exception: What the factory raised, where nothing stale stood in.
        """
        if options is None and not kw and (value := self.peek(key)) is not MISSING:
            return value
        check_factory(factory)
        built = self._built if self._started else None
        engine = await self.opened() if built is None else built.engine
        job = Job(check_key(key), options_of(options, kw), type)
        return await get_or_compute(engine, job, factory)


def options_of(options: CacheOptions | None, keywords: Mapping[str, Any]) -> CacheOptions:
    """Return the options of a call: an object or keywords, never both."""
    if options is not None and not isinstance(options, CacheOptions):  # pyright: ignore[reportUnnecessaryIsInstance]  a caller's mistake
        raise ConfigurationError(
            f"options must be CacheOptions, not {options!r}; or give its fields as keywords"
        )
    if not keywords:
        return options or _DEFAULTS
    if unknown := sorted(keywords.keys() - OPTION_NAMES):
        raise TypeError(f"unexpected keyword argument {unknown[0]!r}")
    if options is not None:
        raise TypeError(f"give options or keywords, not both: {sorted(keywords)}")
    if type(tags := keywords.get("tags")) is list:
        keywords = {**keywords, "tags": tuple(tags)}
    try:
        return _made(**keywords)
    except TypeError:  # what has no hash
        return CacheOptions(**keywords)


_DEFAULTS = CacheOptions()


@functools.lru_cache(maxsize=256, typed=True)  # typed: True is 1, but no number of seconds
def _made(**keywords: Any) -> CacheOptions:
    """Check a combination once: a program has few of them, and calls with each very often."""
    return CacheOptions(**keywords)
