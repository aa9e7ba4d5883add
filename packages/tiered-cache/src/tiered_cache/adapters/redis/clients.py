"""Clients by URL: one server, Sentinel, or a cluster.

``redis+sentinel://user:password@host:26379,host2/master-name/0`` asks the Sentinels for the master;
``redis+cluster://host:7000,host2:7001`` finds the other nodes by itself.

With ``rediss`` in place of ``redis`` every connection is by TLS. Sentinels that differ from the
servers they watch have options of their own, which begin with ``sentinel_``: ``sentinel_ssl=off``
(they have no TLS), ``sentinel_username`` and ``sentinel_password`` (they ask for these), and any
other option of the client, as in ``sentinel_ssl_ca_certs``.
"""

import contextlib
import functools
import inspect
import re
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from ..._common.extras import require
from ..._common.redis import Translated, connect
from ..._common.urls import flag, query_of, redact, without_query
from ...errors import BackendError, ConfigurationError

DIST = "tiered-cache"
_SENTINEL_PORT = 26379
_PORT = 6379
_OWN = "sentinel_"
_UNKNOWN = re.compile(r"unexpected keyword argument '(\w+)'")


def load() -> None:
    """Import the library now: it takes longer than the first call may.

    Raises:
        MissingExtraError: It is not installed.
    """
    require("redis.asyncio", dist=DIST, extra="redis")


def check_url(url: str) -> None:
    """Refuse now what the library would refuse at the first call, or take for something else.

    Raises:
        ConfigurationError: A port, a database, an option or its value is wrong, or a host is
            missing.
    """
    if "@" in url.partition("?")[0] and "@" not in urlsplit(url).netloc:
        # not shown: what we take for the path is a part of the password
        raise ConfigurationError(
            "a user or password of the URL holds a character that ends it: write %2F for /, "
            "%3F for ? and %23 for #"
        )
    if "decode_responses" in query_of(url):
        raise ConfigurationError(f"{redact(url)!r}: no decode_responses here: values are bytes")
    if urlsplit(url).scheme in {"redis", "rediss"}:
        _check_database(url, urlsplit(url).path)
    try:
        _try(url)
    except ConfigurationError:
        raise
    except (TypeError, ValueError, _library_error()) as exc:
        unknown = _UNKNOWN.search(str(exc))
        what = f"unknown option {unknown[1]!r}" if unknown else str(exc)
        raise ConfigurationError(f"{redact(url)!r}: {what}") from exc


def check_client(client: Any) -> None:
    """Refuse a client that makes text of values, which are bytes.

    Raises:
        ConfigurationError: It is one.
    """
    if client.get_encoder().decode_responses:
        raise ConfigurationError(
            "the client was made with decode_responses=True: give one without, values are bytes"
        )


def _library_error() -> Any:
    return require("redis.exceptions", dist=DIST, extra="redis").RedisError


def _try(url: str) -> None:
    parts = urlsplit(url)
    if is_cluster(url):
        hosts_of(url, _PORT)
        cluster = require("redis.asyncio.cluster", dist=DIST, extra="redis")
        known = inspect.signature(cluster.RedisCluster).parameters
        for name in _options(url, 1.0).keys() - known.keys():
            raise ConfigurationError(f"{redact(url)!r}: unknown option {name!r}")
    elif parts.scheme.endswith("+sentinel"):
        _check_database(url, parts.path.strip("/").partition("/")[2])
        _by_sentinel(url, 1.0)
        for half in map(urlsplit, _halves(url)):
            _try(f"{half.scheme.partition('+')[0]}://host?{half.query}")
    else:
        pool = connect(url, dist=DIST, timeout=1.0).connection_pool
        pool.connection_class(**pool.connection_kwargs)


def _check_database(url: str, path: str) -> None:
    if not path.strip("/").isdigit() and path.strip("/"):
        raise ConfigurationError(
            f"{redact(url)!r}: the database must be a number, not {path.strip('/')!r}"
        )


def client_of(url: str, *, timeout: float, limited: bool = True) -> Any:
    """Return a client of redis-py for ``url``; no I/O.

    Args:
        url: See above; ``rediss`` in place of ``redis`` for TLS.
        timeout: Seconds for connecting and for each answer.
        limited: False for a caller that limits its calls itself: with one server, answers then take
            as long as they may. The library spends a task and two timers on each limit.

    Raises:
        ConfigurationError: The URL names no Sentinel's master, or no host.
    """
    if is_cluster(url):
        return _cluster(url, timeout)
    if is_watched := urlsplit(url).scheme.endswith("+sentinel"):
        made = _by_sentinel(url, timeout)
    else:
        made = connect(url, dist=DIST, timeout=timeout)
    pool = made.connection_pool
    pool.connection_class = _ending_at_once(pool.connection_class)
    if not (limited or is_watched) and "socket_timeout" not in query_of(url):
        pool.connection_kwargs["socket_timeout"] = None
    return made


