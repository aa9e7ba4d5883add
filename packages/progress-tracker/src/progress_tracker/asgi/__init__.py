"""The web application: what a page may know and do. Needs the extra ``asgi``.

| route | does |
|---|---|
| ``GET /`` | lists: ``?status=&kind=&parentId=&limit=&cursor=`` |
| ``GET /{id}`` | reads; with ``?since=1:2&wait=25`` it waits for a newer state, else 204 |
| ``POST /{id}/cancel`` | asks the worker to stop |
| ``GET /{id}/events`` | server-sent events; resumes by ``Last-Event-ID`` (``epoch:version``) |
| ``GET /events?id=a&id=b`` | the same for many operations; ``&since=`` of each, in their order |
| ``WebSocket /ws/progress/{id}`` | one operation, to its end |
| ``WebSocket /ws/progress`` | many: ``{"type": "subscribe", "id": …, "since": …}`` |
| ``GET /client/{version}/{name}`` | the browser's side: see :func:`client_path` |
| ``GET /?id=a``, ``POST /cancel?id=a`` | as ``GET /{id}``, ``POST /{id}/cancel``, for every id |

Some ids have no path of their own: ``events``, what begins with ``client/`` or ends in ``/events``
or ``/cancel`` is another route's, and browsers and proxies take ``.``, ``..`` and ``//`` out of a
path. They are named by ``?id=``; on the socket of many and in ``/events`` every id can be.
Unknown and forbidden operations look the same everywhere.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .._common.extras import require
from .._common.web import Authenticate, Authorize
from .._common.web_care import Care
from .._common.web_guard import Handler, token_of
from ..service import ProgressTracker
from .arguments import check_arguments
from .feeds import Feeds
from .files import FILES, client_path
from .guarding import Guard
from .limits import Limits
from .rest import Rest
from .rights import Rights
from .sockets import Socket, SocketsFirst
from .streams import Streams

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = ["Limits", "client_path", "create_app", "token_of"]


def create_app(
    tracker: ProgressTracker,
    *,
    authenticate: Authenticate,
    authorize: Authorize | None = None,
    allowed_origins: Sequence[str] = (),
    limits: Limits | None = None,
) -> "Starlette":
    """Return the ASGI application; mount it anywhere.

    Args:
        tracker: What it shows.
        authenticate: Returns the user behind a connection, or None; may be a coroutine function.
            Asked again while a socket or stream is open, see ``Limits.recheck``.
        authorize: Called as ``(user_id, action, progress)`` with the action ``read``, ``watch`` or
            ``cancel``; by default everybody may do all with their own operations and nothing else.
            May be a coroutine function.
        allowed_origins: Exact origins (``https://app.example.com``) of other sites whose pages may
            use it.
        limits: How much one client may ask for; ``Limits()`` if None.

    Raises:
        ConfigurationError: An argument is of another kind, or an origin is none.
        MissingExtraError: Starlette is not installed.
    """
    check_arguments(tracker, authenticate, authorize, allowed_origins, limits)
    applications = require("starlette.applications", dist="progress-tracker", extra="asgi")
    routing = require("starlette.routing", dist="progress-tracker", extra="asgi")
    middleware = require("starlette.middleware", dist="progress-tracker", extra="asgi")
    chosen = limits or Limits()
    rights = Rights(authorize, tracker.clock)
    guard = Guard(
        authenticate,
        rights,
        tuple(allowed_origins),
        lambda: tracker.settings.realtime.websocket_url,
    )
    feeds, care = Feeds(tracker, rights), Care(chosen, guard.is_still, tracker.clock)
    rest, streams = Rest(tracker, guard, feeds, care), Streams(guard, feeds, care)
    one, many = Socket(guard, feeds, care, single=True), Socket(guard, feeds, care, single=False)

    def route(path: str, handler: Handler, method: str = "GET") -> Any:
        return routing.Route(path, guard.around(handler), methods=[method, "OPTIONS"])

    sockets = [
        routing.WebSocketRoute("/ws/progress", many),
        routing.WebSocketRoute("/ws/progress/{id:path}", one),
    ]
    made: Starlette = applications.Starlette(
        middleware=[middleware.Middleware(SocketsFirst, routes=sockets)],
        routes=[
            *sockets,
            routing.Route("/client/{version}/{name}", FILES.serve, methods=["GET"]),
            route("/", rest.listing),
            route("/events", streams.many),
            route("/cancel", rest.cancel, "POST"),
            route("/{id:path}/events", streams.one),
            route("/{id:path}/cancel", rest.cancel, "POST"),
            route("/{id:path}", rest.one),
        ],
    )
    made.state.care = care
    return made
