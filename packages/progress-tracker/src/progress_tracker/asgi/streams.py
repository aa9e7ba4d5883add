"""Server-sent events, of one operation or of many."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from .._common.extras import require
from .._common.web import WebError
from .._common.web_care import Care
from ..errors import BackendError, ProgressNotFound
from ..ports import Position
from .clients import Client
from .feeds import Feeds
from .frames import broken_frame, gone_frame
from .guarding import Guard, empty
from .limits import Limits
from .rest import position_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

Wish = tuple[str, Position | None]
_GREETING = b"retry: 1000\n\n"
_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
    "x-content-type-options": "nosniff",
}


class Streams:
    """The handlers."""

    def __init__(self, guard: Guard, feeds: Feeds, care: Care[Limits]) -> None:
        """Stream what ``feeds`` tell."""
        self._guard, self._feeds, self._care = guard, feeds, care

    async def one(self, request: "Request", user: str) -> "Response":
        """Stream one operation, to its end."""
        id, known = request.path_params["id"], request.headers.get("last-event-id")
        since = position_of(known or request.query_params.get("since"))
        with self._feeds.feed(id) as feed:
            frame = await self._feeds.visible(feed, user, "watch")
        if frame.last and frame.position == since:
            # 204 tells an EventSource that there is nothing to reconnect for
            return empty()
        return self._response(request, user, [(id, since)])

    async def many(self, request: "Request", user: str) -> "Response":
        """Stream many operations, until all have ended."""
        ids, marks = (request.query_params.getlist(name) for name in ("id", "since"))
        if not ids or len(ids) > self._care.limits.subscriptions or len(marks) > len(ids):
            most = self._care.limits.subscriptions
            raise WebError(400, f"give 1 to {most} times id=, each since= to the id in its place")
        if len(ids) == 1 and (known := request.headers.get("last-event-id")):
            marks = [known]  # of several it names the last that was sent, not what each has seen
        padded = [*marks, *[""] * (len(ids) - len(marks))]
        wishes = {id: position_of(mark) for id, mark in zip(ids, padded, strict=True)}
        return self._response(request, user, list(wishes.items()))

    def _response(self, request: "Request", user: str, wishes: Sequence[Wish]) -> "Response":
        structures = require("starlette.datastructures", dist="progress-tracker", extra="asgi")
        stream = _Stream(self._feeds, self._care, request, user, wishes)
        stream.headers = structures.MutableHeaders(_HEADERS)
        # refused here, before anything is sent, if there are too many
        with self._care.room(user):
            return cast("Response", stream)


class _Stream:
    """A response: headers, then frames for as long as the client stays."""

    headers: Any
    status_code = 200

    def __init__(
        self,
        feeds: Feeds,
        care: Care[Limits],
        request: "Request",
        user: str,
        wishes: Sequence[Wish],
    ) -> None:
        self._feeds, self._care = feeds, care
        self._request, self._user, self._wishes = request, user, wishes

    async def __call__(self, _scope: "Scope", receive: "Receive", send: "Send") -> None:
        clock = self._care.clock
        client = Client(
            self._user, self._request.scope, send, is_stream=True,
            monotonic=clock.monotonic, on_last=_end,
        )  # fmt: skip
        try:
            self._care.come(self._user)
        except WebError as exc:
            await _begin(send, exc.status, [(b"content-length", b"0")])
            await _end(send)
            return
        self._care.begin(client)
        try:
            await self._serve(client, receive, send)
        except asyncio.CancelledError:
            client.cancelled()
        finally:
            client.end()
            self._care.end(client)
            self._care.go(self._user)
        if client.dropped is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(1):
                    await _end(send)

    async def _serve(self, client: Client, receive: "Receive", send: "Send") -> None:
        await _begin(send, 200, self.headers.raw)
        await client.say({"type": "http.response.body", "body": _GREETING, "more_body": True})
        for id, since in self._wishes:
            try:
                await self._feeds.attach(client, id, since)
            except ProgressNotFound:
                await client.say(gone_frame(id).stream)
            except BackendError:
                await client.say(broken_frame(id).stream)
        await client.complete()
        while (await receive())["type"] != "http.disconnect":
            pass


async def _begin(send: "Send", status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def _end(send: "Send") -> None:
    await send({"type": "http.response.body", "body": b"", "more_body": False})