@functools.cache
def _ending_at_once(kind: Any) -> Any:
    """Return a kind of connection that is gone at once where it is not worth a farewell.

    Of a TLS connection that broke, or whose answer nobody waits for any more, the library leaves a
    transport behind that waits for the server: for ever if the event loop ends before.
    """

    async def disconnect(self: Any, *args: Any, **named: Any) -> None:
        writer = self._writer
        try:
            await kind.disconnect(self, *args, **named)
        finally:
            if writer is not None and (named.get("nowait") or any(args[:1])):
                writer.transport.abort()

    return type(kind.__name__, (kind,), {"disconnect": disconnect})


def is_cluster(url: str) -> bool:
    """Whether ``url`` names a cluster."""
    return urlsplit(url).scheme.endswith("+cluster")


def hosts_of(url: str, port: int) -> list[tuple[str, int]]:
    """Return the hosts of a URL that may name several."""
    found: list[tuple[str, int]] = []
    for each in urlsplit(url).netloc.rpartition("@")[2].split(","):
        parts = urlsplit(f"//{each}")
        if parts.hostname:
            found.append((parts.hostname, parts.port or port))
    if not found:
        raise ConfigurationError(f"no host in {redact(url)!r}")
    return found


def node_url(url: str, host: str, port: int) -> str:
    """Return the URL of one node of a cluster."""
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    query = f"?{parts.query}" if parts.query else ""
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme.partition('+')[0]}://{user}{'@' if user else ''}{name}:{port}{query}"


def _options(url: str, timeout: float) -> dict[str, Any]:
    """Return what the user and the query of a URL tell the client, whatever its hosts are."""
    connection = require("redis.asyncio.connection", dist=DIST, extra="redis")
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    try:
        found = connection.parse_url(f"redis://{user}{at}host?{parts.query}")
    except ValueError as exc:
        raise ConfigurationError(f"{redact(url)!r}: {exc}") from exc
    told = {name: value for name, value in found.items() if name != "host"}
    if parts.scheme.startswith("rediss"):
        told["ssl"] = True
    return {"socket_timeout": timeout, "socket_connect_timeout": timeout, **told}


def _no_retry() -> Any:
    retry = require("redis.asyncio.retry", dist=DIST, extra="redis")
    backoff = require("redis.backoff", dist=DIST, extra="redis")
    return retry.Retry(backoff.NoBackoff(), 0)


def _by_sentinel(url: str, timeout: float) -> Any:
    sentinel = require("redis.asyncio.sentinel", dist=DIST, extra="redis")
    name, _, number = urlsplit(url).path.strip("/").partition("/")
    if not name:
        raise ConfigurationError(
            f"no master named in {redact(url)!r}: redis+sentinel://host:26379/master-name/0"
        )
    servers, watchers = _halves(url)
    options = _options(servers, timeout) | {"db": int(number or 0), "retry": _no_retry()}
    own = _options(watchers, timeout) | {"retry": _no_retry()}
    found = sentinel.Sentinel(hosts_of(url, _SENTINEL_PORT), sentinel_kwargs=own, **options)
    return found.master_for(name)


def _halves(url: str) -> tuple[str, str]:
    """Return two URLs: how to reach the servers, and how to reach the Sentinels that watch them."""
    given = query_of(url)
    own = {name.removeprefix(_OWN): given[name] for name in given if name.startswith(_OWN)}
    servers = without_query(url, *(_OWN + name for name in own)) if own else url
    by_tls = flag(own, "ssl", default=urlsplit(url).scheme.startswith("rediss"))
    user, password = (quote(own.pop(name, ""), safe="") for name in ("username", "password"))
    if by_tls:  # by the same authority, unless they have one of their own
        own = {name: text for name, text in given.items() if name.startswith("ssl_")} | own
    own.pop("ssl", None)
    login = f"{user}:{password}@" if user or password else ""
    return servers, f"{'rediss' if by_tls else 'redis'}://{login}host?{urlencode(own)}"


def _cluster(url: str, timeout: float) -> Any:
    cluster = require("redis.asyncio.cluster", dist=DIST, extra="redis")
    # no fewer connections of each node than of one server: redis-py 8 raises at the 101st caller
    options = {"max_connections": 2**31, **_options(url, timeout)}
    nodes = [cluster.ClusterNode(*host) for host in hosts_of(url, _PORT)]
    return cluster.RedisCluster(startup_nodes=nodes, require_full_coverage=False, **options)


async def close(client: Any) -> None:
    """Disconnect a client, and the Sentinels that it asked."""
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    for each in (client, *(manager.sentinels if manager is not None else ())):
        with contextlib.suppress(Exception):  # it may be broken; it is not used again
            await each.aclose()


def faults(url: str) -> Translated:
    """Return what raises ``BackendError`` for what the client or the network raises."""
    return Translated(url, BackendError, dist=DIST)


def plain_url(url: str) -> str:
    """Return ``url`` without the options that are ours."""
    return without_query(url, "backplane")
