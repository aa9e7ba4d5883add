"""The inbox as it changes: server-sent events and the WebSocket.

Both give the events of the user's one sequence, from ``since`` on. Nothing is queued for a
connection: while it takes nothing, its feed waits, and reads on from the store afterwards.
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
from starlette.websockets import WebSocket

from .. import wire
from .._common.web import WebError, sse_event
from .._common.web_care import Care
from .._common.web_client import GOODBYE, Client, EventStream
from .._common.web_guard import offers
from ..errors import BackendError
from ..models import InboxEvent
from ..service import NotificationService
from .guarding import SUBPROTOCOL, Guard
from .limits import Limits
from .rest import number

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

logger = logging.getLogger(__name__)
_TEXTS = 16
_CLOSING = {"slow": 1008, "signed_out": 4401, "stopping": 1012}


class Live:
    """The handlers."""

    def __init__(self, service: NotificationService, guard: Guard, care: Care[Limits]) -> None:
        """Show what happens in ``service`` to whom ``guard`` lets in."""
        self._service, self._guard, self._care = service, guard, care
        self._texts: dict[int, tuple[InboxEvent, str]] = {}

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

    async def socket(self, socket: WebSocket) -> None:
        """Serve a WebSocket; whoever may not is refused before it is accepted."""
        try:
            user = await self._guard.user(socket)
            since = _since(socket)
            room = self._care.room(user)
            room.__enter__()
        except WebError as exc:
            await _refuse(socket, exc)
            return
        try:
            client = Client(user, socket, socket.send, self._care.clock)
            await self._serve(socket, client, user, since)
        finally:
            room.__exit__(None, None, None)

    async def _serve(self, socket: WebSocket, client: Client, user: str, since: int | None) -> None:
        code = 1001  # the service was closed
        with self._care.of(client):
            try:
                await socket.accept(SUBPROTOCOL if SUBPROTOCOL in offers(socket) else None)
                hearing = _Hearing(socket, client, self._care.limits.message_bytes)
                await client.served(self._tell(client, user, since), hearing.run())
                code = hearing.code or _CLOSING.get(client.dropped or "", code)
                if hearing.is_gone:
                    return
            except BackendError:
                code = 1011
            except OSError:
                return  # the client left while something was sent
            except Exception:
                # the page is told, and so is whoever runs the server
                logger.exception("socket.failed")
                code = 1011
        # a client that takes nothing is not waited for
        with contextlib.suppress(Exception):
            async with asyncio.timeout(GOODBYE):
                await socket.close(code)

    async def _tell(self, client: Client, user: str, since: int | None) -> None:
        async with aclosing(self._service.watch(user, since)) as feed:
            async for each in feed:
                await client.say({"type": "websocket.send", "text": self._text(each)})

    def _text(self, event: InboxEvent) -> str:
        """Return an event as it is sent; the feeds of a user share it, and it is made once."""
        known = self._texts.get(id(event))
        if known is None:
            while len(self._texts) >= _TEXTS:
                del self._texts[next(iter(self._texts))]
            # the event is held, too: its id is nobody else's meanwhile
            known = event, msgspec.json.encode(wire.event(event)).decode()
            self._texts[id(event)] = known
        return known[1]


class _Hearing:
    """What a client says: ``{"type": "ping"}`` is answered, all else changes nothing."""

    def __init__(self, socket: WebSocket, client: Client, most: int) -> None:
        self._socket, self._client, self._most = socket, client, most
        self.code, self.is_gone = 0, False

    async def run(self) -> None:
        while True:
            got = await self._socket.receive()
            if got["type"] == "websocket.disconnect":
                self.is_gone = True
                return
            said: str | bytes = got.get("text") or got.get("bytes") or ""
            if len(said) > self._most:
                self.code = 1009
                return
            if _is_ping(said):
                # awaited: who asks without listening is heard no further
                await self._client.say({"type": "websocket.send", "text": '{"type":"pong"}'})


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
