"""Several keys at once, warming, and writing through the cache."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Unpack

from ..engine import Job
from ..errors import ConfigurationError
from ..keys import check_key, check_keys
from ..models import (
    CacheOptions,
    OptionKeywords,
    Seconds,
    check_count,
    check_factory,
)
from ..read_through import find_values, get_or_compute
from ..single_flight import LeaderLost
from .invalidation import Invalidating
from .values import Values, options_of
from .writing import WriteBehind, Writer, WriteThrough


class Many(Values, Invalidating):
    """The calls for many keys, ``warm``, ``write_through`` and ``write_behind``."""

    async def get_many(self, keys: Sequence[str], *, type: Any = None) -> dict[str, Any]:
        """Return the cached values among ``keys``; L2 is read once."""
        engine = await self.opened()
        return await find_values(engine, check_keys(keys), type)

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
        await self._set_all(engine, jobs)

    async def get_or_set_many(
        self,
        keys: Sequence[str],
        factory: Callable[[list[str]], Awaitable[Mapping[str, Any]] | Mapping[str, Any]],
        options: CacheOptions | None = None,
        *,
        type: Any = None,
        **kw: Unpack[OptionKeywords],
    ) -> dict[str, Any]:
        """Return the values of ``keys``; the factory computes those that nobody has, in one call.

        A key that another caller computes right now is waited for, not computed twice.

        Args:
            keys: Each at most once in the result.
            factory: Called with the missing keys, sync or async; returns their values. A key that
                it leaves out is not cached and not in the result.
            options: See :class:`CacheOptions`; or its fields as keywords.
            type: What the values in L2 are decoded to.
            kw: The fields of ``options``.

        Raises:
            Exception: What the factory raised, where nothing stale stood in.
        """
        check_factory(factory)
        engine, chosen = await self.opened(), options_of(options, kw)
        names, batch = check_keys(keys), _Batch(factory)
        if engine.shared is not None:
            engine.shared.gather_reads()

        async def one(key: str) -> Any:
            try:
                job = Job(key, chosen, type, on_wait=lambda: batch.settled(key))
                return await get_or_compute(engine, job, batch.of(key))
            finally:
                batch.settled(key)

        batch.begin(names)
        values = await asyncio.gather(*map(one, names), return_exceptions=True)
        for each in values:
            if isinstance(each, BaseException) and not isinstance(each, _LeftOut):
                raise each
        found = zip(names, values, strict=True)
        return {key: value for key, value in found if not isinstance(value, _LeftOut)}

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
            ConfigurationError: ``concurrency`` is below 1, or ``keys`` is a single str.
            Exception: What a factory raised first; nothing new is begun after that.
        """
        check_count("concurrency", concurrency)
        check_factory(factory)
        if isinstance(keys, str) or not isinstance(keys, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]  a caller's mistake
            raise ConfigurationError(f"keys must be some str, not {keys!r}")
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

    def write_through(
        self, writer: Writer, options: CacheOptions | None = None, **kw: Unpack[OptionKeywords]
    ) -> WriteThrough:
        """Return what stores changes by ``writer``, then in the cache.

        Args:
            writer: Called with the changes, a mapping of keys to values, ``MISSING`` for deleted
                ones; a plain or a coroutine function.
            options: How values are cached; or its fields as keywords.
            kw: The fields of ``options``.
        """
        return WriteThrough(self, writer, options_of(options, kw))

    def write_behind(
        self,
        writer: Writer,
        max_delay: Seconds = 1.0,
        max_batch: int = 100,
        *,
        max_pending: int = 10_000,
        options: CacheOptions | None = None,
        **kw: Unpack[OptionKeywords],
    ) -> WriteBehind:
        """Return what caches changes at once and stores them by ``writer`` in batches.

        They are flushed when the cache is closed; a process that is killed loses them.

        Args:
            writer: As for :meth:`write_through`; what it raises is tried again, later each time.
            max_delay: Seconds after which a change is stored at the latest.
            max_batch: The most changes of one call; so many are stored at once.
            max_pending: The most changes that wait; then setting waits, too.
            options: How values are cached; or its fields as keywords.
            kw: The fields of ``options``.

        Raises:
            ConfigurationError: A limit is out of range.
        """
        made = WriteBehind(
            self,
            writer,
            options_of(options, kw),
            max_delay=max_delay,
            max_batch=max_batch,
            max_pending=max_pending,
        )
        self._behind.add(made)
        return made


class _LeftOut(LookupError):
    """The factory returned no value for a key."""


class _Batch:
    """One call of a factory for all keys of which it turns out that nobody has them."""

    def __init__(self, factory: Callable[[list[str]], Any]) -> None:
        self._factory = factory
        self._undecided: set[str] = set()
        self._wanted: dict[str, asyncio.Future[Any]] = {}

    def begin(self, keys: Sequence[str]) -> None:
        self._undecided = set(keys)

    def settled(self, key: str) -> None:
        """Note that a key needs no factory (any more)."""
        self._undecided.discard(key)
        self._call()

    def of(self, key: str) -> Callable[[], Awaitable[Any]]:
        """Return the factory of one key, which waits for that of all."""

        async def wait() -> Any:
            answer = asyncio.get_running_loop().create_future()
            self._wanted[key] = answer
            self._undecided.discard(key)
            self._call()
            return await answer

        return wait

    def _call(self) -> None:
        if self._undecided or not self._wanted:
            return
        wanted, self._wanted = self._wanted, {}
        self._task = asyncio.create_task(self._run(wanted), name="cache-factory-many")

    async def _run(self, wanted: dict[str, "asyncio.Future[Any]"]) -> None:
        try:
            made = self._factory(list(wanted))
            values = _mapping_of(await made if inspect.isawaitable(made) else made)
            found = {key: values[key] for key in wanted if key in values}
        except BaseException as exc:
            # each caller gets it; of a cancellation they get that there was one
            error = exc if isinstance(exc, Exception) else LeaderLost("the factory was cancelled")
            for answer in wanted.values():
                if not answer.done():
                    answer.set_exception(error)
            if not isinstance(exc, Exception):
                raise
            return
        for key, answer in wanted.items():
            if answer.done():
                continue
            if key in found:
                answer.set_result(found[key])
            else:
                answer.set_exception(_LeftOut(key))


def _mapping_of(made: Any) -> Mapping[str, Any]:
    if isinstance(made, Mapping):
        return made
    raise ConfigurationError(
        f"the factory of many keys must return a mapping of keys to values, not a "
        f"{type(made).__name__}"
    )
