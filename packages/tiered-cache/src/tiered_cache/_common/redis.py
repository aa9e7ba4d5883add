"""Redis clients: short time limits, no retries behind one's back, errors translated."""

import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING

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


@contextlib.asynccontextmanager
async def translated(
    url: str, fault: Callable[..., Exception], *, dist: str
) -> AsyncGenerator[None, None]:
    """Raise ``fault(message, retryable=…)`` for what the client or the network raises."""
    errors = require("redis.exceptions", dist=dist, extra="redis")
    try:
        yield
    except (errors.RedisError, OSError) as exc:
        refused = isinstance(exc, errors.ResponseError)
        text = f"{redact(url)}: {type(exc).__name__}: {str(exc)[:200]}"
        raise fault(text, retryable=not refused) from exc
