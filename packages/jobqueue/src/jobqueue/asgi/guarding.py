"""Who may do what in the dashboard, and what every answer says to the browser."""

import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from .._common.web import (
    Authenticate,
    Authorize,
    WebError,
    answer,
    check_origin,
    cors_headers,
    refusal,
    user_of,
)
from ..errors import BackendError, ConfigurationError

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import Response

logger = logging.getLogger(__name__)
Handler = Callable[["Request", str], Awaitable["Response"]]
READING = frozenset({"overview", "read"})
HEADER = "x-jobqueue"
"""What a page of another site cannot send without asking first."""
SAFE = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}
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
                return _preflight(cors, method)
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
        allowed = self._authorize(user, action, record)
        return bool(await allowed if inspect.isawaitable(allowed) else allowed)

    async def demand(self, user: str, action: str, record: Any) -> None:
        """Go on only if ``user`` may.

        Raises:
            WebError: 403, they may not.
        """
        if not await self.may(user, action, record):
            raise WebError(403, "you are not allowed to do this")


def _readers(_user: str, action: str, _record: Any) -> bool:
    return action in READING


def _preflight(cors: dict[str, str], method: str) -> "Response":
    if not cors:
        return refusal(403, "this origin is not allowed")
    more = {"access-control-allow-methods": method, "access-control-allow-headers": _ALLOWED}
    return answer({}, headers={**cors, **more})
