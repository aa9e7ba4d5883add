"""The web app: a user's inbox over REST, server-sent events and a WebSocket."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from .. import wire
from .._common.web import (
    Authenticate,
    WebError,
    answer,
    body_of,
    check_origin,
    cors_headers,
    refusal,
    sse_event,
    sse_response,
    user_of,
)
from ..errors import (
    BackendError,
    ConfigurationError,
    InvalidPreferences,
    NotificationNotFound,
)
from ..models import NotificationFilters
from ..service import NotificationService
from .public import PublicRoutes

if TYPE_CHECKING:
    from starlette.types import ASGIApp

logger = logging.getLogger(__name__)
Handler = Callable[[Request, str], Awaitable[Response]]
_METHODS = "GET, POST, PUT, DELETE, OPTIONS"
_STALL = 30.0


def create_app(
    notifications: NotificationService,
    *,
    authenticate: Authenticate,
    allowed_origins: Sequence[str] = (),
) -> "ASGIApp":
    """Return an ASGI app in which every user reaches their own inbox, and nobody else's.

    Args:
        notifications: The service.
        authenticate: Returns the user's id for a connection, None for nobody; may be a coroutine
            function. Without it nobody gets in.
        allowed_origins: Pages of these origins may use the app, beside its own and those of the
            setting ``websocket.cors_origins``.
    """
    return _App(notifications, authenticate, allowed_origins).build()


class _App:
    def __init__(
        self, service: NotificationService, authenticate: Authenticate, origins: Sequence[str]
    ) -> None:
        self._service, self._authenticate = service, authenticate
        self._origins = (*origins, *service.settings.websocket.cors_origins)

    def build(self) -> Starlette:
        """Return the app."""
        one = "/notifications/{id}"
        routes: list[Route | WebSocketRoute] = [
            self._route("/notifications", "GET", self._list),
            self._route("/notifications/unread-count", "GET", self._unread),
            self._route("/notifications/read-all", "POST", self._read_all),
            self._route(f"{one}/read", "POST", self._read),
            self._route(f"{one}/archive", "POST", self._archive),
            self._route(one, "GET", self._get),
            self._route(one, "DELETE", self._delete),
            self._route("/preferences", "GET", self._get_preferences),
            self._route("/preferences", "PUT", self._put_preferences),
            self._route("/events", "GET", self._events),
        ]
        socket = self._service.settings.websocket
        if socket.enabled:
            routes.append(WebSocketRoute(socket.path, self._socket))
        routes += PublicRoutes(self._service).routes()
        routes.append(Route("/{rest:path}", self._preflight, methods=["OPTIONS"]))
        return Starlette(routes=routes)

    def _route(self, path: str, method: str, handler: Handler) -> Route:
        async def guarded(request: Request) -> Response:
            cors: dict[str, str] = {}
            try:
                check_origin(request, self._origins)
                cors = cors_headers(request, self._origins)
                made = await handler(request, await user_of(request, self._authenticate))
            except WebError as exc:
                made = refusal(exc.status, str(exc))
            except NotificationNotFound:
                made = refusal(404, "no such notification")
            except (InvalidPreferences, ConfigurationError) as exc:
                made = refusal(400, str(exc))
            except BackendError:
                made = refusal(503, "the store does not answer; try again")
            made.headers.update(cors)
            return made

        # a bound coroutine function: Starlette adds HEAD to GET by itself
        return Route(path, guarded, methods=[method])

    async def _preflight(self, request: Request) -> Response:
        cors = cors_headers(request, self._origins)
        if not cors:
            return refusal(403, "this origin is not allowed")
        allowed = {
            "access-control-allow-methods": _METHODS,
            "access-control-allow-headers": "content-type, authorization, last-event-id",
            "access-control-max-age": "600",
        }
        return Response(status_code=204, headers={**cors, **allowed})

    async def _list(self, request: Request, user: str) -> Response:
        query = request.query_params
        filters = NotificationFilters(
            unread_only=_flag(query.get("unreadOnly"), "unreadOnly") or False,
            type=query.get("type"),
            category=query.get("category"),
            since=_moment(query.get("since"), "since"),
            before=_moment(query.get("before"), "before"),
            archived=_flag(query.get("archived", "false"), "archived"),
        )
        limit = _number(query.get("limit", "50"), "limit")
        page = await self._service.get_user_notifications(
            user, limit=limit, filters=filters, cursor=query.get("cursor")
        )
        unread = await self._service.unread_count(user)
        items = [wire.notification(each) for each in page]
        return answer({"items": items, "nextCursor": page.next_cursor, "unread": unread})

    async def _unread(self, _: Request, user: str) -> Response:
        return answer({"unread": await self._service.unread_count(user)})

    async def _get(self, request: Request, user: str) -> Response:
        return answer(wire.notification(await self._service.get(request.path_params["id"], user)))

    async def _read(self, request: Request, user: str) -> Response:
        await self._service.mark_as_read(request.path_params["id"], user)
        return await self._unread(request, user)

    async def _read_all(self, request: Request, user: str) -> Response:
        body = await body_of(request)
        if not isinstance(body, dict) or not body.keys() <= {"before", "category"}:
            raise WebError(400, "expected an object with before and category, or an empty one")
        category = body.get("category")
        if not isinstance(category, str | None):
            raise WebError(400, "category must be a text")
        before = _moment(body.get("before"), "before")
        count = await self._service.mark_all_as_read(user, before, category)
        return answer({"marked": count, "unread": await self._service.unread_count(user)})

    async def _archive(self, request: Request, user: str) -> Response:
        await self._service.archive(request.path_params["id"], user)
        return await self._unread(request, user)

    async def _delete(self, request: Request, user: str) -> Response:
        await self._service.delete(request.path_params["id"], user)
        return await self._unread(request, user)

    async def _get_preferences(self, _: Request, user: str) -> Response:
        return answer(wire.preferences(await self._service.get_preferences(user)))

    async def _put_preferences(self, request: Request, user: str) -> Response:
        await self._service.set_preferences(user, wire.read_preferences(await body_of(request)))
        return await self._get_preferences(request, user)

    async def _events(self, request: Request, user: str) -> Response:
        given = request.headers.get("last-event-id") or request.query_params.get("since")
        since = None if given is None else _number(given, "since")
        return sse_response(self._stream(user, since))

    async def _stream(self, user: str, since: int | None) -> AsyncIterator[bytes]:
        feed: AsyncGenerator[Any, None] = self._service.watch(user, since)
        async with aclosing(feed):
            async for each in feed:
                yield sse_event(wire.event(each), event="notification", id=str(each.seq))

    async def _socket(self, socket: WebSocket) -> None:
        try:
            check_origin(socket, self._origins)
            user = await user_of(socket, self._authenticate)
            given = socket.query_params.get("since")
            since = None if given is None else _number(given, "since")
        except WebError:
            # before accept: the handshake is answered with 403, whatever was wrong
            await socket.close(1008)
            return
        await socket.accept()
        tasks = {
            asyncio.create_task(self._feed(socket, user, since), name="notify.socket"),
            asyncio.create_task(_until_gone(socket), name="notify.socket.read"),
        }
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _feed(self, socket: WebSocket, user: str, since: int | None) -> None:
        feed = self._service.watch(user, since)
        try:
            async with aclosing(feed):
                async for each in feed:
                    # nothing is queued for a slow reader: it reads later, from the store
                    async with asyncio.timeout(_STALL):
                        await socket.send_text(msgspec.json.encode(wire.event(each)).decode())
        except TimeoutError:
            await socket.close(1008, "too slow")
        except BackendError:
            await socket.close(1011, "the store does not answer")
        except (WebSocketDisconnect, RuntimeError):
            return
        except Exception:
            # the page is told, and so is whoever runs the server
            logger.exception("socket.failed")
            await socket.close(1011, "the server failed")
        else:
            await socket.close(1001)


async def _until_gone(socket: WebSocket) -> None:
    """Read until the client leaves; what it says changes nothing."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 18:
        raise WebError(400, f"{name} must be a whole number")
    return int(text)


def _flag(text: str | None, name: str) -> bool | None:
    known = {None: None, "true": True, "false": False, "any": None}
    if text not in known:
        raise WebError(400, f"{name} must be true or false")
    return known[text]


def _moment(text: Any, name: str) -> datetime | None:
    if text is None:
        return None
    try:
        made = datetime.fromisoformat(text)
        made.timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        raise WebError(400, f"{name} must be a date in ISO 8601") from None
    if made.tzinfo is None:
        raise WebError(400, f"{name} must have a time zone")
    return made
