"""Hosted models: JSON in, JSON out, with a key."""

import random
import time
from collections.abc import Callable, Mapping
from typing import Any

from .._common.urls import redact
from ..errors import BackendError, ConfigurationError, EmbeddingError
from .address import parts_of
from .rest import AGAIN, Rest

_BUDGET = 300.0


class HostedModel:
    """A provider's API. Blocking; called in threads, from one at a time."""

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
            attempts: Tries of a call at most, 1 to 20, of which none begins after five minutes.
                408, 409, 425, 429, what says that a server or a proxy fails (500, 502 to 504,
                520 to 524, 529) and broken connections are tried again after a pause: what
                ``Retry-After`` says, at most a minute, else up to 1, 2, 4, … seconds with full
                jitter.
            client: A ready ``httpx.Client``; it is not closed by us.
            sleep: Waits for seconds.
            rng: Spreads pauses.

        Raises:
            ConfigurationError: ``url`` is no http URL, the key cannot be sent, or ``attempts`` is
                out of range.
        """
        parts_of(url)
        if not url.startswith(("http://", "https://")):
            raise ConfigurationError(f"not an http URL: {redact(url)!r}")
        if not 1 <= attempts <= 20:
            raise ConfigurationError(f"attempts must be 1 to 20, not {attempts!r}")
        headers = {"accept": "application/json"}
        if api_key is not None:
            headers["authorization"] = f"Bearer {api_key}"
        self._rest = Rest(
            url, headers, reason=_reason, timeout=timeout, budget=_BUDGET, attempts=attempts,
            again=AGAIN | {409}, client=client, sleep=sleep, rng=rng,
        )  # fmt: skip

    def __repr__(self) -> str:
        """Name the host, never the key."""
        return f"{type(self).__name__}({redact(self._rest.url)!r})"

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return what the API answers.

        Raises:
            EmbeddingError: It cannot be reached, refuses, or answers nonsense, after all tries.
        """
        try:
            return self._rest.ask("POST", path, body).body
        except BackendError as exc:
            raise EmbeddingError(str(exc)) from exc

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self._rest.close()


def _reason(found: Any) -> str:
    """Return the kind of error that providers name; their sentences may repeat what we sent."""
    error = found.get("error", found)
    return str(error.get("code") or error.get("type") or "")
