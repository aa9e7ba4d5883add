"""What stands before every handler: origin, user, rights, errors."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from .._common.web import Authenticate, Authorize, WebError, is_allowed, refusal, user_of
from .._common.web_guard import Endpoint, WebGuard, bearer_of
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
OpenHandler = Callable[["Request", str | None], Awaitable["Response"]]
UNKNOWN = "no such export"
_HEADERS = "authorization, content-type, idempotency-key, if-range, last-event-id, range"
_EXPOSED = "accept-ranges, content-disposition, content-range, etag"
_OWN_FAULT = 500


class Guard(WebGuard):
    """Lets in who may come in."""

    errors = (ExportError,)
    preflight_headers = {  # noqa: RUF012 - a class variable by its base
        "access-control-allow-methods": "GET, HEAD, POST, DELETE, OPTIONS",
        "access-control-allow-headers": _HEADERS,
        "access-control-max-age": "600",
    }

    def __init__(
        self, authenticate: Authenticate, authorize: Authorize | None, origins: Sequence[str]
    ) -> None:
        """Ask ``authenticate`` and ``authorize``; let pages of ``origins`` in."""
        super().__init__(authenticate, origins)
        self._authorize = authorize

    def open(self, handler: OpenHandler) -> Endpoint:
        """Return ``handler`` for whoever comes, with the user if there is one."""

        async def anybody(request: "Request") -> "Response":
            try:
                user: str | None = await user_of(request, self._authenticate)
            except WebError:
                user = None
            return await handler(request, user)

        return self.answered(anybody)

    def refused(self, exc: ExportError) -> "Response":
        """Return what an error is answered with."""
        status = _BY_REASON.get(exc.reason or "") or next(
            (status for kind, status in _STATUS if isinstance(exc, kind)), _OWN_FAULT
        )
        if status < _OWN_FAULT or exc.reason == "busy":
            return refusal(status, str(exc)[:300])
        # what is our own trouble is not for strangers
        logger.warning("request.failed", exc_info=exc)
        return refusal(status, "try again later")

    def tell(self, made: "Response", request: "Request") -> None:
        """Add to ``made`` what browsers need to hear."""
        super().tell(made, request)
        if "access-control-allow-origin" in made.headers:
            made.headers["access-control-expose-headers"] = _EXPOSED

    async def may(self, user: str, action: str, record: ExportJob | ExportSource) -> bool:
        """Whether ``user`` may do ``action`` now."""
        if self._authorize is None:
            if isinstance(record, ExportSource):
                return record.data is not None
            return record.user_id == user
        return await is_allowed(self._authorize, user, action, record)


def token_of(connection: "HTTPConnection") -> str | None:
    """Return the bearer token that a connection brings, for use in ``authenticate``."""
    return bearer_of(connection)


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
