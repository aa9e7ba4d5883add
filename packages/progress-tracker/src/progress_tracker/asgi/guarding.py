"""What stands before every handler: origin, user, errors, and what every answer says."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._common.web import Authenticate, refusal, respond
from .._common.web_guard import WebGuard
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
    from starlette.requests import Request
    from starlette.responses import Response

logger = logging.getLogger(__name__)
UNKNOWN = "no such operation"
SUBPROTOCOL = "progress.v1"
SOCKET_HEADER = "x-progress-websocket"
_OK = 200


class Guard(WebGuard):
    """Lets in who may come in."""

    errors = (
        ProgressNotFound, ProgressConflict, InvalidProgress, ConfigurationError, BackendError,
    )  # fmt: skip
    preflight_headers = {  # noqa: RUF012 - a class variable by its base
        "access-control-allow-methods": "GET, POST",
        "access-control-allow-headers": "authorization, content-type, last-event-id",
        "cache-control": "no-store",
    }
    recheck_failed = "progress.recheck_failed"

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
        super().__init__(authenticate, allowed_origins)
        self.rights, self._socket_url = rights, socket_url

    def refused(self, exc: Any) -> "Response":
        """Return what an error is answered with."""
        if isinstance(exc, ProgressNotFound):
            return refusal(404, UNKNOWN)
        if isinstance(exc, ProgressConflict | InvalidProgress):
            return refusal(409 if isinstance(exc, ProgressConflict) else 400, str(exc))
        if isinstance(exc, ConfigurationError):
            # its words are for whoever runs the server: a table's name, a command
            logger.error("progress.misconfigured", exc_info=exc)
            return refusal(500, "the application is not set up")
        return refusal(503, "the store does not answer")

    def tell(self, made: "Response", request: "Request") -> None:
        """Add to ``made`` what browsers need to hear."""
        super().tell(made, request)
        if made.status_code == _OK and (url := self._socket_url()):
            made.headers.update(
                {SOCKET_HEADER: url, "access-control-expose-headers": SOCKET_HEADER}
            )

    async def demand(self, user: str, action: str, progress: Progress) -> None:
        """Go on only if ``user`` may.

        Raises:
            ProgressNotFound: They may not; it looks as if there were none.
        """
        if not await self.rights.may(user, action, progress):
            raise ProgressNotFound(UNKNOWN)


def empty(headers: Mapping[str, str] | None = None) -> "Response":
    """Return 204: there is nothing to say."""
    return respond(b"", 204, {"cache-control": "no-store", **(headers or {})})
