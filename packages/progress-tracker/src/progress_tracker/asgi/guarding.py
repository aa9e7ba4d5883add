"""What stands before every handler: origin, user, errors, and what every answer says."""

import base64
import binascii
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from .._common.extras import require
from .._common.web import (
    Authenticate,
    WebError,
    check_origin,
    cors_headers,
    refusal,
    user_of,
)
from ..errors import (
    BackendError,
    ConfigurationError,
    InvalidProgress,
    ProgressConflict,
    ProgressNotFound,
)
from ..models import Progress
from .rights import Rights

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import Response

logger = logging.getLogger(__name__)
Handler = Callable[["Request", str], Awaitable["Response"]]
UNKNOWN = "no such operation"
SUBPROTOCOL = "progress.v1"
SOCKET_HEADER = "x-progress-websocket"
_OK = 200
_BEARER = "bearer."
_FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})
_ALLOWED = "authorization, content-type, last-event-id"


class Guard:
    """Lets in who may come in."""

    def __init__(
        self,
        authenticate: Authenticate,
        rights: Rights,
        allowed_origins: Sequence[str],
        socket_url: Callable[[], str | None],
    ) -> None:
        """Ask ``authenticate``; let pages of ``allowed_origins`` in.

        ``socket_url`` says where pages find sockets that they do not find beside this application.
        """
        self._authenticate, self.rights = authenticate, rights
        self._origins, self._socket_url = allowed_origins, socket_url

    def around(self, handler: Handler) -> Callable[["Request"], Awaitable["Response"]]:
        """Return ``handler`` with the user found and errors answered."""

        async def handle(request: "Request") -> "Response":
            headers = cors_headers(request, self._origins)
            if request.method == "OPTIONS":
                return _preflight(headers)
            made = await self._answered(handler, request)
            if made.status_code == _OK and (url := self._socket_url()):
                headers |= {SOCKET_HEADER: url, "access-control-expose-headers": SOCKET_HEADER}
            for name, value in headers.items():
                made.headers[name] = value
            return made

        return handle

    async def _answered(self, handler: Handler, request: "Request") -> "Response":
        try:
            if request.method == "POST":
                self._check_change(request)
            return await handler(request, await self.user(request))
        except WebError as exc:
            return refusal(exc.status, str(exc))
        except ProgressNotFound:
            return refusal(404, UNKNOWN)
        except (ProgressConflict, InvalidProgress) as exc:
            return refusal(409 if isinstance(exc, ProgressConflict) else 400, str(exc))
        except ConfigurationError:
            # its words are for whoever runs the server: a table's name, a command
            logger.exception("progress.misconfigured")
            return refusal(500, "the application is not set up")
        except BackendError:
            return refusal(503, "the store does not answer")

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
            logger.exception("progress.recheck_failed")
            return True

    async def demand(self, user: str, action: str, progress: Progress) -> None:
        """Go on only if ``user`` may.

        Raises:
            ProgressNotFound: They may not; it looks as if there were none.
        """
        if not await self.rights.may(user, action, progress):
            raise ProgressNotFound(UNKNOWN)

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


def _preflight(headers: dict[str, str]) -> "Response":
    if not headers:
        return refusal(403, "this origin is not allowed")
    more = {"access-control-allow-methods": "GET, POST", "access-control-allow-headers": _ALLOWED}
    return empty({**headers, **more})


def empty(headers: Mapping[str, str] | None = None) -> "Response":
    """Return 204: there is nothing to say."""
    responses = require("starlette.responses", dist="progress-tracker", extra="asgi")
    kept = {"cache-control": "no-store", **(headers or {})}
    made: Response = responses.Response(status_code=204, headers=kept)
    return made
