"""Shared levels by URL scheme; others add theirs by the entry point ``tiered_cache.remotes``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ._common.clock import Clock
from ._common.plugins import Plugins
from ._common.urls import query_of, scheme_of
from .errors import ConfigurationError
from .ports import Backplane, LocalTier, RemoteTier
from .settings import L1Settings, L2Settings

_REDIS = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")
_CLUSTER = ("redis+cluster", "rediss+cluster")
_HERE = "tiered_cache.adapters"
REMOTES = Plugins(
    "shared level",
    "tiered_cache.remotes",
    {
        **dict.fromkeys(_REDIS, f"{_HERE}.redis:RedisTier"),
        **dict.fromkeys(_CLUSTER, f"{_HERE}.redis:RedisClusterTier"),
        "memory": f"{_HERE}.memory:MemoryRemote",
        "memcached": f"{_HERE}.memcached:MemcachedTier",
        "sqlite": f"{_HERE}.sqlite:SQLiteTier",
    },
)
BACKPLANES = Plugins(
    "backplane",
    "tiered_cache.backplanes",
    {
        **dict.fromkeys((*_REDIS, *_CLUSTER), f"{_HERE}.redis:RedisBackplane"),
        "streams": f"{_HERE}.redis:StreamsBackplane",
        "tracking": f"{_HERE}.redis:TrackingBackplane",
        "sqlite": f"{_HERE}.sqlite:PollingBackplane",
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
    made: LocalTier = LOCALS.call(settings.policy, kind, settings.max_size, settings.max_bytes)
    return made


def remote_from(name: str, **named: Any) -> RemoteTier:
    """Construct a shared level by its name; no I/O."""
    kind: Any = REMOTES.load(name)
    made: RemoteTier = kind(**named)
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
    if scheme == "sqlite":
        named: dict[str, Any] = {"key_prefix": settings.key_prefix, "clock": clock}
        tier: Any = REMOTES.load(scheme)
        return Shared(tier(url, **named), BACKPLANES.load(scheme)(url, **named))
    back = _backplane(scheme, url, settings, clock)
    own: dict[str, Any] = {"key_prefix": settings.key_prefix, "timeout": settings.patience}
    if scheme in _REDIS and back is not None:
        # changes and messages in one step; the backplane must not take its own for another's
        own |= {"announce": getattr(back, "how", ""), "node": getattr(back, "node", "")}
    kind: Any = REMOTES.load(scheme)
    build: Callable[..., RemoteTier] = getattr(kind, "from_url", kind)
    return Shared(REMOTES.call(scheme, build, url, **own), back)


def _backplane(scheme: str, url: str, settings: L2Settings, clock: Clock) -> Backplane | None:
    """Construct the backplane that ``?backplane=`` names, else that of the scheme."""
    chosen = query_of(url).get("backplane")
    if chosen == "none":
        return None
    name = {None: scheme, "pubsub": scheme}.get(chosen, chosen or scheme)
    if chosen is None and name not in BACKPLANES.names():
        return None
    if chosen is not None and (
        scheme not in {*_REDIS, *_CLUSTER}
        or chosen not in {"pubsub", "streams", "tracking"}
        or (scheme in _CLUSTER and chosen != "pubsub")
    ):
        raise ConfigurationError(
            f"backplane={chosen!r} does not go with {scheme}://: write pubsub or none, and with "
            "one Redis streams or tracking"
        )
    kind: Any = BACKPLANES.load(name)
    # a second for the backplane: it does not stand in anybody's way
    build: Callable[..., Backplane] = getattr(kind, "from_url", kind)
    return BACKPLANES.call(name, build, url, key_prefix=settings.key_prefix, clock=clock)
