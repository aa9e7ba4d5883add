"""Who may find what, and what every answer says to the browser."""

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._common.web import WebError, check_origin, cors_headers, refusal
from .._common.web_page import SAFE, preflight
from ..errors import (
    BackendError,
    DocumentNotFound,
    EmbeddingError,
    InvalidDocument,
    InvalidFilter,
    SemSearchError,
    UnsupportedOperationError,
)
from ..filters import Filter

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import Response

logger = logging.getLogger(__name__)
Allowed = bool | Mapping[str, Any] | None
Access = Callable[["HTTPConnection"], "Awaitable[Allowed] | Allowed"]
Handler = Callable[["Request", "Filter | None"], Awaitable["Response"]]
HEADER = "x-semsearch"
"""What a page of another site cannot send without asking first."""
_ALLOWED = f"authorization, content-type, {HEADER}"


class Guard:
    """Stands before every handler, which gets the filter that its user is bound to."""

    def __init__(self, authorize: Access, origins: Sequence[str]) -> None:
        """Ask ``authorize``; let pages of ``origins`` in."""
        self._authorize, self._origins = authorize, origins

    def around(
        self, handler: Handler, method: str, *, changes: bool = False
    ) -> Callable[["Request"], Awaitable["Response"]]:
        """Return ``handler`` for one method; ``changes``: another site's page may not send it."""
        return self.around_each({method: handler}, changes=changes)

    def around_each(
        self, handlers: Mapping[str, Handler], *, changes: bool = False
    ) -> Callable[["Request"], Awaitable["Response"]]:
        """Return handlers by method with the user's filter found and errors answered."""

        async def handle(request: "Request") -> "Response":
            cors = cors_headers(request, self._origins)
            if request.method == "OPTIONS":
                return preflight(cors, ", ".join(handlers), _ALLOWED)
            handler = handlers.get("GET" if request.method == "HEAD" else request.method)
            made = (
                refusal(405, "this method does nothing here")
                if handler is None
                else await self._answered(handler, request, changes=changes)
            )
            for name, value in (SAFE | cors).items():
                made.headers[name] = value
            return made

        return handle

    async def _answered(self, handler: Handler, request: "Request", *, changes: bool) -> "Response":
        try:
            check_origin(request, self._origins)
            _check_post(request, changes=changes)
            return await handler(request, await self._bound(request))
        except (WebError, SemSearchError) as exc:
            return _refused(exc)

    async def _bound(self, connection: "HTTPConnection") -> Filter | None:
        """Return the filter that the user is bound to, None for everything.

        Raises:
            WebError: 401, there is no user.
        """
        found = self._authorize(connection)
        allowed = await found if inspect.isawaitable(found) else found
        if allowed is True:
            return None
        if not isinstance(allowed, Mapping):
            raise WebError(401, "sign in first")
        bound = Filter.parse(allowed)
        if bound is None:  # an empty one would let everything through
            raise WebError(401, "sign in first")
        return bound


def _check_post(request: "Request", *, changes: bool) -> None:
    """Refuse what another site made a signed-in browser send.

    Raises:
        WebError: 403 or 415.
    """
    if request.method != "POST":
        return
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise WebError(415, "the body must be application/json")
    if changes and request.headers.get(HEADER) != "1":
        raise WebError(403, "the header X-Semsearch: 1 is missing")


def _refused(exc: WebError | SemSearchError) -> "Response":
    if isinstance(exc, WebError):
        return refusal(exc.status, str(exc))
    if isinstance(exc, DocumentNotFound):
        return refusal(404, "no such document")
    if isinstance(exc, InvalidFilter | InvalidDocument | UnsupportedOperationError):
        return refusal(422, str(exc))
    if isinstance(exc, BackendError | EmbeddingError):
        logger.warning("search.failed", exc_info=exc)
        return refusal(503, "the search does not answer")
    # queries were checked before: this speaks to whoever runs the server
    logger.error("search.misconfigured", exc_info=exc)
    return refusal(500, "the search is not set up: see the log of the server")
