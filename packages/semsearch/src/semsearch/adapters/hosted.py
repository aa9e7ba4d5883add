"""Calls of hosted models over HTTP: one connection pool, retries within a budget, no secrets told.

Redirects are not followed: a key must not be carried to another host.
"""

import random
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from .._common.extras import require
from .._common.urls import redact
from ..errors import ConfigurationError, EmbeddingError

_AGAIN = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
_MOST_BYTES = 256 << 20
_LONGEST_PAUSE = 60.0


class HostedModel:
    """A provider's API: JSON in, JSON out. Blocking; called in threads, from one at a time."""

    def __init__(
        self,
        url: str,
        api_key: str | None,
        *,
        timeout: float = 30.0,
        attempts: int = 5,
        client: Any = None,
        sleep: Callable[[float], None] = time.sleep,
        rng: random.Random | None = None,
    ) -> None:
        """Describe the API; the first call connects.

        Args:
            url: What paths are appended to, ``https://api.openai.com/v1``.
            api_key: Sent as a bearer token; None sends none.
            timeout: Seconds for each try, over 0.
            attempts: Tries of a call at most, 1 to 20. 408, 409, 429, 5xx and broken connections
                are tried again after a pause: what ``Retry-After`` says, at most a minute, else
                up to 1, 2, 4, … seconds with full jitter.
            client: A ready ``httpx.Client``; it is not closed by us.
            sleep: Waits for seconds.
            rng: Spreads pauses.

        Raises:
            ConfigurationError: ``url`` is no http URL, or ``attempts`` is out of range.
        """
        if not url.startswith(("http://", "https://")):
            raise ConfigurationError(f"not an http URL: {redact(url)!r}")
        if not 1 <= attempts <= 20:
            raise ConfigurationError(f"attempts must be 1 to 20, not {attempts!r}")
        self._url, self._api_key = url.rstrip("/"), api_key
        self._timeout, self._attempts = timeout, attempts
        self._client, self._owns_client = client, client is None
        self._sleep, self._rng = sleep, rng or random.Random()

    def __repr__(self) -> str:
        """Name the host, never the key."""
        return f"{type(self).__name__}({redact(self._url)!r})"

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return what the API answers.

        Raises:
            EmbeddingError: It cannot be reached, refuses, or answers nonsense, after all tries.
        """
        library: Any = require("httpx", dist="semsearch", extra="hosted")
        said = "no try"
        for attempt in range(self._attempts):
            pause = self._rng.uniform(0, 2.0**attempt)
            try:
                answer = self._opened(library).post(
                    f"{self._url}{path}",
                    content=msgspec.json.encode(body),
                    headers=self._headers(),
                    timeout=self._timeout,
                )
            except library.HTTPError as exc:
                said = type(exc).__name__
            else:
                if answer.status_code == 200:
                    return self._decoded(answer.content)
                said = f"HTTP {answer.status_code} {_reason(answer.content)}"
                if answer.status_code not in _AGAIN:
                    break
                pause = asked_for(answer.headers.get("retry-after"), pause)
            if attempt + 1 < self._attempts:
                self._sleep(pause)
        raise EmbeddingError(f"{redact(self._url)}{path}: {said}".rstrip())

    def _headers(self) -> dict[str, str]:
        made = {"content-type": "application/json", "accept": "application/json"}
        return (
            made if self._api_key is None else {**made, "authorization": f"Bearer {self._api_key}"}
        )

    def _opened(self, library: Any) -> Any:
        if self._client is None:
            self._client = library.Client(follow_redirects=False)
        return self._client

    def _decoded(self, raw: bytes) -> Any:
        if len(raw) > _MOST_BYTES:
            raise EmbeddingError(f"{redact(self._url)} answered {len(raw)} bytes")
        try:
            return msgspec.json.decode(raw)
        except (msgspec.DecodeError, RecursionError) as exc:
            raise EmbeddingError(f"{redact(self._url)} answered no JSON") from exc

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        if self._owns_client and self._client is not None:
            client, self._client = self._client, None
            client.close()


def _reason(raw: bytes) -> str:
    """Return the kind of error that providers name; their sentences may repeat what we sent."""
    try:
        found = msgspec.json.decode(raw[:65_536])
    except (msgspec.DecodeError, RecursionError):
        return ""
    error = found.get("error", found) if isinstance(found, dict) else None
    if not isinstance(error, dict):
        return ""
    kind = error.get("code") or error.get("type") or ""
    return str(kind)[:60] if str(kind).isprintable() else ""


def asked_for(header: str | None, otherwise: float) -> float:
    """Return the seconds that a ``Retry-After`` asks for, at most a minute."""
    try:
        seconds = float(header or "")
    except ValueError:
        return otherwise
    return min(_LONGEST_PAUSE, seconds) if seconds >= 0 else otherwise
