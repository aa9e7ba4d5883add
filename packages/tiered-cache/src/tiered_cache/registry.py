"""Shared levels by URL scheme; others add theirs by the entry point ``tiered_cache.remotes``."""

from dataclasses import dataclass
from typing import Any

from ._common.clock import Clock
from ._common.plugins import Plugins
from ._common.urls import query_of, scheme_of
from .ports import Backplane, LocalTier, RemoteTier
from .settings import L1Settings, L2Settings

REMOTES = Plugins(
    "shared level",
    "tiered_cache.remotes",
    {
        "redis": "tiered_cache.adapters.redis:RedisTier",
        "rediss": "tiered_cache.adapters.redis:RedisTier",
        "unix": "tiered_cache.adapters.redis:RedisTier",
        "sqlite": "tiered_cache.adapters.sqlite:SQLiteTier",
    },
)
BACKPLANES = Plugins(
    "backplane",
    "tiered_cache.backplanes",
    {
        "redis": "tiered_cache.adapters.redis:RedisBackplane",
        "rediss": "tiered_cache.adapters.redis:RedisBackplane",
        "unix": "tiered_cache.adapters.redis:RedisBackplane",
        "sqlite": "tiered_cache.adapters.sqlite:PollingBackplane",
    },
)


LOCALS = Plugins(
    "local tier",
    "tiered_cache.locals",
    {
        "s3fifo": "tiered_cache.adapters.policies:S3FifoTier",
        "sieve": "tiered_cache.adapters.policies:SieveTier",
        "lru": "tiered_cache.adapters.policies:LruTier",
        "tinylfu": "tiered_cache.adapters.foreign_policies:TheineTier",
        "cachetools-lfu": "tiered_cache.adapters.foreign_policies:CachetoolsTier",
        "cachetools-lru": "tiered_cache.adapters.foreign_policies:CachetoolsLruTier",
        "cachetools-fifo": "tiered_cache.adapters.foreign_policies:CachetoolsFifoTier",
        "cachetools-random": "tiered_cache.adapters.foreign_policies:CachetoolsRandomTier",
    },
)


def local_from(settings: L1Settings) -> LocalTier | None:
    """Construct L1; None if it is off."""
    if not settings.enabled:
        return None
    kind: Any = LOCALS.load(settings.policy)
    made: LocalTier = kind(settings.max_size, settings.max_bytes)
    return made


@dataclass(frozen=True, slots=True)
class Shared:
    """The shared level and its backplane; both None where there is none."""

    remote: RemoteTier | None = None
    backplane: Backplane | None = None


def shared_from(settings: L2Settings, *, clock: Clock) -> Shared:
    """Construct what the settings name; no I/O.

    A remote of a third party without a backplane of the same scheme works without one: L1 is then
    not used for values that others may change.

    Raises:
        ConfigurationError: The scheme or an option is unknown.
        MissingExtraError: The library is not installed.
    """
    url = settings.connection_string
    if url is None or not settings.enabled:
        return Shared()
    scheme = scheme_of(url)
    if scheme == "memory":
        query_of(url, allowed=frozenset())
        return Shared()
    kind: Any = REMOTES.load(scheme)
    if scheme == "sqlite":
        back: Any = BACKPLANES.load(scheme)
        named: dict[str, Any] = {"key_prefix": settings.key_prefix, "clock": clock}
        return Shared(kind(url, **named), back(url, **named))
    own: dict[str, Any] = {"key_prefix": settings.key_prefix, "timeout": settings.patience}
    made: RemoteTier = kind(url, **own)
    if scheme not in BACKPLANES.names():
        return Shared(made)
    listener: Any = BACKPLANES.load(scheme)
    # a second for the backplane: it does not stand in anybody's way
    return Shared(made, listener(url, key_prefix=settings.key_prefix, clock=clock))
