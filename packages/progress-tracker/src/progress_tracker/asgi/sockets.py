"""WebSockets: one operation to its end, or as many as a page asks for.

What a page says on the socket of many: ``{"type": "subscribe", "id": …, "since": "1:2"}``,
``{"type": "unsubscribe", "id": …}``, ``{"type": "ping"}``. What it hears: ``progress`` (a state),
``gone`` (unknown, forbidden or deleted), ``unavailable`` (ask again later), ``error`` (what it said
was wrong), ``ping`` (nothing happens; not to be answered) and ``pong``.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs

import msgspec

from .._common.extras import require
from .._common.web import WebError
from .._common.web_care import Care
from .._common.web_guard import offers
from ..errors import BackendError, InvalidProgress, ProgressNotFound
from .clients import Client
from .feeds import Feeds
from .frames import broken_frame, gone_frame, text
from .guarding import SUBPROTOCOL, UNKNOWN, Guard
from .limits import Limits
from .rest import position_of

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.types import Receive, Scope, Send

_CODES = {"signed_out": 4401, "slow": 4408, "stopping": 1012}
_TOO_BIG = 1009
_PONG = text({"type": "pong"})


class Asked(msgspec.Struct, frozen=True):
    """What a page says."""

    type: Literal["subscribe", "unsubscribe", "ping"]
    id: str = ""
    since: str | None = None


class Socket:
    """An ASGI endpoint; ``single`` for the socket whose path names its operation."""

    def __init__(self, guard: Guard, feeds: Feeds, care: Care[Limits], *, single: bool) -> None:
        """Tell what ``feeds`` tell."""
        self._guard, self._feeds, self._care, self._single = guard, feeds, care, single

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Let the connection in, if it may, and serve it to its end."""
        requests = require("starlette.requests", dist="progress-tracker", extra="asgi")
        connection: HTTPConnection = requests.HTTPConnection(scope)
        await receive()  # its wish to connect
        try:
            # all of it before the connection is accepted
            user = await self._guard.user(connection)
            await self._check(connection, user)
            self._care.come(user)
            try:
                await self._serve(connection, user, receive, send)
            finally:
                self._care.go(user)
        except WebError as exc:
            await _refuse(scope, send, exc.status, str(exc))
        except ProgressNotFound:
            await _refuse(scope, send, 404, UNKNOWN)
        except InvalidProgress as exc:
            await _refuse(scope, send, 400, str(exc))
        except BackendError:
            await _refuse(scope, send, 503, "the store does not answer")

    async def _check(self, connection: "HTTPConnection", user: str) -> None:
        """Refuse a socket whose operation the user may not watch; raises as ``visible``."""
        if self._single:
            position_of(_since(connection))
            with self._feeds.feed(connection.path_params["id"]) as feed:
                await self._feeds.visible(feed, user, "watch")

    async def _serve(
        self, connection: "HTTPConnection", user: str, receive: "Receive", send: "Send"
    ) -> None:
        chosen = SUBPROTOCOL if SUBPROTOCOL in offers(connection) else None
        client = Client(
            user, connection, send, is_stream=False, monotonic=self._care.clock.monotonic,
            on_last=lambda: _close(send, 1000),
        )  # fmt: skip
        self._care.begin(client)
        try:
            await client.served(self._talk(client, receive, send, chosen))
        finally:
            self._care.end(client)
        if client.dropped is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(1):
                    await _close(send, _CODES.get(client.dropped, 1011))

    async def _talk(
        self, client: Client, receive: "Receive", send: "Send", chosen: str | None
    ) -> None:
        await send({"type": "websocket.accept", "subprotocol": chosen, "headers": []})
        if self._single:
            connection = client.connection
            await self._attach(client, connection.path_params["id"], _since(connection))
            await client.complete()
        while (message := await receive())["type"] != "websocket.disconnect":
            raw = message.get("text") or message.get("bytes") or ""
            if _size(raw) > self._care.limits.message_bytes:
                await client.say({"type": "websocket.close", "code": _TOO_BIG})
            elif not self._single:
                await self._answer(client, raw)

    async def _answer(self, client: Client, raw: Any) -> None:
        try:
            asked = msgspec.json.decode(raw, type=Asked)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            await client.say(text({"type": "error", "error": "this message is not understood"}))
            return
        if asked.type == "ping":
            await client.say(_PONG)
        elif asked.type == "unsubscribe":
            client.leave(asked.id)
        else:
            client.leave(asked.id)
            if len(client.feeds) >= self._care.limits.subscriptions:
                body = {"type": "error", "id": asked.id, "error": "too many subscriptions"}
                await client.say(text(body))
            else:
                await self._attach(client, asked.id, asked.since)

    async def _attach(self, client: Client, id: str, since: str | None) -> None:
        try:
            await self._feeds.attach(client, id, position_of(since))
        except ProgressNotFound:
            await client.say(gone_frame(id).socket)
        except InvalidProgress as exc:
            await client.say(text({"type": "error", "id": id, "error": str(exc)}))
        except BackendError:
            await client.say(broken_frame(id).socket)


def _size(raw: str | bytes) -> int:
    """Return the bytes of a message as it came."""
    return len(raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogatepass"))


def _since(connection: "HTTPConnection") -> str | None:
    """Return ``?since=``, without Starlette's multidict, which would stay with the connection."""
    query = parse_qs(connection.scope["query_string"].decode("latin-1"))
    return next(iter(query.get("since", ())), None)


async def _close(send: "Send", code: int) -> None:
    await send({"type": "websocket.close", "code": code})


async def _refuse(scope: "Scope", send: "Send", status: int, message: str) -> None:
    """Refuse a connection that was not accepted; the server says 403 where it can say no more."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await _close(send, 1008)
        return
    body = msgspec.json.encode({"error": message})
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    start = {"type": "websocket.http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "websocket.http.response.body", "body": body})
