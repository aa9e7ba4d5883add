"""Calls over HTTP (extra ``hosted``): JSON, retries within a budget, no secrets told.

Every call that the adapters make may be made twice with the same outcome, so all of them are tried
again. Redirects are not followed: a key must not be carried to another host.
"""

import contextlib
import os
import random
import re
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from .._common.extras import require
from .._common.urls import redact
from ..errors import BackendError, SemSearchError
from .address import check_key

AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 525), 529})
"""Statuses after which the same call may succeed; 520 to 529 are of proxies before a server."""
_KIND = re.compile(r"[A-Za-z][\w. -]{0,119}", re.ASCII)
"""Names of errors; what else stands in their place may be what was sent."""
_LONGEST_PAUSE = 60.0
_LONGEST_ANSWER = 600.0
"""Seconds that one answer may take, however steadily it drips."""
_MOST_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said.

    Attributes:
        status: Of HTTP.
        body: Decoded JSON; None where there was none.
        headers: By lower-case name.
    """

    status: int
    body: Any
    headers: Mapping[str, str]


class Rest:
    """A server's API. Blocking; called from many threads at once."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        reason: Callable[[Any], str],
        timeout: float = 30.0,
        budget: float = 60.0,
        attempts: int = 5,
        again: frozenset[int] = AGAIN,
        lines: str = "application/x-ndjson",
        client: Any = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        """Describe the server; the first call connects.

        Args:
            url: What paths are appended to.
            headers: Sent with every call; the secrets are here.
            reason: Finds the kind of error in the JSON of an answer; never a sentence of the
                server's, which may repeat what was sent.
            timeout: Seconds for each try.
            budget: Seconds for a call with all its tries: none begins later.
            attempts: Tries at most. After statuses in ``again`` and broken connections there is a
                pause: what ``Retry-After`` says, at most a minute, else up to 1, 2, 4, … seconds
                with full jitter.
            again: Statuses after which the same call may succeed.
            lines: The content type of lines.
            client: A ready ``httpx.Client``; it is not closed by us.
            sleep: Waits for seconds.
            clock: Tells seconds.
            rng: Spreads pauses.

        Raises:
            ConfigurationError: A header cannot be sent.
        """
        for value in headers.values():
            check_key(value, url)
        self.url = url.rstrip("/")
        self._headers, self._reason = dict(headers), reason
        self._timeout, self._budget, self._attempts = timeout, budget, attempts
        self._sleep, self._clock, self._rng = sleep, clock, rng or random.Random()
        self._again, self._lines = again, lines
        self._given = client
        self._client: Any = None
        self._pid = os.getpid()

    def __repr__(self) -> str:
        """Name the host, never the headers."""
        return f"Rest({redact(self.url)!r})"

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        lines: Sequence[Any] | None = None,
        many: bool = False,
        well: frozenset[int] = frozenset(),
    ) -> Answer:
        """Return what the server answers.

        Args:
            method: Of HTTP.
            path: Below the URL, with its query.
            body: Sent as JSON.
            lines: Sent as one JSON value a line, in place of a body.
            many: The answer has one JSON value a line; its body is their list.
            well: Statuses that are no failure beside those below 300.

        Raises:
            BackendError: It cannot be reached, refuses, or answers nonsense, after all tries.
        """
        library: Any = require("httpx", dist="semsearch", extra="hosted")
        sent, kind = _encoded(body, lines, self._lines)
        end = self._clock() + self._budget
        said, again = "no try", False
        cause: Exception | None = None
        for attempt in range(1, self._attempts + 1):
            pause = self._spread(attempt)
            again = True
            try:
                status, told, raw = self._sent(library, method, path, sent, kind)
            except library.InvalidURL as exc:
                said, cause, again = type(exc).__name__, exc, False
            except library.HTTPError as exc:
                said, cause = type(exc).__name__, exc
            else:
                if status < 300 or status in well:
                    return Answer(status, self._decoded(raw, many), told)
                said, cause = self._said(status, raw), None
                again = status in self._again
                pause = asked_for(told.get("retry-after"), pause)
            if not again or attempt == self._attempts or self._clock() + pause >= end:
                break
            self._sleep(pause)
        raise BackendError(f"{redact(self.url)}: {said}".rstrip(), retryable=again) from cause

    def _sent(
        self, library: Any, method: str, path: str, sent: bytes | None, kind: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Return status, headers and body; no more of it is read than may be kept."""
        headers, end = {**self._headers, **kind}, self._clock() + _LONGEST_ANSWER
        with self._opened(library).stream(
            method, f"{self.url}{path}", content=sent, headers=headers, timeout=self._timeout
        ) as got:
            parts: list[bytes] = []
            size = 0
            for part in got.iter_bytes():
                parts.append(part)
                size += len(part)
                if size > _MOST_BYTES:
                    raise BackendError(f"{redact(self.url)} answered over {_MOST_BYTES} bytes")
                if self._clock() > end:
                    raise library.ReadTimeout("the answer has no end")
            return got.status_code, got.headers, b"".join(parts)

    @contextlib.contextmanager
    def reading(self) -> Generator[None, None, None]:
        """Say so where an answer is JSON, and not of the shape that is published.

        Raises:
            BackendError: It is not.
        """
        try:
            yield
        except SemSearchError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError, msgspec.MsgspecError) as exc:
            raise BackendError(
                f"{redact(self.url)} answered something else than its API says"
            ) from exc

    def pause(self, attempt: int) -> None:
        """Wait before what was refused in part is tried again: 1, 2, 4, … seconds, with jitter."""
        self._sleep(self._spread(attempt))

    def _spread(self, attempt: int) -> float:
        return self._rng.uniform(0, 2.0 ** (attempt - 1))

    def _said(self, status: int, raw: bytes) -> str:
        try:
            kind = self._reason(msgspec.json.decode(raw[:1_000_000]))
        except (msgspec.DecodeError, RecursionError, AttributeError, LookupError, TypeError):
            kind = ""
        named = _KIND.fullmatch(str(kind)) is not None
        told = any(str(kind) in value for value in self._headers.values())
        return f"HTTP {status} {kind if named and not told else ''}"

    def _opened(self, library: Any) -> Any:
        if self._given is not None:
            return self._given
        if self._client is None or self._pid != os.getpid():
            # without TLS there is nothing to verify, and certificates take their time to load
            tls = self.url.startswith("https://")
            self._client = library.Client(follow_redirects=False, verify=tls)
            self._pid = os.getpid()
        return self._client

    def _decoded(self, raw: bytes, many: bool) -> Any:  # noqa: FBT001  ours alone
        if not raw.strip():
            return [] if many else None
        try:
            return msgspec.json.Decoder().decode_lines(raw) if many else msgspec.json.decode(raw)
        except (msgspec.DecodeError, RecursionError) as exc:
            raise BackendError(f"{redact(self.url)} answered no JSON") from exc

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        client, self._client = self._client, None
        if client is not None and self._pid == os.getpid():
            client.close()


def asked_for(header: str | None, otherwise: float, now: Callable[[], float] = time.time) -> float:
    """Return the seconds that a ``Retry-After`` (seconds, or a date) asks for, at most a minute."""
    try:
        seconds = float(header or "")
    except ValueError:
        try:
            at = parsedate_to_datetime(header or "")
        except ValueError:
            return otherwise
        seconds = max(0.0, at.replace(tzinfo=at.tzinfo or UTC).timestamp() - now())
    return min(_LONGEST_PAUSE, seconds) if seconds >= 0 else otherwise


def _encoded(
    body: Any, lines: Sequence[Any] | None, kind: str
) -> tuple[bytes | None, dict[str, str]]:
    if lines is not None:
        sent = b"".join(msgspec.json.encode(each) + b"\n" for each in lines)
        return sent, {"content-type": kind}
    if body is None:
        return None, {}
    return msgspec.json.encode(body), {"content-type": "application/json"}
