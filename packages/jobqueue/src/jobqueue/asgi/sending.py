"""Streams whose readers must keep up."""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import Message, Receive, Scope, Send

logger = logging.getLogger(__name__)
_PATIENCE = 20.0


class _Impatient:
    def __init__(self, response: "Response", seconds: float) -> None:
        self._response, self._seconds = response, seconds
        self.headers = response.headers

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        late = False

        async def soon(message: "Message") -> None:
            nonlocal late
            try:
                async with asyncio.timeout(self._seconds):
                    await send(message)
            except TimeoutError:
                late = True
                raise

        try:
            await self._response(scope, receive, soon)
        except Exception:
            # Starlette makes groups or errors of its own of a timeout
            if not late:
                raise
            logger.info("dashboard.reader_dropped", extra={"seconds": self._seconds})
        finally:
            events: Any = cast("Any", self._response).body_iterator
            await events.aclose()


def impatient(response: "Response", seconds: float = _PATIENCE) -> "Response":
    """Return a streaming response that ends when its reader takes nothing for ``seconds``."""
    return cast("Response", _Impatient(response, seconds))
