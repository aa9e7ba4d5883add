"""The cache: what applications call."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar, Unpack

from ._common.clock import Clock, SystemClock
from ._common.home import at_home
from ._common.lifecycle import Adapter, Service
from .asking import ask, ask_blocking, get_value
from .codec import Codec, compressors, serializers
from .decorator import Cached, cached_function
from .engine import Engine, Job
from .errors import BackendError, ConfigurationError
from .keys import check_key, glob_matches
from .models import OPTION_NAMES, CacheOptions, CacheStats, Invalidation, OptionKeywords
from .ports import ALL, Backplane, Factory, LocalTier, RemoteTier
from .registry import Shared, local_from, shared_from
from .settings import Settings
from .shared import SharedLevel

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Parts:
    """What a configured cache consists of."""

    engine: Engine
    shared: SharedLevel | None


class CacheProvider(Service[Settings, Parts]):
    """A cache of two levels: process memory, then what processes share.

    Safe for several event loops and threads; factories run where they were called. Values are kept
    by reference: do not change what the cache returns, or say ``copy=True``.
    """

    settings_type = Settings
    durable_example = "redis://localhost:6379/0"

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        local: LocalTier | None = None,
        remote: RemoteTier | None = None,
        backplane: Backplane | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        metrics_exporter: Callable[[CacheStats], None] | None = None,
    ) -> None:
        """Make a cache; no I/O.

        Args:
            settings: How it works; found in the environment at the first operation if None.
            local: A ready L1, in place of the one that the settings describe.
            remote: A ready L2, in place of the one that the settings name.
            backplane: A ready backplane, to go with ``remote``.
            clock: Moves expiry; tests give a fake one.
            rng: Draws jitter.
            metrics_exporter: Called with the figures every ``metrics.collect_interval`` seconds.
        """
        super().__init__(settings)
        self._clock, self._rng = clock or SystemClock(), rng or random.Random()
        self._local, self._remote, self._backplane = local, remote, backplane
        self._exporter = metrics_exporter
        self._started = False
        self._starting: asyncio.Lock | None = None

    @classmethod
    def from_url(cls, url: str, **kwargs: Any) -> Self:
        """Return a cache on ``memory://``, ``redis://…`` or ``sqlite:///cache.db``.

        ``redis://`` means L1, L2 and backplane; ``?l1=off`` leaves L1 out.

        Raises:
            ConfigurationError: The URL has no scheme, or an option is wrong.
        """
        return cls(Settings.from_url(url), **kwargs)

    def _is_volatile(self) -> bool:
        return self._remote is None

    def _build(self, settings: Settings) -> Parts:
        found = Shared(self._remote, self._backplane)
        if self._remote is None:
            found = shared_from(settings.l2, clock=self._clock)
        shared = None
        if found.remote is not None:
            shared = SharedLevel(
                found.remote, found.backplane, home=self._home, clock=self._clock,
                timeout=settings.l2.patience, rng=self._rng,
            )  # fmt: skip
        chosen = settings.compression
        codec = Codec(
            serializers.make(settings.serializer),
            compressor=compressors.make(chosen.algorithm) if chosen.enabled else None,
            threshold=chosen.threshold,
            limit=chosen.max_size,
        )
        local = self._local or local_from(settings.l1)
        engine = Engine(settings, local, shared, codec, clock=self._clock, rng=self._rng)
        if shared is not None:
            shared.on_replayed = engine.on_replayed
        return Parts(engine, shared)

    def _adapters(self, parts: Parts) -> Iterable[Adapter]:
        shared = parts.shared
        if shared is None:
            return ()
        return (shared.remote,) if shared.backplane is None else (shared.backplane, shared.remote)

    def _moved(self) -> None:
        super()._moved()
        self._started, self._starting = False, None

    async def _closing(self) -> None:
        await self._parts.engine.flights.settle()
        self._started, self._starting = False, None

    async def opened(self) -> Engine:
        """Return the engine, its backplane listening. For the package's own modules."""
        engine = self._parts.engine
        if not self._started:
            await self._start()
        return engine

    @at_home
    async def _start(self) -> None:
        self._starting = self._starting or asyncio.Lock()
        async with self._starting:
            if self._started:
                return
            engine, shared = self._parts.engine, self._parts.shared
            if shared is not None and shared.backplane is not None:
                self._spawn(self._listen(engine, shared.backplane), "cache-listen")
                # a server that is down does not keep anybody waiting: L1 is doubted meanwhile
                await asyncio.sleep(0)
            if self._exporter is not None and self.settings.metrics.enabled:
                self._spawn(self._export(self._exporter), "cache-metrics")
            self._started = True

    async def _listen(self, engine: Engine, backplane: Backplane) -> None:
        while True:
            try:
                await backplane.start(engine.on_message, engine.on_gap)
            except BackendError:
                await self._clock.sleep(1.0)
            else:
                return

    async def _export(self, exporter: Callable[[CacheStats], None]) -> None:
        while True:
            await self._clock.sleep(self.settings.metrics.collect_interval)
            exporter(self._stats())

    # -- one key -----------------------------------------------------------------------------

    async def get(self, key: str, default: Any = None, *, type: Any = None) -> Any:
        """Return the cached value, or ``default``. A cached None is a hit: see ``MISSING``.

        Args:
            key: A non-empty str.
            default: Returned where nothing is cached.
            type: What the value in L2 is decoded to, where it is a dataclass or the like.
        """
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
            unknown = [tag for tag in job.tags if engine.is_unknown(tag)]
            if unknown and (found := await engine.shared.read([], unknown)) is not None:
                engine.learn(found.versions)
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
        engine = await self.opened()
        return await ask(engine, Job(check_key(key), options_of(options, kw), type), factory)

    async def delete(self, key: str) -> Invalidation:
        """Drop a value in every process."""
        return await self.delete_many([key])

    # -- many keys ---------------------------------------------------------------------------

    async def get_many(self, keys: Sequence[str], *, type: Any = None) -> dict[str, Any]:
        """Return the cached values among ``keys``; reads of L2 run side by side."""
        from .models import MISSING

        engine = await self.opened()
        names = [check_key(key) for key in dict.fromkeys(keys)]
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
        engine, chosen = await self.opened(), options_of(options, kw)
        jobs = [(Job(check_key(key), chosen), value) for key, value in items.items()]
        await asyncio.gather(*(self._set(engine, job, value) for job, value in jobs))

    async def delete_many(self, keys: Sequence[str]) -> Invalidation:
        """Drop values in every process, in one round trip."""
        engine = await self.opened()
        names = [check_key(key) for key in dict.fromkeys(keys)]
        engine.drop(names)
        if engine.shared is None or not names:
            return Invalidation()
        done = await engine.shared.delete(names)
        engine.drop(names)  # again: who looked meanwhile may have found them
        return self._confirmed(done)

    # -- invalidation ------------------------------------------------------------------------

    async def invalidate(self, tags: Sequence[str], *, soft: bool = False) -> Invalidation:
        """Make every value with one of ``tags`` a miss, in every process.

        In this process it holds at once, also for values whose factory runs right now.

        Args:
            tags: Names; unknown ones do no harm.
            soft: The values may still stand in for a failing factory.

        Returns:
            Whether the shared level has it. If not, it waits and is made up for.

        Raises:
            BackendError: It could not be confirmed and the settings say ``strict``.
        """
        names = list(CacheOptions(tags=tags).tags or ())
        engine = await self.opened()
        return await self._invalidate(engine, names, soft=soft)

    async def _invalidate(self, engine: Engine, tags: Sequence[str], *, soft: bool) -> Invalidation:
        engine.outdate(tags, soft=soft)
        if engine.shared is None or not tags:
            return Invalidation()
        made = None
        try:
            made = await engine.shared.bump(tags, soft=soft)
        finally:
            engine.settle_versions(tags, made or {})
        return self._confirmed(made is not None and not engine.shared.has_pending)

    def _confirmed(self, done: bool) -> Invalidation:  # noqa: FBT001  inner
        if not done and self.settings.strict:
            raise BackendError(
                "the shared level did not confirm the invalidation; it holds in this process and "
                "waits for the others",
                retryable=True,
            )
        return Invalidation(confirmed=done)

    async def clear(self) -> Invalidation:
        """Make every value a miss, in every process; costs the same however many there are."""
        engine = await self.opened()
        engine.flights.forget_where(lambda _: True)
        if engine.local is not None:
            engine.local.clear()
        return await self._invalidate(engine, [ALL], soft=False)

    async def delete_pattern(self, pattern: str) -> int:
        """Drop the values whose keys match a glob: ``*``, ``?``, ``[abc]``.

        In other processes only L2 and, by a cleared L1, what it holds; factories that run there
        may still store a value. Use tags where that matters.

        Returns:
            How many values L2 dropped; of L1 where there is no L2.
        """
        engine = await self.opened()
        check_key(pattern)
        engine.flights.forget_where(lambda key: glob_matches(pattern, key))
        local = (
            [key for key, _ in engine.local.items() if glob_matches(pattern, key)]
            if engine.local
            else []
        )
        engine.drop(local)
        if engine.shared is None:
            return len(local)
        count = await engine.shared.delete_pattern(pattern)
        engine.flights.forget_where(lambda key: glob_matches(pattern, key.lstrip("\0")))
        engine.drop(
            [key for key, _ in engine.local.items() if glob_matches(pattern, key)]
            if engine.local
            else []
        )
        # others cannot know which keys went: they must doubt all that they hold
        await self._invalidate(engine, [ALL], soft=True) if count is None else await self._tell_gap(
            engine
        )
        return count or 0

    async def _tell_gap(self, engine: Engine) -> None:
        from .ports import Message

        if engine.shared is not None:
            await engine.shared.tell(Message(["*"]))

    # -- decorator ---------------------------------------------------------------------------

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
    ) -> Callable[[F], F]:
        """Cache what the decorated function returns, by its arguments; sync and async.

        The function keeps its signature and gains ``.invalidate(*a)``, ``.refresh(*a)``,
        ``.key(*a)`` and ``.bypass(*a)``. Values come back from L2 as the return annotation says.
        All arguments are part of the key: an argument that says who asks must be one of them.

        Args:
            ttl: Seconds.
            tags: Names to invalidate by.
            key: A template of the function's parameters, ``"user:{user_id}"``; fields are escaped.
            condition: Called with the arguments; False goes past the cache.
            unless: Called with the result; True does not cache it.
            namespace: In place of the function's module and name.
            version: Part of the key: raise it when the meaning of the result changes.
            options: The other fields of :class:`CacheOptions`.

        Raises:
            ConfigurationError: An option or the template is wrong.
        """
        chosen = options_of(None, {"ttl": ttl, "tags": tags, **options})
        rules = Cached(chosen, key, condition, unless, namespace, version)
        return lambda function: cached_function(self, function, rules)

    async def ask(self, job: Job, factory: Callable[[], Any]) -> Any:
        """Answer a call of a decorated coroutine function. For the decorator."""
        return await ask(await self.opened(), job, factory)

    def ask_blocking(self, job: Job, factory: Callable[[], Any]) -> Any:
        """Answer a call of a decorated blocking function. For the decorator."""
        return ask_blocking(self._parts.engine, job, factory, self._home, self.opened)

    # -- the rest ----------------------------------------------------------------------------

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
            Exception: What a factory raised; the others go on until then.
        """
        if concurrency < 1:
            raise ConfigurationError(f"concurrency must be at least 1, not {concurrency!r}")
        gate, done = asyncio.Semaphore(concurrency), 0

        async def one(key: str) -> None:
            nonlocal done
            async with gate:
                await self.get_or_set(key, lambda: factory(key), options)
            done += 1
            if on_progress is not None:
                on_progress(done)

        async with asyncio.TaskGroup() as group:
            for key in keys:
                group.create_task(one(key))
        return done

    async def get_stats(self) -> CacheStats:
        """Return the counters and the present size."""
        await self.opened()
        return self._stats()

    def _stats(self) -> CacheStats:
        engine = self._parts.engine
        count, shared, local = engine.count, engine.shared, engine.local
        asked = count.hits + count.misses
        now = self._clock.monotonic()
        return CacheStats(
            hits=count.hits,
            misses=count.misses,
            hit_rate=count.hits / asked if asked else 0.0,
            size=local.size if local is not None else 0,
            keys=len(local) if local is not None else 0,
            l1_hits=count.l1_hits,
            l2_hits=count.l2_hits,
            stale_served=count.stale_served,
            factory_calls=count.factory_calls,
            factory_errors=count.factory_errors,
            coalesced=engine.flights.coalesced,
            evictions=local.evictions if local is not None else 0,
            l2_errors=shared.errors if shared is not None else 0,
            corrupt=count.corrupt,
            unserializable=count.unserializable,
            breaker="none" if shared is None else "open" if shared.is_open else "closed",
            trusted=shared is None or shared.is_trusted(now, self.settings.suspect_after),
        )


def options_of(options: CacheOptions | None, keywords: Mapping[str, Any]) -> CacheOptions:
    """Return the options of a call: an object or keywords, never both."""
    if unknown := sorted(keywords.keys() - OPTION_NAMES):
        raise TypeError(f"unexpected keyword argument {unknown[0]!r}")
    if options is not None and keywords:
        raise TypeError(f"give options or keywords, not both: {sorted(keywords)}")
    return options or CacheOptions(**keywords)
