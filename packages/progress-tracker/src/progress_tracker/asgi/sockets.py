"""WebSockets: one operation to its end, or as many as a page asks for.

What a page says on the socket of many: ``{"type": "subscribe", "id": …, "since": "1:2"}``,
``{"type": "unsubscribe", "id": …}``, ``{"type": "ping"}``. What it hears: ``progress`` (a state),
``gone`` (unknown, forbidden or deleted), ``unavailable`` (ask again later), ``error`` (what it said
was wrong), ``ping`` (nothing happens; not to be answered) and ``pong``.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs

import msgspec

from .._common.web import WebError, starlette
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
    from starlette.routing import WebSocketRoute
    from starlette.types import ASGIApp, Receive, Scope, Send

_CODES = {"signed_out": 4401, "slow": 4408, "stopping": 1012}
_TOO_BIG = 1009
_PONG = text({"type": "pong"})


class Asked(msgspec.Struct, frozen=True):
    """What a page says."""

    type: Literal["subscribe", "unsubscribe", "ping"]
    id: str = ""
    since: str | None = None


class SocketsFirst:
    """A middleware that leads sockets past what stands before requests.

    Starlette's handling of errors and routes keeps five frames for as long as a socket is open,
    2 KiB, and a socket's errors are answered here.
    """

    def __init__(self, app: "ASGIApp", routes: "Sequence[WebSocketRoute]") -> None:
        """Look at ``routes``, then go on with ``app``."""
        self._app, self._routes = app, routes

    def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> "Awaitable[None]":
        """Return what serves the connection; no frame of its own."""
        if scope["type"] == "websocket":
            for route in self._routes:
                match, found = route.matches(scope)
                if match.value:  # none is 0
                    scope.update(found)
                    return route.app(scope, receive, send)
        return self._app(scope, receive, send)


class Socket:
    """An ASGI endpoint; ``single`` for the socket whose path names its operation."""

    def __init__(self, guard: Guard, feeds: Feeds, care: Care[Limits], *, single: bool) -> None:
        """Tell what ``feeds`` tell."""
        self._guard, self._feeds, self._care, self._single = guard, feeds, care, single

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Let the connection in, if it may, and serve it to its end.

        What this frame holds is held for as long as the socket is open: of what is only needed to
        let it in nothing stays.
        """
        await receive()  # its wish to connect
        user = await self._admitted(scope, send)
        if user is None:
            return
        client = Client(
            user, scope, send, is_stream=False, monotonic=self._care.clock.monotonic,
            on_last=_close_well,
        )  # fmt: skip
        self._care.begin(client)
        try:
            await self._talk(client, scope, receive, send)
        except asyncio.CancelledError:
            client.cancelled()
        finally:
            client.end()
            self._care.end(client)
            self._care.go(user)
        if client.dropped is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(1):
                    await _close(send, _CODES.get(client.dropped, 1011))

    async def _admitted(self, scope: "Scope", send: "Send") -> str | None:
        """Return whose socket it is, counted; None if it was refused, before it was accepted."""
        exceptions = starlette("exceptions")
        connection: HTTPConnection = starlette("requests").HTTPConnection(scope)
        try:
            user = await self._guard.user(connection)
            if self._single:
                position_of(_since(scope))
                with self._feeds.feed(scope["path_params"]["id"]) as feed:
                    await self._feeds.visible(feed, user, "watch")
            self._care.come(user)
        except WebError as exc:
            await _refuse(scope, send, exc.status, str(exc))
        except ProgressNotFound:
            await _refuse(scope, send, 404, UNKNOWN)
        except InvalidProgress as exc:
            await _refuse(scope, send, 400, str(exc))
        except BackendError:
            await _refuse(scope, send, 503, "the store does not answer")
        except exceptions.HTTPException as exc:  # what `authenticate` and `authorize` may raise
            await _refuse(scope, send, exc.status_code, exc.detail)
        except exceptions.WebSocketException as exc:
            await _close(send, exc.code)
        else:
            return user
        return None

    async def _talk(self, client: Client, scope: "Scope", receive: "Receive", send: "Send") -> None:
        chosen = SUBPROTOCOL if SUBPROTOCOL in offers(client.connection) else None
        await send({"type": "websocket.accept", "subprotocol": chosen, "headers": []})
        if self._single:
            await self._attach(client, scope["path_params"]["id"], _since(scope))
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


def _since(scope: "Scope") -> str | None:
    """Return ``?since=``, without Starlette's multidict, which costs more."""
    query = parse_qs(scope["query_string"].decode("latin-1"))
    return next(iter(query.get("since", ())), None)


async def _close_well(send: "Send") -> None:
    await _close(send, 1000)


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
