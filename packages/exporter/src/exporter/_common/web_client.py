"""One connection that is served as it takes, and answers made of server-sent events."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from .clock import Clock
from .web import WebError, starlette
from .web_care import Care

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection, Request
    from starlette.types import Receive, Scope, Send

logger = logging.getLogger(__name__)
GOODBYE = 1.0
"""Seconds that the last words may take."""
_NAME = (__package__ or "").partition(".")[0]
_GREETING = b"retry: 1000\n\n"
_COMMENT = b": keep-alive\n\n"
_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
    "x-content-type-options": "nosniff",
}


class Client:
    """A socket, a stream or a download. Nothing is queued for it.

    Attributes:
        user: Whose; None for what is allowed once and then goes to its end.
        connection: What they came by.
        patience: Seconds that it may take nothing; None for as long as others.
        busy_since: When the sending began that has not ended; None if nothing waits.
        spoke_at: When something was sent last.
        checked_at: When the user was authenticated last.
        dropped: Why the server ended it; None while it lives.
    """

    __slots__ = (
        "_clock", "_is_stream", "_lock", "_ping", "_send", "_task", "busy_since", "checked_at",
        "connection", "dropped", "patience", "spoke_at", "user",
    )  # fmt: skip

    def __init__(
        self,
        user: str | None,
        connection: "HTTPConnection",
        send: Callable[[Any], Awaitable[None]],
        clock: Clock,
        *,
        is_stream: bool = False,
        patience: float | None = None,
    ) -> None:
        """Send by ``send``; only a stream of events is pinged."""
        self.user, self.connection, self.patience = user, connection, patience
        self.busy_since: float | None = None
        self.spoke_at = self.checked_at = clock.monotonic()
        self.dropped: str | None = None
        self._send, self._clock, self._is_stream = send, clock, is_stream
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[Any] | None = None
        self._ping: asyncio.Task[None] | None = None

    async def say(self, message: Any) -> None:
        """Send ``message``; returns when the connection took it."""
        async with self._lock:
            self.busy_since = self._clock.monotonic()
            try:
                await self._send(message)
            finally:
                self.busy_since = None
            self.spoke_at = self._clock.monotonic()

    def ping(self) -> None:
        """Begin to send a comment, if it is a stream to which nothing is on its way."""
        if self._is_stream and self.busy_since is None and self._task is not None:
            # not awaited here: one that takes nothing must not hold up the others
            self._ping = asyncio.create_task(self._comment(), name=f"{_NAME}.ping")

    async def _comment(self) -> None:
        with contextlib.suppress(Exception):  # a broken connection is noticed by who serves it
            await self.say(part(_COMMENT))

    def drop(self, reason: str) -> None:
        """End the connection from our side, also if it takes nothing any more."""
        if self.dropped is None:
            self.dropped = reason
            logger.info("client.dropped", extra={"reason": reason})
            if self._task is not None:
                self._task.cancel()

    async def served(self, *work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` until a part of it ends, or the client is dropped.

        Raises:
            Exception: What the part that ended raised.
        """
        self._task = asyncio.current_task()
        tasks = [asyncio.create_task(each, name=f"{_NAME}.client") for each in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self.dropped is None or task is None or task.uncancel():
                raise
        finally:
            self._task = None
            tasks += [self._ping] if self._ping is not None else []
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class EventStream:
    """A response: headers, then events until they end or the client leaves.

    Each call of ``events`` must give a generator of its own.
    """

    status_code = 200

    def __init__(
        self,
        care: Care[Any],
        request: "Request",
        user: str,
        events: Callable[[], AsyncGenerator[bytes, None]],
        broken: type[Exception],
    ) -> None:
        """Send ``events()``; ``broken`` is what ends them so that the page comes again."""
        self._care, self._request, self._user = care, request, user
        self._events, self._broken = events, broken
        self.headers: Any = starlette("datastructures").MutableHeaders(_HEADERS)

    async def __call__(self, _scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer, as an ASGI application."""
        client = Client(self._user, self._request, send, self._care.clock, is_stream=True)
        try:
            with self._care.room(self._user), self._care.of(client):
                await client.served(self._tell(client), until_gone(receive))
        except WebError as exc:
            await send({"type": "http.response.start", "status": exc.status, "headers": []})
        except (self._broken, OSError):
            pass  # the page comes again
        # a client that takes nothing is not waited for
        with contextlib.suppress(Exception):
            async with asyncio.timeout(GOODBYE):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _tell(self, client: Client) -> None:
        raw = list(self.headers.raw)
        await client.say({"type": "http.response.start", "status": 200, "headers": raw})
        await client.say(part(_GREETING))
        async with aclosing(self._events()) as feed:
            async for each in feed:
                await client.say(part(each))


def part(body: bytes) -> dict[str, Any]:
    """Return a part of a response after which there are more."""
    return {"type": "http.response.body", "body": body, "more_body": True}


async def until_gone(receive: "Receive") -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
