"""What stands before every handler of an app for pages: origin, user, errors, answers to browsers.

A page of another site can make a signed-in browser send forms, and nothing else without asking.
"""

import base64
import binascii
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from .web import Authenticate, WebError, check_origin, cors_headers, refusal, respond, user_of

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import Response

logger = logging.getLogger(__name__)
Handler = Callable[["Request", str], Awaitable["Response"]]
Endpoint = Callable[["Request"], Awaitable["Response"]]
_BEARER = "bearer."
_SAFE = frozenset({"GET", "HEAD"})
_FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})


class WebGuard(ABC):
    """Lets in who may come in; a package says what its errors are answered with.

    Attributes:
        errors: What :meth:`refused` answers.
        preflight_headers: What the pages of allowed other origins may send.
        recheck_failed: What is logged when ``authenticate`` fails for who is in already.
    """

    errors: ClassVar[tuple[type[Exception], ...]]
    preflight_headers: ClassVar[Mapping[str, str]]
    recheck_failed: ClassVar[str] = "recheck.failed"

    def __init__(self, authenticate: Authenticate, origins: Sequence[str]) -> None:
        """Ask ``authenticate``; let pages of ``origins`` in."""
        self._authenticate, self._origins = authenticate, origins

    @abstractmethod
    def refused(self, exc: Any) -> "Response":
        """Return what ``exc``, one of ``errors``, is answered with."""

    def around(self, handler: Handler) -> Endpoint:
        """Return ``handler`` with the user found and errors answered."""

        async def known(request: "Request") -> "Response":
            return await handler(request, await self.user(request))

        return self.answered(known)

    def answered(self, endpoint: Endpoint) -> Endpoint:
        """Return ``endpoint`` with errors answered and forms of other sites refused."""

        async def handle(request: "Request") -> "Response":
            if request.method == "OPTIONS":
                return await self.preflight(request)
            try:
                if request.method not in _SAFE:
                    self._check_change(request)
                made = await endpoint(request)
            except WebError as exc:
                made = refusal(exc.status, str(exc))
            except self.errors as exc:
                made = self.refused(exc)
            self.tell(made, request)
            return made

        return handle

    def tell(self, made: "Response", request: "Request") -> None:
        """Add to ``made`` what browsers need to hear."""
        made.headers.update(cors_headers(request, self._origins))

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
            logger.exception(self.recheck_failed)
            return True

    async def preflight(self, request: "Request") -> "Response":
        """Answer what a browser asks before a request of another origin."""
        cors = cors_headers(request, self._origins)
        if not cors:
            return refusal(403, "this origin is not allowed")
        return respond(b"", 204, {**cors, **self.preflight_headers})

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


def bearer_of(connection: "HTTPConnection") -> str | None:
    """Return the token of the header ``Authorization: Bearer …``."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def token_of(connection: "HTTPConnection") -> str | None:
    """Return the bearer token that a connection brings, for use in ``authenticate``.

    Programs and ``fetch`` send ``Authorization: Bearer …``. A browser's WebSocket cannot: there the
    client script offers it as the subprotocol ``bearer.<base64url>``, which unlike a query string
    is in no log.
    """
    if token := bearer_of(connection):
        return token
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
