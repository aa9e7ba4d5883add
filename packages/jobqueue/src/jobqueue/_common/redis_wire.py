"""The bytes of a call to a Redis script, and how a connection begins and ends."""

from collections.abc import Sequence
from typing import Any, Protocol

from ..errors import ConfigurationError
from .extras import require
from .transports import abandon
from .urls import redact

Connection = Any
"""One of redis-py, whose own types say little."""


class Script(Protocol):
    """A Lua script."""

    @property
    def text(self) -> bytes:
        """Its source."""
        ...

    @property
    def sha(self) -> bytes:
        """What ``EVALSHA`` calls it."""
        ...


def connections(url: str, dist: str, address: tuple[str, int] | None) -> Any:
    """Return redis-py's pool for ``url``, which makes our connections; at ``address`` if given.

    Raises:
        ConfigurationError: It is no URL of Redis, or an option is unknown.
    """
    client: Any = require("redis.asyncio", dist=dist, extra="redis")
    retry: Any = require("redis.asyncio.retry", dist=dist, extra="redis")
    backoff: Any = require("redis.backoff", dist=dist, extra="redis")
    # time limits and second tries are ours: the library's would multiply
    none = retry.Retry(backoff.NoBackoff(), 0)
    try:
        pool = client.ConnectionPool.from_url(
            url, socket_timeout=None, socket_connect_timeout=None, retry=none
        )
        pool.connection_kwargs |= {"decode_responses": False}
        if address is not None:
            host, port = address
            pool.connection_kwargs |= {"host": host, "port": port}
        pool.make_connection()
    except (TypeError, ValueError) as exc:
        option = str(exc).partition("unexpected keyword argument ")[2]
        why = f"unknown option {option}; known: prefix, timeout, pool, and redis-py's"
        raise ConfigurationError(
            f"not a Redis URL: {redact(url)} ({why if option else exc})"
        ) from exc
    return pool


def drop(lane: Connection) -> None:
    """Close a connection without a word to the server, whatever state and loop it is in."""
    if getattr(lane, "_writer", None) is not None and abandon(lane):
        lane._reader = lane._writer = None  # noqa: SLF001  else the library would warn of it


def redirected(exc: Any, known: type[Exception]) -> tuple[str, int] | None:
    """Return whom a cluster names in place of the server that was asked; None for other errors.

    ``known`` is the library's name for that answer; releases before 5.1 leave it as it came.
    """
    if isinstance(exc, known):
        return exc.host, exc.port  # type: ignore[attr-defined]  # the library's own
    kind, _, place = str(exc).partition(" ")
    if kind != "MOVED":
        return None
    host, _, port = place.partition(" ")[2].rpartition(":")
    return host, int(port)


def command(word: bytes, text: bytes, key: bytes, arguments: Sequence[bytes]) -> list[bytes]:
    """Return ``word`` (``EVAL``, ``EVALSHA``) with one key and arguments, packed."""
    head = b"*%d\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$1\r\n1\r\n$%d\r\n%b\r\n" % (
        3 + 1 + len(arguments), len(word), word, len(text), text, len(key), key,
    )  # fmt: skip
    if sum(map(len, arguments)) < 4096:
        return [head + b"".join(b"$%d\r\n%b\r\n" % (len(each), each) for each in arguments)]
    parts = [head]
    for each in arguments:
        parts += (b"$%d\r\n" % len(each), each, b"\r\n")
    return parts
