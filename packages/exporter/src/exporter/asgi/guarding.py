"""What stands before every handler: origin, user, rights, errors."""

import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from .._common.extras import require
from .._common.web import (
    Authenticate,
    Authorize,
    WebError,
    check_origin,
    cors_headers,
    refusal,
    user_of,
)
from ..errors import (
    BackendError,
    ConfigurationError,
    ExportCancelled,
    ExportError,
    ExportExpired,
    ExportNotFound,
    InvalidLink,
    InvalidSource,
    TemplateError,
    UnknownFormat,
    UnsupportedOperationError,
)
from ..models import ExportJob, ExportSource

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import Response

logger = logging.getLogger(__name__)
Handler = Callable[["Request", str], Awaitable["Response"]]
OpenHandler = Callable[["Request", str | None], Awaitable["Response"]]
Endpoint = Callable[["Request"], Awaitable["Response"]]
UNKNOWN = "no such export"
_SAFE = frozenset({"GET", "HEAD"})
_FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})
_HEADERS = "authorization, content-type, idempotency-key, if-range, last-event-id, range"
_EXPOSED = "accept-ranges, content-disposition, content-range, etag"
_OWN_FAULT = 500


class Guard:
    """Lets in who may come in."""

    def __init__(
        self, authenticate: Authenticate, authorize: Authorize | None, origins: Sequence[str]
    ) -> None:
        """Ask ``authenticate`` and ``authorize``; let pages of ``origins`` in."""
        self._authenticate, self._authorize, self._origins = authenticate, authorize, origins

    def around(self, handler: Handler) -> Endpoint:
        """Return ``handler`` with the user found and errors answered."""

        async def known(request: "Request") -> "Response":
            check_origin(request, self._origins)
            return await handler(request, await user_of(request, self._authenticate))

        return self._answered(known)

    def open(self, handler: OpenHandler) -> Endpoint:
        """Return ``handler`` for whoever comes, with the user if there is one."""

        async def anybody(request: "Request") -> "Response":
            try:
                user: str | None = await user_of(request, self._authenticate)
            except WebError:
                user = None
            return await handler(request, user)

        return self._answered(anybody)

    def _answered(self, endpoint: Endpoint) -> Endpoint:
        async def handle(request: "Request") -> "Response":
            try:
                if request.method not in _SAFE:
                    self._check_change(request)
                made = await endpoint(request)
            except WebError as exc:
                made = refusal(exc.status, str(exc))
            except ExportError as exc:
                made = _refused(exc)
            if headers := cors_headers(request, self._origins):
                made.headers.update({**headers, "access-control-expose-headers": _EXPOSED})
            return made

        return handle

    async def is_still(self, connection: "HTTPConnection", user: str) -> bool:
        """Whether the same user is still signed in on an open connection."""
        try:
            return await user_of(connection, self._authenticate) == user
        except WebError:
            return False
        except Exception:
            # what cannot be asked now is asked again in a minute; new connections are refused
            logger.exception("recheck.failed")
            return True

    async def may(self, user: str, action: str, record: ExportJob | ExportSource) -> bool:
        """Whether ``user`` may do ``action`` now."""
        if self._authorize is None:
            if isinstance(record, ExportSource):
                return record.data is not None
            return record.user_id == user
        found = self._authorize(user, action, record)
        return bool(await found if inspect.isawaitable(found) else found)

    async def preflight(self, request: "Request") -> "Response":
        """Answer what a browser asks before a request of another origin."""
        cors = cors_headers(request, self._origins)
        if not cors:
            return refusal(403, "this origin is not allowed")
        allowed = {
            "access-control-allow-methods": "GET, HEAD, POST, DELETE, OPTIONS",
            "access-control-allow-headers": _HEADERS,
            "access-control-max-age": "600",
        }
        responses = require("starlette.responses", dist="exporter", extra="asgi")
        made: Response = responses.Response(status_code=204, headers={**cors, **allowed})
        return made

    def _check_change(self, request: "Request") -> None:
        """Refuse what another site made a signed-in browser send: it can only send forms.

        Raises:
            WebError: 403 or 415.
        """
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        if site not in {None, "same-origin", "none"} and origin not in self._origins:
            raise WebError(403, "this page is of another site")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind in _FORMS:
            raise WebError(415, "this is not a form: send no body, or JSON")


def token_of(connection: "HTTPConnection") -> str | None:
    """Return the bearer token that a connection brings, for use in ``authenticate``."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


_STATUS: tuple[tuple[type[ExportError], int], ...] = (
    (ExportNotFound, 404),
    (InvalidLink, 403),
    (ExportExpired, 410),
    (ExportCancelled, 409),
    (UnknownFormat, 400),
    (InvalidSource, 400),
    (TemplateError, 400),
    (UnsupportedOperationError, 400),
    (ConfigurationError, 400),
    (BackendError, 503),
)
_BY_REASON = {
    "busy": 503,
    "conflict": 409,
    "failed": 409,
    "no_source": 409,
    "not_failed": 409,
    "not_ready": 409,
    "range": 416,
}


def _refused(exc: ExportError) -> "Response":
    status = _BY_REASON.get(exc.reason or "") or next(
        (status for kind, status in _STATUS if isinstance(exc, kind)), _OWN_FAULT
    )
    if status < _OWN_FAULT or exc.reason == "busy":
        return refusal(status, str(exc)[:300])
    # what is our own trouble is not for strangers
    logger.warning("request.failed", exc_info=exc)
    return refusal(status, "try again later")
