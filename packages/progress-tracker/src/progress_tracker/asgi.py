"""The web application: what a page may know and do. Needs the extra ``asgi``.

``GET /`` lists, ``GET /{id}`` reads, ``POST /{id}/cancel`` asks the worker to stop and
``GET /{id}/events`` streams server-sent events that resume by ``Last-Event-ID``. Unknown and
forbidden operations look the same.
"""

import inspect
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from ._common.extras import require
from ._common.web import (
    Authenticate,
    Authorize,
    WebError,
    answer,
    check_origin,
    cors_headers,
    refusal,
    sse_event,
    sse_response,
    user_of,
)
from .errors import (
    BackendError,
    ConfigurationError,
    InvalidProgress,
    ProgressConflict,
    ProgressNotFound,
)
from .models import Progress
from .service import ProgressTracker
from .wire import to_json

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

logger = logging.getLogger(__name__)
Handler = Callable[["Request"], Awaitable["Response"]]
_UNKNOWN = "no such operation"


def create_app(
    tracker: ProgressTracker,
    *,
    authenticate: Authenticate,
    authorize: Authorize | None = None,
    allowed_origins: Sequence[str] = (),
) -> "Starlette":
    """Return the ASGI application; mount it anywhere.

    Args:
        tracker: What it shows.
        authenticate: Returns the user behind a connection, or None; may be a coroutine function.
        authorize: Called as ``(user_id, action, progress)`` with the action ``read``, ``watch`` or
            ``cancel``; by default everybody may do all with their own operations and nothing else.
        allowed_origins: Exact origins (``https://app.example.com``) of other sites whose pages may
            use it.

    Raises:
        MissingExtraError: Starlette is not installed.
    """
    applications = require("starlette.applications", dist="progress-tracker", extra="asgi")
    routing = require("starlette.routing", dist="progress-tracker", extra="asgi")
    pages = _Pages(tracker, authenticate, authorize or _owner, tuple(allowed_origins))

    def route(path: str, handler: Handler, method: str) -> Any:
        return routing.Route(path, pages.guarded(handler), methods=[method, "OPTIONS"])

    made: Starlette = applications.Starlette(
        routes=[
            route("/", pages.listing, "GET"),
            route("/{id:path}/events", pages.events, "GET"),
            route("/{id:path}/cancel", pages.cancel, "POST"),
            route("/{id:path}", pages.one, "GET"),
        ]
    )
    return made


def _owner(user_id: str, _action: str, progress: Any) -> bool:
    return bool(progress.user_id == user_id)


class _Pages:
    def __init__(
        self,
        tracker: ProgressTracker,
        authenticate: Authenticate,
        authorize: Authorize,
        allowed: Sequence[str],
    ) -> None:
        self._tracker, self._authenticate = tracker, authenticate
        self._authorize, self._allowed = authorize, allowed

    def guarded(self, handler: Handler) -> Handler:
        async def handle(request: "Request") -> "Response":
            headers = cors_headers(request, self._allowed)
            if request.method == "OPTIONS":
                return _preflight(headers)
            made = await self._answered(handler, request)
            for name, value in headers.items():
                made.headers[name] = value
            return made

        return handle

    async def _answered(self, handler: Handler, request: "Request") -> "Response":
        try:
            check_origin(request, self._allowed)
            return await handler(request)
        except WebError as exc:
            return refusal(exc.status, str(exc))
        except ProgressNotFound:
            return refusal(404, _UNKNOWN)
        except (ProgressConflict, InvalidProgress) as exc:
            return refusal(409 if isinstance(exc, ProgressConflict) else 400, str(exc))
        except ConfigurationError:
            # its words are for whoever runs the server: a table's name, a command
            logger.exception("progress.misconfigured")
            return refusal(500, "the application is not set up")
        except BackendError:
            return refusal(503, "the store does not answer")

    async def _user(self, request: "Request") -> str:
        return await user_of(request, self._authenticate)

    async def _may(self, user: str, action: str, progress: Progress) -> bool:
        allowed = self._authorize(user, action, progress)
        return bool(await allowed if inspect.isawaitable(allowed) else allowed)

    async def _allowed_one(self, request: "Request", action: str) -> tuple[str, Progress]:
        user = await self._user(request)
        progress = await self._tracker.get(request.path_params["id"])
        if not await self._may(user, action, progress):
            raise ProgressNotFound(_UNKNOWN)
        return user, progress

    async def listing(self, request: "Request") -> "Response":
        user, query = await self._user(request), request.query_params
        status: Any = query.getlist("status") or None
        cursor = query.get("cursor")
        try:
            page = await self._tracker.list_progress(
                user_id=user,
                status=status,
                parent_id=query.get("parentId"),
                kind=query.get("kind"),
                limit=_limit(query.get("limit")),
                cursor=cursor,
            )
        except ConfigurationError as exc:
            if cursor is None:
                raise
            raise WebError(400, "not a cursor") from exc
        items = [to_json(each) for each in page if await self._may(user, "read", each)]
        return answer({"items": items, "nextCursor": page.next_cursor})

    async def one(self, request: "Request") -> "Response":
        _, progress = await self._allowed_one(request, "read")
        return answer(to_json(progress))

    async def cancel(self, request: "Request") -> "Response":
        _, progress = await self._allowed_one(request, "cancel")
        await self._tracker.request_cancel(progress.id)
        return answer(to_json(await self._tracker.get(progress.id)), 202)

    async def events(self, request: "Request") -> "Response":
        user, progress = await self._allowed_one(request, "watch")
        since = request.headers.get("last-event-id") or request.query_params.get("since")
        if progress.is_final and since == event_id(progress):
            # 204 tells an EventSource that there is nothing to reconnect for
            return _empty(204)
        states = self._tracker.watch(progress.id, since)
        first = await anext(states, None)
        return sse_response(self._events(user, first, states))

    async def _events(
        self, user: str, first: Progress | None, states: AsyncGenerator[Progress, None]
    ) -> AsyncGenerator[bytes, None]:
        try:
            state = first
            while state is not None:
                if not await self._may(user, "watch", state):
                    return
                yield sse_event(to_json(state), event="progress", id=event_id(state))
                state = await anext(states, None)
        except ProgressNotFound:
            yield sse_event({"error": _UNKNOWN}, event="gone")
        except BackendError:
            # the page connects again, and hears 503 until the store answers
            logger.warning("progress.stream_broken", exc_info=True)
        finally:
            await states.aclose()


def event_id(progress: Progress) -> str:
    """Return what names a state in ``Last-Event-ID``: ``"epoch:version"``."""
    return f"{progress.epoch}:{progress.version}"


def _limit(text: str | None) -> int:
    try:
        return 50 if text is None else int(text)
    except ValueError:
        raise WebError(400, "limit must be a number") from None


def _preflight(headers: dict[str, str]) -> "Response":
    made = _empty(204 if headers else 403)
    for name, value in headers.items():
        made.headers[name] = value
    if headers:
        made.headers["access-control-allow-methods"] = "GET, POST"
        made.headers["access-control-allow-headers"] = "authorization, content-type, last-event-id"
    return made


def _empty(status: int) -> "Response":
    responses = require("starlette.responses", dist="progress-tracker", extra="asgi")
    made: Response = responses.Response(status_code=status)
    return made
