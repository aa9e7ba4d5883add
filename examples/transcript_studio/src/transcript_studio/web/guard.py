"""What stands before everything: foreign pages are refused, headers set, requests get their id."""

from typing import Any

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ..correlation import HEADER, correlated, id_of

_HEADERS = {
    b"content-security-policy": b"default-src 'self'; style-src 'self'; "
    b"script-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; "
    b"form-action 'self'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
}


class Guard:
    """Refuses requests that change something from pages of other sites, and sets headers.

    Each request has a correlation id, its own or a new one; the answer names it.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Stand before ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a socket."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        correlation = id_of(HTTPConnection(scope).headers.get(HEADER))

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                known = {name for name, _ in message["headers"]}
                extra = [pair for pair in _HEADERS.items() if pair[0] not in known]
                mark = (HEADER.encode(), correlation.encode())
                message["headers"] = [*message["headers"], *extra, mark]
            await send(message)

        if scope["type"] == "http" and _is_foreign(Request(scope)):
            await Response("this origin is not allowed", 403)(scope, receive, send)
            return
        with correlated(correlation):
            await self._app(scope, receive, guarded)


def _is_foreign(request: Request) -> bool:
    """Tell whether a page of another site wants to change something."""
    origin = request.headers.get("origin")
    if request.method in {"GET", "HEAD"} or origin is None:
        return False
    return origin.partition("://")[2] != request.headers.get("host")
