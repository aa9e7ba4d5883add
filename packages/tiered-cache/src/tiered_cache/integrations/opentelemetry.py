"""The figures of a cache as OpenTelemetry metrics.

Observable instruments read the counters when metrics are collected: a hit pays nothing for them.
Names are fixed and no key, value or tag is ever an attribute.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from .._common.extras import require
from ..models import CacheStats
from ..service import CacheProvider

COUNTERS: Final[dict[str, tuple[str, str, Callable[[CacheStats], float]]]] = {
    "tiered_cache.misses": ("{miss}", "Values not found", lambda s: s.misses),
    "tiered_cache.stale_served": ("{value}", "Expired values served", lambda s: s.stale_served),
    "tiered_cache.factory.calls": ("{call}", "Runs of factories", lambda s: s.factory_calls),
    "tiered_cache.factory.errors": ("{call}", "Failed factories", lambda s: s.factory_errors),
    "tiered_cache.factory.time": ("s", "Time in factories", lambda s: s.factory_seconds),
    "tiered_cache.coalesced": ("{caller}", "Callers that shared a factory", lambda s: s.coalesced),
    "tiered_cache.shared_flights": (
        "{value}", "Values another process computed", lambda s: s.shared_flights,
    ),
    "tiered_cache.l2.errors": ("{call}", "Failed calls of L2", lambda s: s.l2_errors),
    "tiered_cache.l2.corrupt": ("{value}", "Bytes that were no value", lambda s: s.corrupt),
    "tiered_cache.breaker.opened": ("{time}", "Times it opened", lambda s: s.breaker_opened),
    "tiered_cache.replayed": ("{change}", "Changes made up for", lambda s: s.replayed),
}  # fmt: skip
GAUGES: Final[dict[str, tuple[str, str, Callable[[CacheStats], float]]]] = {
    "tiered_cache.l1.size": ("By", "Estimated bytes in L1", lambda s: s.size),
    "tiered_cache.l1.keys": ("{value}", "Fresh values in L1", lambda s: s.keys),
    "tiered_cache.pending": ("{change}", "Changes that wait for L2", lambda s: s.pending),
    "tiered_cache.breaker.open": ("1", "Whether L2 is left alone", lambda s: s.breaker == "open"),
    "tiered_cache.trusted": ("1", "Whether messages arrive", lambda s: s.trusted),
}


def instrument(cache: CacheProvider, *, meter: Any = None, name: str = "default") -> None:
    """Offer the figures of ``cache`` to OpenTelemetry.

    Args:
        cache: Whose figures; read when metrics are collected, without I/O.
        meter: The meter; that of the global provider if None.
        name: The attribute ``cache`` of every metric, to tell several caches apart.

    Raises:
        MissingExtraError: OpenTelemetry is not installed.
    """
    metrics: Any = require("opentelemetry.metrics", dist="tiered-cache", extra="otel")
    meter = meter or metrics.get_meter("tiered_cache")

    def observe(*rows: tuple[dict[str, str], Callable[[CacheStats], float]]) -> Any:
        def callback(_: Any) -> Iterable[Any]:
            if (stats := cache.figures()) is None:
                return []
            return [
                metrics.Observation(float(read(stats)), {"cache": name, **more})
                for more, read in rows
            ]

        return [callback]

    tiers = observe(({"tier": "l1"}, lambda s: s.l1_hits), ({"tier": "l2"}, lambda s: s.l2_hits))
    meter.create_observable_counter("tiered_cache.hits", tiers, "{hit}", "Values found")
    causes = observe(
        ({"cause": "room"}, lambda s: s.evictions),
        ({"cause": "expired"}, lambda s: s.expired),
        ({"cause": "invalidated"}, lambda s: s.invalidated),
    )
    meter.create_observable_counter("tiered_cache.evictions", causes, "{value}", "Dropped from L1")
    for metric, (unit, text, read) in COUNTERS.items():
        meter.create_observable_counter(metric, observe(({}, read)), unit, text)
    for metric, (unit, text, read) in GAUGES.items():
        meter.create_observable_gauge(metric, observe(({}, read)), unit, text)
