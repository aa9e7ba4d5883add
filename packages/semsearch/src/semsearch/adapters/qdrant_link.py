"""The client of Qdrant: connected by the first call, patient, and with errors of ours."""

import contextlib
import random
import time
from collections.abc import Callable, Generator
from typing import Any

from .._common.extras import require
from ..errors import BackendError
from .rest import AGAIN, asked_for

_TRIES, _BUDGET = 5, 60.0
"""Tries of a call, and the seconds after which none begins."""


class QdrantLink:
    """A server, a folder or this process's memory.

    Attributes:
        alone: One call at a time: it is one of the local modes.
        where: Names it in messages.
        sleep: Waits for seconds.
    """

    def __init__(self, target: dict[str, Any], name: str) -> None:
        """Take what the client is made of, and the collection's name."""
        self._target = target
        self.where = f"{target.get('url') or target.get('path') or 'memory'}/{name}"
        self.alone = "url" not in target
        self._client: Any = None
        self.sleep: Callable[[float], None] = time.sleep

    @contextlib.contextmanager
    def asked(self) -> Generator[tuple[Any, Any], None, None]:
        """Lend client and models; what the client raises becomes ``BackendError``."""
        library: Any = require("qdrant_client", dist="semsearch", extra="qdrant")
        faults: Any = require("qdrant_client.http.exceptions", dist="semsearch", extra="qdrant")
        limits: Any = require(
            "qdrant_client.common.client_exceptions", dist="semsearch", extra="qdrant"
        )
        try:
            if self._client is None:
                self._client = library.QdrantClient(**self._target)
            patient = _Patient(self._client, faults, limits, self.sleep)
            yield self._client if self.alone else patient, library.models
        except faults.UnexpectedResponse as exc:
            text = f"{self.where}: HTTP {exc.status_code}"
            # its text is the server's, which may repeat what was sent
            raise BackendError(text, retryable=exc.status_code in AGAIN) from None
        except limits.QdrantException:  # as above
            raise BackendError(f"{self.where}: HTTP 429", retryable=True) from None
        except faults.ResponseHandlingException as exc:
            text = f"{self.where}: {type(exc.source).__name__}"
            raise BackendError(text, retryable=True) from exc
        except _Strange as exc:
            raise BackendError(f"{self.where} answered something else than its API says") from exc
        except (RuntimeError, OSError) as exc:  # of the local modes: a folder that another one has
            raise BackendError(f"{self.where}: {exc}", retryable=True) from exc

    def close(self) -> None:
        """Disconnect; a later call connects again. What is in memory stays."""
        if self._target.get("location") is None and self._client is not None:
            client, self._client = self._client, None
            client.close()

    def detach(self) -> None:
        """Forget connections of the process that this one was forked from."""
        if not self.alone:
            self._client = None


class _Strange(Exception):
    """A server's answer was not what the client expects; the client's own error is its cause."""


class _Patient:
    """A client of a server whose calls are tried again: each may be made twice."""

    def __init__(
        self, client: Any, faults: Any, limits: Any, sleep: Callable[[float], None]
    ) -> None:
        self._client, self._faults, self._limits, self._sleep = client, faults, limits, sleep
        self._rng, self._end = random.Random(), time.monotonic() + _BUDGET

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._client, name)

        def patient(*args: Any, **kwargs: Any) -> Any:
            attempt = 0
            while True:
                attempt += 1
                try:
                    return call(*args, **kwargs)
                except (AssertionError, ValueError) as exc:
                    # the client asserts that answers have a result, and reads JSON without a look
                    raise _Strange from exc
                except Exception as exc:
                    pause = self._pause(exc, attempt)
                    if pause is None or time.monotonic() + pause >= self._end:
                        raise
                    self._sleep(pause)

        return patient

    def _pause(self, exc: Any, attempt: int) -> float | None:
        """Return the seconds to wait before the next try, None for none."""
        pause = self._rng.uniform(0, 2.0 ** (attempt - 1))
        if attempt == _TRIES:
            return None
        if isinstance(exc, self._limits.ResourceExhaustedResponse):
            return asked_for(str(exc.retry_after_s), pause)
        if isinstance(exc, self._limits.QdrantException):  # 429, and no number of seconds
            return pause
        if isinstance(exc, self._faults.UnexpectedResponse):
            return pause if exc.status_code in AGAIN else None
        return pause if isinstance(exc, self._faults.ResponseHandlingException) else None
