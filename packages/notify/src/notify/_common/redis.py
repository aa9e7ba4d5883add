"""Redis clients: short time limits, no retries behind one's back, errors translated."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .extras import require
from .urls import redact

if TYPE_CHECKING:
    from redis.asyncio import Redis


def connect(url: str, *, dist: str, timeout: float) -> "Redis":
    """Return a client of ``redis://``, ``rediss://`` or ``unix://``; no I/O.

    Retries are the caller's business: the library's own would multiply every time limit.

    Args:
        url: The server.
        dist: The distribution whose extra ``redis`` installs the library.
        timeout: Seconds for connecting and for each answer.

    Raises:
        MissingExtraError: The library is not installed.
    """
    redis = require("redis.asyncio", dist=dist, extra="redis")
    retry = require("redis.asyncio.retry", dist=dist, extra="redis")
    backoff = require("redis.backoff", dist=dist, extra="redis")
    made: Redis = redis.Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=retry.Retry(backoff.NoBackoff(), 0),
    )
    return made


class Translated:
    """Raises ``fault(message, retryable=…)`` for what the client or the network raises.

    A plain context manager, made once and used around every call: it costs next to nothing.
    """

    __slots__ = ("_dist", "_errors", "_fault", "_url")

    def __init__(self, url: str, fault: Callable[..., Exception], *, dist: str) -> None:
        """Name ``url`` in messages, without its password."""
        self._url, self._fault, self._dist = redact(url), fault, dist
        self._errors: Any = None

    def __enter__(self) -> None:
        """Begin a call."""

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        """End it."""
        if exc is None:
            return
        if self._errors is None:
            self._errors = require("redis.exceptions", dist=self._dist, extra="redis")
        if isinstance(exc, self._errors.RedisError | OSError):
            refused = isinstance(exc, self._errors.ResponseError)
            text = f"{self._url}: {type(exc).__name__}: {str(exc)[:200]}"
            raise self._fault(text, retryable=not refused) from exc
