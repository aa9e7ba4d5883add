"""Who may do what in the dashboard, and what every answer says to the browser."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from .._common.web import (
    Authenticate,
    Authorize,
    WebError,
    check_origin,
    cors_headers,
    is_allowed,
    refusal,
    user_of,
)
from .._common.web_page import SAFE, preflight
from ..errors import BackendError, ConfigurationError

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import Response

logger = logging.getLogger(__name__)
Handler = Callable[["Request", str], Awaitable["Response"]]
READING = frozenset({"overview", "read"})
HEADER = "x-jobqueue"
"""What a page of another site cannot send without asking first."""
_ALLOWED = f"authorization, content-type, last-event-id, {HEADER}"


class Guard:
    """Stands before every handler."""

    def __init__(
        self, authenticate: Authenticate, authorize: Authorize | None, origins: Sequence[str]
    ) -> None:
        """Ask ``authenticate`` and ``authorize``; let pages of ``origins`` in."""
        self._authenticate, self._authorize = authenticate, authorize or _readers
        self._origins = origins

    def around(self, handler: Handler, method: str) -> Callable[["Request"], Awaitable["Response"]]:
        """Return ``handler`` with the user found and errors answered."""

        async def handle(request: "Request") -> "Response":
            cors = cors_headers(request, self._origins)
            if request.method == "OPTIONS":
                return preflight(cors, method, _ALLOWED)
            made = await self._answered(handler, request)
            for name, value in (SAFE | cors).items():
                made.headers[name] = value
            return made

        return handle

    async def _answered(self, handler: Handler, request: "Request") -> "Response":
        try:
            check_origin(request, self._origins)
            if request.method == "POST":
                self._check_change(request)
            return await handler(request, await self.user(request))
        except WebError as exc:
            return refusal(exc.status, str(exc))
        except ConfigurationError:
            # its words are for whoever runs the server: a table's name, a command
            logger.exception("dashboard.misconfigured")
            return refusal(500, "the queue is not set up: see the log of the server")
        except BackendError:
            logger.warning("dashboard.broker_failed", exc_info=True)
            return refusal(503, "the broker does not answer")

    def _check_change(self, request: "Request") -> None:
        """Refuse what another site made a signed-in browser send.

        Raises:
            WebError: 403 or 415.
        """
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        if site not in {None, "same-origin"} and origin not in self._origins:
            raise WebError(403, "this page is of another site")
        if request.headers.get(HEADER) != "1":
            raise WebError(403, "the header X-Jobqueue: 1 is missing")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise WebError(415, "the body must be application/json")

    async def user(self, connection: "HTTPConnection") -> str:
        """Return the user behind a connection.

        Raises:
            WebError: 401, nobody is signed in.
        """
        return await user_of(connection, self._authenticate)

    async def may(self, user: str, action: str, record: Any) -> bool:
        """Whether ``user`` may do ``action`` to ``record``."""
        return await is_allowed(self._authorize, user, action, record)

    async def demand(self, user: str, action: str, record: Any) -> None:
        """Go on only if ``user`` may.

        Raises:
            WebError: 403, they may not.
        """
        if not await self.may(user, action, record):
            raise WebError(403, "you are not allowed to do this")


def _readers(_user: str, action: str, _record: Any) -> bool:
    return action in READING
