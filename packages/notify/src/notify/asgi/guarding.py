"""What stands before every handler: origin, user, errors, and what every answer says."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .._common.web import Authenticate, Authorize, WebError, is_allowed, refusal
from .._common.web_guard import WebGuard
from ..errors import BackendError, ConfigurationError, InvalidPreferences, NotificationNotFound

if TYPE_CHECKING:
    from starlette.responses import Response

UNKNOWN = "no such notification"
SUBPROTOCOL = "notify.v1"


class Guard(WebGuard):
    """Lets in who may come in."""

    errors = (NotificationNotFound, InvalidPreferences, ConfigurationError, BackendError)
    preflight_headers = {  # noqa: RUF012 - a class variable by its base
        "access-control-allow-methods": "GET, POST, PUT, DELETE, OPTIONS",
        "access-control-allow-headers": "content-type, authorization, last-event-id",
        "access-control-max-age": "600",
    }

    def __init__(
        self, authenticate: Authenticate, authorize: Authorize | None, origins: Sequence[str]
    ) -> None:
        """Ask ``authenticate`` and ``authorize``; let pages of ``origins`` in."""
        super().__init__(authenticate, origins)
        self._authorize = authorize

    def refused(self, exc: Any) -> "Response":
        """Return what an error is answered with."""
        if isinstance(exc, NotificationNotFound):
            return refusal(404, UNKNOWN)
        if isinstance(exc, BackendError):
            return refusal(503, "the store does not answer; try again")
        return refusal(400, str(exc))

    async def demand(self, user: str, action: str, record: Any) -> None:
        """Go on only if ``authorize`` lets ``user`` do what is nobody's own; by default not.

        Raises:
            WebError: 404, they may not.
        """
        if self._authorize is None or not await is_allowed(self._authorize, user, action, record):
            raise WebError(404, "there is nothing here")
