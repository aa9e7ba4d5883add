"""Web plumbing for the ASGI apps: origins, users, errors and server-sent events."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from .extras import require

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.responses import Response

Authenticate = Callable[["HTTPConnection"], "Awaitable[str | None] | str | None"]
Authorize = Callable[[str, str, Any], "bool | Awaitable[bool]"]
_HEADERS = {"x-content-type-options": "nosniff", "cache-control": "no-store"}


class WebError(Exception):
    """An answer that is not a success: HTTP status and a short text for the client."""

    def __init__(self, status: int, message: str) -> None:
        """Answer with ``status`` and ``message``."""
        super().__init__(message)
        self.status = status


def respond(
    content: bytes, status: int = 200, headers: Mapping[str, str] | None = None
) -> "Response":
    """Return ``content`` as a response with those headers only."""
    made: Response = starlette("responses").Response(content, status, headers)
    return made


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> "Response":
    """Return ``value`` as a JSON response that is neither sniffed nor cached."""
    told = {**_HEADERS, "content-type": "application/json", **(headers or {})}
    return respond(msgspec.json.encode(value), status, told)


def refusal(status: int, message: str) -> "Response":
    """Return an error response ``{"error": message}``."""
    return answer({"error": message}, status)


async def user_of(connection: "HTTPConnection", authenticate: Authenticate) -> str:
    """Return the user behind ``connection``.

    Raises:
        WebError: 401, nobody is signed in.
    """
    found = authenticate(connection)
    user = await found if inspect.isawaitable(found) else found
    if not user:
        raise WebError(401, "sign in first")
    return user


async def is_allowed(authorize: Authorize, user: str, action: str, record: Any) -> bool:
    """Whether ``authorize``, which may be a coroutine function, lets ``user`` do ``action``."""
    found: Any = authorize(user, action, record)
    return bool(await found if inspect.isawaitable(found) else found)


def check_origin(connection: "HTTPConnection", allowed: Sequence[str]) -> None:
    """Refuse a browser page of another site.

    The Origin header must be absent (no browser), the connection's own origin, or exactly one of
    ``allowed`` (scheme, host and port; no wildcard).

    Raises:
        WebError: 403, the page is of another origin.
    """
    origin = connection.headers.get("origin")
    if origin is None or origin in allowed:
        return
    try:
        scheme, host, *_ = urlsplit(origin)
    except ValueError:  # half an address of IPv6, say
        scheme = host = ""
    # the scheme may differ behind a proxy that ends TLS; host and port may not
    if scheme not in {"http", "https"} or host != connection.headers.get("host"):
        raise WebError(403, "this origin is not allowed")


def cors_headers(connection: "HTTPConnection", allowed: Sequence[str]) -> dict[str, str]:
    """Return the CORS headers for a page of an allowed other origin, else none."""
    origin = connection.headers.get("origin")
    if origin is None or origin not in allowed:
        return {}
    return {
        "access-control-allow-origin": origin,
        "access-control-allow-credentials": "true",
        "vary": "origin",
    }


async def body_of(connection: Any, limit: int = 65_536) -> Any:
    """Return the JSON body of a request of at most ``limit`` bytes.

    Raises:
        WebError: 413 or 400, it is too long or not JSON.
    """
    chunks, size = [], 0
    async for chunk in connection.stream():
        size += len(chunk)
        if size > limit:
            raise WebError(413, f"the body is over {limit} bytes")
        chunks.append(chunk)
    try:
        return msgspec.json.decode(b"".join(chunks))
    except (msgspec.DecodeError, RecursionError) as exc:
        raise WebError(400, "the body is not JSON") from exc


def sse_event(data: Any, *, event: str | None = None, id: str | None = None) -> bytes:
    """Return one server-sent event; ``data`` becomes one line of JSON.

    Line breaks cannot be forged: JSON escapes them, and event names and ids lose theirs.
    """
    head = "".join(
        f"{name}: {''.join(value.splitlines())}\n"
        for name, value in (("id", id), ("event", event))
        if value is not None
    )
    return head.encode() + b"data: " + msgspec.json.encode(data) + b"\n\n"


def sse_response(
    events: AsyncIterator[bytes],
    headers: Mapping[str, str] | None = None,
    *,
    keep_alive: float = 15.0,
) -> "Response":
    """Return a streaming response of :func:`sse_event` items, with comments to keep it open."""
    responses = starlette("responses")
    made: Response = responses.StreamingResponse(
        _kept_alive(events, keep_alive),
        headers={**_HEADERS, "x-accel-buffering": "no", **(headers or {})},
        media_type="text/event-stream",
    )
    return made


async def _kept_alive(events: AsyncIterator[bytes], seconds: float) -> AsyncIterator[bytes]:
    yield b"retry: 1000\n\n"
    step: asyncio.Task[bytes] | None = None
    try:
        while True:
            step = step or asyncio.ensure_future(_next(events))
            done, _ = await asyncio.wait([step], timeout=seconds)
            if not done:
                yield b": keep-alive\n\n"
                continue
            try:
                item = step.result()
            except StopAsyncIteration:
                return
            step = None
            yield item
    finally:
        if step is not None:
            step.cancel()
            await asyncio.wait([step])
        if (close := getattr(events, "aclose", None)) is not None:
            await close()


async def _next(events: AsyncIterator[bytes]) -> bytes:
    return await anext(events)


def starlette(module: str) -> Any:
    """Return a module of Starlette, which the extra ``asgi`` brings."""
    dist = (__package__ or "").partition(".")[0].replace("_", "-")
    return require(f"starlette.{module}", dist=dist, extra="asgi")
