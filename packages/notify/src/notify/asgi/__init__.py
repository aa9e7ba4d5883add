"""The web application: a user's inbox, links to unsubscribe, and what providers report.

| route | does |
|---|---|
| ``GET /notifications`` | lists, filtered by ``unreadOnly type category since before archived`` |
| ``GET`` or ``DELETE /notifications/{id}``, ``POST …/{id}/read``, ``POST …/{id}/archive`` | one |
| ``POST /notifications/read-all`` | marks all, or ``{"before": …, "category": …}`` |
| ``GET /notifications/unread-count`` | counts |
| ``GET``, ``PUT /preferences`` | what the user wants |
| ``GET /changes`` | ``?since=7&wait=25``: what was missed, or the first news |
| ``GET /events`` | server-sent events; resumes by ``Last-Event-ID`` or ``?since=`` |
| ``WebSocket /ws/notifications`` | the same events; resumes by ``?since=``; ``batch``: below |
| ``GET /client/{version}/{name}`` | the browser's side: see :func:`client_path` |
| ``GET /preview`` | templates, for whom ``authorize`` lets |
| ``/unsubscribe/{token}``, ``POST /events/{provider}`` | see :mod:`notify.asgi.public` |

With ``batch=1`` what a socket missed comes as ``{"events": […]}``, many in a message.

Everybody reaches their own inbox alone; another's notification looks as if there were none.
"""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route, WebSocketRoute

from .._common.web import Authenticate, Authorize
from .._common.web_care import Care
from .._common.web_guard import Handler, token_of
from ..service import NotificationService
from .files import FILES, client_path
from .guarding import Guard
from .limits import Limits
from .live import Door, Live
from .preview import Preview
from .public import PublicRoutes
from .rest import Rest

__all__ = ["Limits", "client_path", "create_app", "token_of"]


def create_app(
    notifications: NotificationService,
    *,
    authenticate: Authenticate,
    authorize: Authorize | None = None,
    allowed_origins: Sequence[str] = (),
    limits: Limits | None = None,
) -> Starlette:
    """Return an ASGI app in which every user reaches their own inbox, and nobody else's.

    Args:
        notifications: The service.
        authenticate: Returns the user's id for a connection, None for nobody; may be a coroutine
            function. Asked again while a socket or stream is open, see ``Limits.recheck``.
        authorize: Called as ``(user_id, "preview", template)`` for what is nobody's own: may this
            user look at templates? Nobody may by default. Inboxes are always their owners' alone.
        allowed_origins: Pages of these origins may use the app, beside its own and those of the
            setting ``websocket.cors_origins``.
        limits: How much one client may ask for; ``Limits()`` if None.
    """
    websocket = notifications.settings.websocket
    guard = Guard(authenticate, authorize, (*allowed_origins, *websocket.cors_origins))
    care = Care(limits or Limits(), guard.is_still, notifications.clock)
    live = Live(notifications, guard, care)
    routes = _plain(guard, Rest(notifications, care), live, Preview(notifications, guard))
    if websocket.enabled:
        routes.append(WebSocketRoute(websocket.path, Door(live)))
    routes += PublicRoutes(notifications).routes()
    routes.append(Route("/client/{version}/{name}", FILES.serve, methods=["GET"]))
    routes.append(Route("/{rest:path}", guard.preflight, methods=["OPTIONS"]))
    made = Starlette(routes=routes)
    made.state.care = care
    return made


def _plain(guard: Guard, rest: Rest, live: Live, preview: Preview) -> list[BaseRoute]:
    one = "/notifications/{id}"

    def route(path: str, handler: Handler, method: str = "GET") -> Route:
        return Route(path, guard.around(handler), methods=[method])

    return [
        route("/notifications", rest.listing),
        route("/notifications/unread-count", rest.unread),
        route("/notifications/read-all", rest.read_all, "POST"),
        route(f"{one}/read", rest.read, "POST"),
        route(f"{one}/archive", rest.archive, "POST"),
        route(one, rest.one),
        route(one, rest.delete, "DELETE"),
        route("/preferences", rest.get_preferences),
        route("/preferences", rest.put_preferences, "PUT"),
        route("/changes", rest.changes),
        route("/events", live.stream),
        route("/preview", preview.listing),
        route("/preview/{channel}/{template:path}", preview.one),
    ]
