"""A response cache for Starlette, FastAPI and every other ASGI application.

RFC 9110 and RFC 9111 say what a shared cache may keep; where they leave a choice, this one keeps
less: what has cookies or credentials passes it by.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any, Final

from ..errors import ConfigurationError
from ..models import CacheContext, CacheOptions, Seconds, are_tags, check_count, check_seconds
from ..models import seconds as seconds_of
from ..service import CacheProvider

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_KEPT_STATUS: Final = frozenset({200, 203, 301, 404, 410})
_NEVER: Final = frozenset({"no-store", "private", "no-cache"})
_OF_NOT_MODIFIED: Final = frozenset(
    {b"etag", b"cache-control", b"vary", b"date", b"expires", b"content-location", b"age"}
)
_RULES: Final = "tiered_cache.rules"


class ResponseCache:
    """ASGI middleware that keeps responses of GET requests, and answers with 304 where it may.

    Kept are complete responses with a status that allows it, without ``Set-Cookie``, whose
    ``Cache-Control`` does not forbid it, to requests without ``Authorization`` and ``Cookie``. Of
    all requests for one URL at once, one reaches the application. The response's ``s-maxage`` or
    ``max-age`` goes before ``ttl``; a dependency of a route (``integrations.fastapi.cached``) goes
    before both.
    """

    def __init__(
        self,
        app: App,
        cache: CacheProvider,
        *,
        ttl: Seconds = 60,
        tags: Sequence[str] = (),
        vary: Iterable[str] = ("accept", "accept-encoding", "accept-language"),
        max_body: int = 1 << 20,
        only_marked: bool = False,
    ) -> None:
        """Stand before ``app``.

        Args:
            app: The application.
            cache: Where responses are kept.
            ttl: Seconds for which a response is kept that does not say it itself.
            tags: Names to invalidate all of them by.
            vary: Request headers that may change the response; one whose ``Vary`` names others is
                not kept.
            max_body: Bytes; longer bodies are passed on as they come.
            only_marked: Keep only responses of routes that say so.

        Raises:
            ConfigurationError: A value is out of range, or a str stands for a list of some.
        """
        check_count("max_body", max_body)
        if isinstance(vary, str):
            raise ConfigurationError(f"vary must be a list of names of headers, not {vary!r}")
        self._app, self._cache, self._only_marked = app, cache, only_marked
        self._options = CacheOptions(ttl=ttl, tags=tags)
        self._vary = sorted(name.lower() for name in vary)
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if not self._may_keep(scope):
            await self._app(scope, receive, send)
            return
        own: list[_Recording] = []

        async def ask(context: CacheContext) -> dict[str, Any] | None:
            recording = _Recording(self._app, scope, receive, send, self._max_body)
            own.append(recording)
            await recording.finished()
            found = self._kept(recording, context)
            context.skip = found is None
            return found

        found = await self._cache.get_or_set(self._key(scope), ask, self._options)
        if own:
            await own[0].answer(scope, found)
        elif found is None:
            # asked at the same time as a request whose answer is that one's alone
            await self._app(scope, receive, send)
        else:
            await _send(scope, send, found, hit=True)

    def _may_keep(self, scope: Scope) -> bool:
        if scope["type"] != "http" or scope["method"] not in {"GET", "HEAD"}:
            return False
        headers = dict(scope["headers"])
        if b"authorization" in headers or b"cookie" in headers or b"range" in headers:
            return False
        return not _directives(headers.get(b"cache-control", b"")).keys() & {"no-store", "no-cache"}

    def _key(self, scope: Scope) -> str:
        headers = [(name.decode("latin-1"), value) for name, value in scope["headers"]]
        varying = [[name, [v.hex() for n, v in headers if n == name]] for name in self._vary]
        host = next((value.hex() for name, value in headers if name == "host"), "")
        path = f"{scope.get('root_path', '')}{scope['path']}"
        query = bytes(scope.get("query_string", b"")).hex()
        parts = repr([scope["method"], scope.get("scheme", "http"), host, path, query, varying])
        # long URLs make long keys, and strangers choose them
        return f"response:{hashlib.sha256(parts.encode(errors='surrogatepass')).hexdigest()}"

    def _kept(self, recording: "_Recording", context: CacheContext) -> dict[str, Any] | None:
        """Return what is kept of a response, or None."""
        headers, body = recording.headers, recording.body
        if body is None or recording.status not in _KEPT_STATUS:
            return None
        named = {name for name, _ in headers}
        rules: _Rules | None = recording.scope.get("state", {}).get(_RULES)
        directives = _directives(b",".join(v for n, v in headers if n == b"cache-control"))
        if b"set-cookie" in named or directives.keys() & _NEVER:
            return None
        if (rules is None and self._only_marked) or (rules and not are_tags(rules.tags)):
            return None  # also where the path makes a tag too long: nobody could invalidate by it
        varied = b",".join(value for name, value in headers if name == b"vary")
        others = {part.strip().lower() for part in varied.decode("latin-1").split(",")} - {""}
        if others - set(self._vary):
            return None
        age = _seconds(directives.get("s-maxage")) or _seconds(directives.get("max-age"))
        if directives.get("s-maxage") == "0" or (age is None and directives.get("max-age") == "0"):
            return None
        context.ttl = (rules.ttl if rules else None) or age or context.ttl
        context.tags = [*context.tags, *(rules.tags if rules else ())]
        return {
            "status": recording.status,
            "headers": _completed(headers, body, context.ttl, self._vary),
            "body": body,
            "at": time.time(),
        }


class _Rules:
    """What a route says of its responses."""

    def __init__(self, ttl: float | None, tags: Sequence[str]) -> None:
        self.ttl, self.tags = ttl, tags


def mark(scope: Scope, *, ttl: Seconds | None = None, tags: Sequence[str] = ()) -> None:
    """Say, inside a request, for how long its response is kept and what invalidates it.

    Raises:
        ConfigurationError: ``ttl`` is no positive number of seconds, or ``tags`` are a str.
    """
    if ttl is not None:
        check_seconds("ttl", ttl, zero=False)
    if isinstance(tags, str):
        raise ConfigurationError(f"tags must be a list of str, not {tags!r}")
    scope.setdefault("state", {})[_RULES] = _Rules(seconds_of(ttl), tags)


class _Recording:
    """One call of the application, whose response is held back as long as it may be kept."""

    def __init__(self, app: App, scope: Scope, receive: Receive, send: Send, max_body: int) -> None:
        scope.setdefault("state", {})
        self.scope, self._send, self._most = scope, send, max_body
        self.status, self.headers = 0, Headers()
        self.body: bytes | None = None
        self._parts: list[Message] = []
        self._size = 0
        self._passing = False
        self._complete = asyncio.Event()
        # background tasks of the application go on after the response: nobody waits for them
        self._task = asyncio.create_task(self._run(app, receive), name="cache-response")

    async def _run(self, app: App, receive: Receive) -> None:
        await app(self.scope, receive, self._take)

    async def _take(self, message: Message) -> None:
        if self._passing:
            await self._send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                self._complete.set()
            return
        self._parts.append(message)
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = [(name.lower(), value) for name, value in message["headers"]]
        elif message["type"] == "http.response.body":
            self._size += len(message.get("body", b""))
            if not message.get("more_body"):
                self.body = b"".join(part.get("body", b"") for part in self._parts)
                self._complete.set()
            elif self._size > self._most:
                await self._pass_on()
        else:
            await self._pass_on()

    async def _pass_on(self) -> None:
        self._passing = True
        for part in self._parts:
            await self._send(part)
        self._parts.clear()

    async def finished(self) -> None:
        """Wait for the whole response; raise what the application raised."""
        waiting = asyncio.create_task(self._complete.wait())
        try:
            await asyncio.wait([waiting, self._task], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self._task.done():
            self._task.result()

    async def answer(self, scope: Scope, kept: dict[str, Any] | None) -> None:
        """Send what was held back."""
        if kept is not None and not self._passing:
            await _send(scope, self._send, kept, hit=False)
        elif not self._passing:
            await self._pass_on()
        await self._task


async def _send(scope: Scope, send: Send, kept: dict[str, Any], *, hit: bool) -> None:
    headers: Headers = [(bytes(name), bytes(value)) for name, value in kept["headers"]]
    age = max(0, int(time.time() - kept["at"]))
    headers += [(b"age", str(age).encode()), (b"x-cache", b"hit" if hit else b"miss")]
    # conditions are for what would be a success: section 13.2.1
    is_success = 200 <= kept["status"] < 300
    if is_success and _is_known(scope, dict(headers).get(b"etag", b"")):
        short = [each for each in headers if each[0] in _OF_NOT_MODIFIED or each[0] == b"x-cache"]
        await send({"type": "http.response.start", "status": 304, "headers": short})
        await send({"type": "http.response.body", "body": b""})
        return
    await send({"type": "http.response.start", "status": kept["status"], "headers": headers})
    body = b"" if scope["method"] == "HEAD" else kept["body"]
    await send({"type": "http.response.body", "body": body})


def _is_known(scope: Scope, etag: bytes) -> bool:
    """Whether the client has this response already (RFC 9110, section 13.1.2: weak comparison)."""
    asked = b",".join(value for name, value in scope["headers"] if name == b"if-none-match")
    known = {part.strip().removeprefix(b"W/") for part in asked.split(b",")}
    return b"*" in known or (bool(etag) and etag.removeprefix(b"W/") in known)


def _completed(
    headers: Headers, body: bytes, ttl: float | None, vary: Sequence[str]
) -> list[tuple[bytes, bytes]]:
    """Return the headers with the validators that clients and other caches need."""
    named = {name for name, _ in headers}
    made = list(headers)
    if b"etag" not in named:
        made.append((b"etag", f'"{hashlib.sha256(body).hexdigest()[:32]}"'.encode()))
    if b"cache-control" not in named and ttl is not None:
        made.append((b"cache-control", f"max-age={int(ttl)}".encode()))
    if b"vary" not in named and vary:
        made.append((b"vary", ", ".join(vary).encode()))
    return made


def _directives(value: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in value.decode("latin-1").split(","):
        name, _, argument = part.strip().partition("=")
        if name:
            found[name.lower()] = argument.strip('"')
    return found


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isdigit() and 0 < int(text) <= 10**9 else None
