"""What stands before every handler: origin, user, errors, and what every answer says."""

import base64
import binascii
import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from .._common.web import (
    Authenticate,
    Authorize,
    WebError,
    check_origin,
    cors_headers,
    refusal,
    user_of,
)
from ..errors import BackendError, ConfigurationError, InvalidPreferences, NotificationNotFound

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection, Request

logger = logging.getLogger(__name__)
Handler = Callable[["Request", str], Awaitable[Response]]
UNKNOWN = "no such notification"
SUBPROTOCOL = "notify.v1"
_BEARER = "bearer."
_SAFE = frozenset({"GET", "HEAD"})
_FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})
_METHODS = "GET, POST, PUT, DELETE, OPTIONS"


class Guard:
    """Lets in who may come in."""

    def __init__(
        self, authenticate: Authenticate, authorize: Authorize | None, origins: Sequence[str]
    ) -> None:
        """Ask ``authenticate`` and ``authorize``; let pages of ``origins`` in."""
        self._authenticate, self._authorize, self._origins = authenticate, authorize, origins

    def around(self, handler: Handler) -> Callable[["Request"], Awaitable[Response]]:
        """Return ``handler`` with the user found and errors answered."""

        async def handle(request: "Request") -> Response:
            made = await self._answered(handler, request)
            for name, value in cors_headers(request, self._origins).items():
                made.headers[name] = value
            return made

        return handle

    async def _answered(self, handler: Handler, request: "Request") -> Response:
        try:
            if request.method not in _SAFE:
                self._check_change(request)
            return await handler(request, await self.user(request))
        except WebError as exc:
            return refusal(exc.status, str(exc))
        except NotificationNotFound:
            return refusal(404, UNKNOWN)
        except (InvalidPreferences, ConfigurationError) as exc:
            return refusal(400, str(exc))
        except BackendError:
            return refusal(503, "the store does not answer; try again")

    async def user(self, connection: "HTTPConnection") -> str:
        """Return who asks, from a page that may ask.

        Raises:
            WebError: 403, the page is of another site; 401, nobody is signed in.
        """
        check_origin(connection, self._origins)
        return await user_of(connection, self._authenticate)

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

    async def demand(self, user: str, action: str, record: Any) -> None:
        """Go on only if ``authorize`` lets ``user`` do what is nobody's own; by default not.

        Raises:
            WebError: 404, they may not.
        """
        allowed: Any = self._authorize is not None and self._authorize(user, action, record)
        if not (await allowed if inspect.isawaitable(allowed) else allowed):
            raise WebError(404, "there is nothing here")

    async def preflight(self, request: "Request") -> Response:
        """Answer what a browser asks before a request of another origin."""
        cors = cors_headers(request, self._origins)
        if not cors:
            return refusal(403, "this origin is not allowed")
        allowed = {
            "access-control-allow-methods": _METHODS,
            "access-control-allow-headers": "content-type, authorization, last-event-id",
            "access-control-max-age": "600",
        }
        return Response(status_code=204, headers={**cors, **allowed})

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
    """Return the bearer token that a connection brings, for use in ``authenticate``.

    Programs and ``fetch`` send ``Authorization: Bearer …``. A browser's WebSocket cannot: there the
    client script offers it as the subprotocol ``bearer.<base64url>``, which unlike a query string
    is in no log.
    """
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    for offered in offers(connection):
        if offered.startswith(_BEARER):
            text = offered.removeprefix(_BEARER)
            try:
                padded = text + "=" * (-len(text) % 4)
                return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
            except (binascii.Error, ValueError):
                return None
    return None


def offers(connection: "HTTPConnection") -> list[str]:
    """Return the subprotocols that a socket offers."""
    header = connection.headers.get("sec-websocket-protocol", "")
    return [each.strip() for each in header.split(",") if each.strip()]
