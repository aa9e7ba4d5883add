"""Construction, building of adapters, the backplane's listener, figures: what all parts need."""

import asyncio
import logging
import os
import random
import socket
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Self
from weakref import WeakSet

import msgspec

from .._common.clock import Clock, SystemClock, new_id
from .._common.home import at_home
from .._common.lifecycle import Adapter, Service, part
from ..codec import Codec, compressors, serializers
from ..engine import Engine, Live
from ..errors import BackendError
from ..models import MISSING, CacheStats, Invalidation
from ..ports import Backplane, LocalTier, RemoteTier
from ..registry import Shared, local_from, remote_from, shared_from
from ..resilience import SharedLevel
from ..settings import Settings

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Parts:
    """What a configured cache consists of."""

    engine: Engine
    shared: SharedLevel | None


class Base(Service[Settings, Parts]):
    """A cache that can be configured, opened and closed."""

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

        Raises:
            ConfigurationError: What was given is no such part.
        """
        super().__init__(settings)
        self.clock, self._rng = clock or SystemClock(), rng or random.Random()
        self._local = part("local", local, LocalTier)
        self._remote = part("remote", remote, RemoteTier)
        self._backplane = part("backplane", backplane, Backplane)
        self._exporter = metrics_exporter
        self.live = Live()
        self._behind: WeakSet[Any] = WeakSet()
        self._leases: SharedLevel | None = None
        self._started = False
        self._starting: asyncio.Lock | None = None
        self._listening: asyncio.Task[None] | None = None

    @classmethod
    def from_url(cls, url: str, **kwargs: Any) -> Self:
        """Return a cache on ``memory://``, ``redis://…`` or ``sqlite:///cache.db``.

        ``redis://`` means L1, L2 and backplane; ``?l1=off`` leaves L1 out.

        The first call looks at the rest of the URL, and refuses what is wrong there.

        Raises:
            ConfigurationError: It is no str, or the option ``l1`` is wrong.
        """
        return cls(Settings.from_url(url), **kwargs)

    def _is_volatile(self) -> bool:
        return self._remote is None

    def _build(self, settings: Settings) -> Parts:
        shared = self._shared_level(settings)
        local = self._local or local_from(settings.l1)
        engine = Engine(
            settings, local, shared, _codec(settings),
            live=self.live, clock=self.clock, rng=self._rng,
        )  # fmt: skip
        if shared is not None:
            shared.on_replayed = engine.tags.on_replayed
        return Parts(engine, shared)

    def _shared_level(self, settings: Settings) -> SharedLevel | None:
        found = Shared(self._remote, self._backplane)
        if self._remote is None:
            found = shared_from(settings.l2, clock=self.clock)
        if found.remote is None:
            return None
        return SharedLevel(
            found.remote, found.backplane, home=self._home, clock=self.clock,
            timeout=settings.l2.patience, rng=self._rng, lease=settings.l2.lease or 0.0,
        )  # fmt: skip

    def _adapters(self, parts: Parts) -> Iterable[Adapter]:
        shared = parts.shared
        if shared is None:
            return ()
        return (shared.remote,) if shared.backplane is None else (shared.backplane, shared.remote)

    def _moved(self) -> None:
        super()._moved()
        self._started, self._starting, self._listening = False, None, None
        self.live.trusted_until = float("-inf")
        if self._built is not None and self._built.shared is not None:
            self._built.shared.detach()

    @property
    def own_leases(self) -> SharedLevel:
        """Locks of this process alone, where there is no shared level."""
        if self._leases is None:
            self._leases = SharedLevel(
                remote_from("memory", clock=self.clock), None, home=self._home, clock=self.clock,
                timeout=1.0, rng=self._rng, lease=60.0,
            )  # fmt: skip
        return self._leases

    async def _closing(self) -> None:
        for each in list(self._behind):
            await each.aclose()
        await self._parts.engine.flights.settle()
        self._parts.engine.drop_all()  # what decorated functions remember is gone, too
        self.live.trusted_until, self.live.l1_hits = float("-inf"), 0
        if self._parts.shared is not None:
            self._parts.shared.detach()
        self._started, self._starting, self._listening = False, None, None

    async def opened(self) -> Engine:
        """Return the engine, its backplane listening. For the package's own modules."""
        engine = self._parts.engine
        if not self._started:
            await self._start()
        return engine

    def peek(self, key: str) -> Any:
        """Return the value of L1 if nothing needs to be asked or begun, else ``MISSING``.

        Safe for threads. For the package's own modules.
        """
        if not self._started or (built := self._built) is None:
            return MISSING
        engine = built.engine
        if (entry := engine.fresh(key)) is None or engine.clock.monotonic() >= entry.refresh_at:
            return MISSING
        return engine.hit(entry)

    @at_home
    async def _start(self) -> None:
        self._starting = self._starting or asyncio.Lock()
        async with self._starting:
            if self._started:
                return
            engine, shared = self._parts.engine, self._parts.shared
            if shared is not None and shared.backplane is not None:
                if self._listening is None:
                    self._listening = self._spawn(
                        self._listen(engine, shared.backplane), "cache-listen"
                    )
                # a server that is down keeps nobody waiting for long: L1 is doubted meanwhile
                await asyncio.wait([self._listening], timeout=self.settings.l2.patience / 2)
            if self._exporter is not None and self.settings.metrics.enabled:
                self._spawn(self._export(self._exporter), "cache-metrics")
            if self.settings.metrics.share and shared is not None:
                self._spawn(self._share(shared), "cache-share")
            self._started = True

    async def _listen(self, engine: Engine, backplane: Backplane) -> None:
        while True:
            try:
                await backplane.start(engine.on_message, engine.on_gap)
            except BackendError:
                await self.clock.sleep(1.0)
            else:
                # what was read until now may have been changed before anybody listened
                engine.on_gap()
                return

    async def _export(self, exporter: Callable[[CacheStats], None]) -> None:
        while True:
            await self.clock.sleep(self.settings.metrics.collect_interval)
            try:
                exporter(self._stats())
            except Exception as exc:  # noqa: BLE001  the next figures may go out again
                logger.warning("cache.metrics_failed", extra={"error": type(exc).__name__})

    async def _share(self, shared: SharedLevel) -> None:
        node = f"{socket.gethostname()}:{os.getpid()}:{new_id()[:6]}"
        every = self.settings.metrics.collect_interval
        while True:
            figures = {"at": self.clock.time(), **asdict(self._stats())}
            await shared.report(node, msgspec.json.encode(figures), 3 * every)
            await self.clock.sleep(every)

    async def get_stats(self) -> CacheStats:
        """Return the counters and the present size."""
        await self.opened()
        return self._stats()

    def figures(self) -> CacheStats | None:
        """Return what :meth:`get_stats` does, without I/O; None before the first use."""
        return None if self._built is None else self._stats()

    def _stats(self) -> CacheStats:
        engine = self._parts.engine
        count, shared, local = engine.count, engine.shared, engine.local
        l1_hits = self.live.l1_hits
        hits = l1_hits + count.l2_hits
        asked = hits + count.misses
        return CacheStats(
            **asdict(count),
            hits=hits,
            l1_hits=l1_hits,
            hit_rate=hits / asked if asked else 0.0,
            size=local.size if local is not None else 0,
            keys=engine.count_live(),
            coalesced=engine.flights.coalesced,
            evictions=local.evictions if local is not None else 0,
            l2_errors=shared.errors if shared is not None else 0,
            breaker="none" if shared is None else "open" if shared.is_open else "closed",
            breaker_opened=shared.times_opened if shared is not None else 0,
            pending=shared.pending if shared is not None else 0,
            replayed=shared.replayed if shared is not None else 0,
            trusted=engine.trusts_messages(),
        )

    def _confirmed(self, *, done: bool) -> Invalidation:
        if not done and self.settings.strict:
            raise BackendError(
                "the shared level did not confirm the invalidation; it holds in this process and "
                "waits for the others",
                retryable=True,
            )
        return Invalidation(confirmed=done)


def _codec(settings: Settings) -> Codec:
    chosen = settings.compression
    return Codec(
        serializers.make(settings.serializer, settings.signing_keys),
        compressor=compressors.make(chosen.algorithm) if chosen.enabled else None,
        threshold=chosen.threshold,
        limit=chosen.max_size,
    )
