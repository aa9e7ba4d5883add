"""The inbox as it changes: server-sent events and the WebSocket.

Both give the events of the user's one sequence, from ``since`` on. Nothing is queued for a
connection: what it did not take is read from the store when it takes something again.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from .. import wire
from .._common.web import WebError, sse_event
from .._common.web_care import Care
from .._common.web_client import GOODBYE, EventStream
from .._common.web_guard import offers
from ..errors import BackendError
from ..service import NotificationService
from .feeds import Feeds
from .guarding import SUBPROTOCOL, Guard
from .limits import Limits
from .rest import number
from .sockets import GoneError, Socket

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

logger = logging.getLogger(__name__)
# why the server ends a socket; one that is gone is told nothing
_CLOSING = {"slow": 1008, "signed_out": 4401, "stopping": 1012, "closed": 1001, "broken": 1011}


class Live:
    """The handlers."""

    def __init__(self, service: NotificationService, guard: Guard, care: Care[Limits]) -> None:
        """Show what happens in ``service`` to whom ``guard`` lets in."""
        self._service, self._guard, self._care = service, guard, care
        self._feeds = Feeds(service)

    async def stream(self, request: Request, user: str) -> Response:
        """Answer by server-sent events, after ``Last-Event-ID`` or ``?since=``."""
        since = _since(request, request.headers.get("last-event-id"))
        # refused here, before anything is sent, if there are too many
        with self._care.room(user):
            made = EventStream(
                self._care, request, user, lambda: self._events(user, since), BackendError
            )
            return cast("Response", made)

    async def _events(self, user: str, since: int | None) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._service.watch(user, since)) as feed:
            async for each in feed:
                yield sse_event(wire.event(each), event="notification", id=str(each.seq))

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a WebSocket; whoever may not is refused before it is accepted."""
        socket = WebSocket(scope, receive, send)
        try:
            user = await self._guard.user(socket)
            since = _since(socket)
            self._care.come(user)
        except WebError as exc:
            await _refuse(socket, exc)
            return
        try:
            monotonic = self._care.clock.monotonic
            # not the socket's own `send`: its checks cost as much as all else that we do
            batches = socket.query_params.get("batch") == "1"
            made = Socket(user, socket, send, self._feeds, monotonic, since, batches=batches)
            await self._serve(socket, made)
        finally:
            self._care.go(user)

    async def _serve(self, socket: WebSocket, client: Socket) -> None:
        code: int | None
        self._care.begin(client)
        try:
            await socket.accept(SUBPROTOCOL if SUBPROTOCOL in offers(socket) else None)
            hearing = _Hearing(socket, client, self._care.limits.message_bytes)
            await client.served(hearing.run())
            code = hearing.code if client.dropped is None else _CLOSING.get(client.dropped)
        except (GoneError, OSError):
            code = None  # the client left while something was sent
        except Exception:
            # the page is told, and so is whoever runs the server
            logger.exception("socket.failed")
            code = 1011
        finally:
            self._care.end(client)
        if code is not None:
            # a client that takes nothing is not waited for
            with contextlib.suppress(Exception):
                async with asyncio.timeout(GOODBYE):
                    await socket.close(code)
        await self._feeds.at_rest()


class Door:
    """An ASGI endpoint; Starlette would wrap a function, and each of its sends."""

    def __init__(self, live: Live) -> None:
        """Let sockets in to ``live``."""
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one."""
        await self._live.serve(scope, receive, send)


class _Hearing:
    """What a client says: ``{"type": "ping"}`` is answered, all else changes nothing."""

    def __init__(self, socket: WebSocket, client: Socket, most: int) -> None:
        self._socket, self._client, self._most = socket, client, most
        self.code: int | None = None

    async def run(self) -> None:
        self._client.begin()
        while True:
            got = await self._socket.receive()
            if got["type"] == "websocket.disconnect":
                return
            said: str | bytes = got.get("text") or got.get("bytes") or ""
            if len(said) > self._most:
                self.code = 1009
                return
            if _is_ping(said):
                # awaited: who asks without listening is heard no further
                await self._client.answer({"type": "websocket.send", "text": '{"type":"pong"}'})


def _is_ping(said: str | bytes) -> bool:
    try:
        return bool(msgspec.json.decode(said) == {"type": "ping"})
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return False


def _since(connection: "HTTPConnection", last: str | None = None) -> int | None:
    given = last or connection.query_params.get("since")
    return None if given is None else number(given, "since")


async def _refuse(socket: WebSocket, why: WebError) -> None:
    """Refuse a connection that was not accepted; the server says 403 where it can say no more."""
    if "websocket.http.response" not in socket.scope.get("extensions", {}):
        await socket.close(1008)
        return
    body = msgspec.json.encode({"error": str(why)})
    await socket.send_denial_response(
        Response(body, why.status, {"cache-control": "no-store"}, "application/json")
    )
