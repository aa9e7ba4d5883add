"""Stores and backplanes by URL scheme; third parties add theirs by entry points.

The groups are ``progress_tracker.stores`` and ``progress_tracker.backplanes``.
"""

from typing import Any

from ._common.clock import Clock
from ._common.plugins import Plugins
from ._common.urls import query_of, scheme_of
from .errors import ConfigurationError
from .ports import Backplane, ProgressStore

STORES = Plugins(
    "store",
    "progress_tracker.stores",
    {
        "memory": "progress_tracker.adapters.memory:MemoryStore",
        "sqlite": "progress_tracker.adapters.sql:SQLStore",
        "postgresql": "progress_tracker.adapters.sql:PostgresStore",
        "postgres": "progress_tracker.adapters.sql:PostgresStore",
        "mysql": "progress_tracker.adapters.sql_mysql:MySQLStore",
        "mariadb": "progress_tracker.adapters.sql_mysql:MySQLStore",
        "mongodb": "progress_tracker.adapters.mongo:MongoStore",
        "redis": "progress_tracker.adapters.redis.store:RedisStore",
        "rediss": "progress_tracker.adapters.redis.store:RedisStore",
        "valkey": "progress_tracker.adapters.redis.store:RedisStore",
        "valkeys": "progress_tracker.adapters.redis.store:RedisStore",
        "unix": "progress_tracker.adapters.redis.store:RedisStore",
    },
)
BACKPLANES = Plugins(
    "backplane",
    "progress_tracker.backplanes",
    {
        "memory": "progress_tracker.adapters.memory:MemoryBackplane",
        "polling": "progress_tracker.adapters.polling:PollingBackplane",
        "postgresql": "progress_tracker.adapters.sql_bell:PostgresBackplane",
        "postgres": "progress_tracker.adapters.sql_bell:PostgresBackplane",
        "redis": "progress_tracker.adapters.redis.backplane:RedisBackplane",
        "rediss": "progress_tracker.adapters.redis.backplane:RedisBackplane",
        "valkey": "progress_tracker.adapters.redis.backplane:RedisBackplane",
        "valkeys": "progress_tracker.adapters.redis.backplane:RedisBackplane",
        "unix": "progress_tracker.adapters.redis.backplane:RedisBackplane",
    },
)


def store_from_url(url: str, *, table: str) -> ProgressStore:
    """Construct the store that ``url`` names; no I/O.

    Raises:
        ConfigurationError: The scheme or an option is unknown.
        MissingExtraError: The store's library is not installed.
    """
    if not url.isprintable():
        raise ConfigurationError("the URL of the store holds control characters or surrogates")
    scheme = scheme_of(url).partition("+")[0]
    found: Any = STORES.load(scheme)
    if not hasattr(found, "from_url"):
        query_of(url, allowed=frozenset())
        plain: ProgressStore = STORES.call(scheme, found)
        return plain
    made: ProgressStore = STORES.call(scheme, found.from_url, url, table=table)
    return made


def backplane_from_url(
    url: str | None, store: ProgressStore, *, clock: Clock, table: str = "progress"
) -> Backplane:
    """Construct the backplane that ``url`` names, or the one that fits ``store``; no I/O.

    Raises:
        ConfigurationError: The scheme or an option is unknown.
    """
    if url is None and (fitting := store.bells()) is not None:
        return fitting
    chosen = url or ("polling://" if store.capabilities.shared else "memory://")
    scheme = scheme_of(chosen).partition("+")[0]
    found: Any = BACKPLANES.load(scheme)
    if hasattr(found, "from_url"):
        made: Backplane = BACKPLANES.call(scheme, found.from_url, chosen, table=table)
        return made
    if scheme == "polling":
        options = query_of(chosen, allowed=frozenset({"interval"}))
        polling: Backplane = found(store, interval=_interval(options), clock=clock)
        return polling
    query_of(chosen, allowed=frozenset())
    plain: Backplane = BACKPLANES.call(scheme, found)
    return plain


def _interval(options: dict[str, str]) -> float:
    text = options.get("interval", "0.1")
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.001 <= value <= 3600:
        raise ConfigurationError(f"interval must be 0.001 to 3600 seconds, not {text!r}")
    return value
