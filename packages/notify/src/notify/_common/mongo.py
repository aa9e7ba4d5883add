"""MongoDB clients: short time limits, errors translated, transactions where they are needed."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

from ..errors import ConfigurationError
from .extras import require
from .urls import redact

if TYPE_CHECKING:
    from pymongo import AsyncMongoClient
    from pymongo.asynchronous.client_session import AsyncClientSession

T = TypeVar("T")
_NO_TRANSACTIONS = frozenset({20, 263})
"""What a server that stands alone says to a transaction."""


def connect(url: str, *, dist: str, timeout: float) -> "AsyncMongoClient[dict[str, Any]]":
    """Return a client of ``mongodb://``, no I/O, or ``mongodb+srv://``, which asks DNS.

    Args:
        url: The server or servers.
        dist: The distribution whose extra ``mongo`` installs the library.
        timeout: Seconds for finding a server, for connecting and for each call.

    Raises:
        ConfigurationError: The URL, or an option in it, is wrong.
        MissingExtraError: The library is not installed.
    """
    pymongo = require("pymongo", dist=dist, extra="mongo")
    errors = require("pymongo.errors", dist=dist, extra="mongo")
    milliseconds = int(timeout * 1000)
    try:
        made: AsyncMongoClient[dict[str, Any]] = pymongo.AsyncMongoClient(
            url,
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            timeoutMS=milliseconds,
        )
    except (errors.ConfigurationError, ValueError) as exc:
        raise ConfigurationError(f"not a MongoDB URL: {redact(url)} ({exc})") from exc
    return made


def database_of(url: str, otherwise: str) -> str:
    """Return the database that ``mongodb://host/NAME`` names."""
    return unquote(urlsplit(url).path.strip("/")) or otherwise


class Translated:
    """Raises ``fault(message, retryable=…)`` for what the client or the network raises.

    A plain context manager, made once and used around every call.
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
            self._errors = require("pymongo.errors", dist=self._dist, extra="mongo")
        if not isinstance(exc, self._errors.PyMongoError | OSError):
            return
        if getattr(exc, "code", None) in _NO_TRANSACTIONS:
            raise ConfigurationError(
                f"{self._url} stands alone and has no transactions: make it a replica set, of one "
                "member if need be (mongod --replSet rs0, then rs.initiate())"
            ) from exc
        text = f"{self._url}: {type(exc).__name__}: {str(exc)[:200]}"
        raise self._fault(text, retryable=self._is_retryable(exc)) from exc

    def _is_retryable(self, exc: Any) -> bool:
        lost = (self._errors.ConnectionFailure, self._errors.ExecutionTimeout, OSError)
        if isinstance(exc, lost) or getattr(exc, "timeout", False):
            return True
        labels = ("RetryableWriteError", "TransientTransactionError")
        return any(exc.has_error_label(label) for label in labels)


async def transaction(
    client: "AsyncMongoClient[dict[str, Any]]",
    work: "Callable[[AsyncClientSession], Awaitable[T]]",
) -> T:
    """Await ``work(session)`` in a transaction; again where the server undid it.

    What it does must go by ``session``, and may happen several times.
    """
    async with client.start_session() as session:
        made: T = await session.with_transaction(work)
        return made
