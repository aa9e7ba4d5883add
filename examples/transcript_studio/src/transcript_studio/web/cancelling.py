"""Who cancels what nobody has begun need not wait until somebody does."""

from dataclasses import dataclass
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..services import Services
from ..steps import working


@dataclass(frozen=True, slots=True)
class Cancelling:
    """The application of progress-tracker; what waits for a worker ends once it is cancelled.

    What a worker has in hand ends by the worker: it hears of the request at its next step.
    """

    app: ASGIApp
    services: Services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, and end what was waiting if it was a cancel that was taken in."""
        words = scope["path"].rstrip("/").split("/")
        if scope["type"] != "http" or scope["method"] != "POST" or words[-1] != "cancel":
            await self.app(scope, receive, send)
            return
        status = 0

        async def noted(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        await self.app(scope, receive, noted)
        if status == HTTPStatus.ACCEPTED:
            await working.cancel_waiting(self.services, words[-2])
