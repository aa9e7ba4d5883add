"""An ASGI app over a service: start, follow, steer and download exports. Needs the extra ``asgi``.

| route | does |
|---|---|
| ``POST /exports`` | starts one: ``{source: {type, id, data?}, format, options?}`` |
| ``GET /exports?status=&limit=&cursor=`` | lists the user's |
| ``GET /exports/{id}`` · ``DELETE /exports/{id}`` | returns · deletes one |
| ``POST /exports/{id}/cancel`` · ``POST /exports/{id}/retry`` | steers it |
| ``GET /exports/{id}/events`` | server-sent events to its end; resumes by ``Last-Event-ID`` |
| ``GET /exports/{id}/file`` | the file, for its owner; ``?inline=1`` to look at it |
| ``GET /files/{token}`` | the file, for whoever has the link (``storage.public_url`` + token) |
| ``GET /formats`` | the formats that may be used |
| ``GET /client/{version}/{name}`` | the browser's side: see :func:`client_path` |

Everybody reaches their own exports alone; another's looks as if there were none.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .._common.extras import require
from .._common.web import Authenticate, Authorize
from .._common.web_care import Care
from .._common.web_guard import Handler
from ..service import ExportService
from .events import Events
from .files import FILES, client_path
from .guarding import Guard, token_of
from .limits import Limits
from .rest import Rest
from .serving import Serving

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = ["Limits", "client_path", "create_app", "token_of"]


def create_app(
    service: ExportService,
    *,
    authenticate: Authenticate,
    authorize: Authorize | None = None,
    allowed_origins: Sequence[str] = (),
    limits: Limits | None = None,
) -> "Starlette":
    """Return the app; mount it where you like.

    Args:
        service: Whose exports it shows.
        authenticate: ``connection -> user id | None``; may be asynchronous. Asked again while a
            stream of events is open, see ``Limits.recheck``.
        authorize: ``(user id, action, record) -> bool``; may be asynchronous. Actions on an
            ``ExportJob`` are ``read``, ``cancel``, ``retry``, ``delete``, ``download``; the default
            allows its owner. ``export`` is asked about an ``ExportSource``: the default allows
            sources that carry their data, since only the application knows who may read what a
            loader would load.
        allowed_origins: Origins of other sites whose pages may call it, like
            ``https://app.example.com``.
        limits: How much one client may ask for; ``Limits()`` if None.

    Raises:
        MissingExtraError: Starlette is not installed.
    """
    applications = require("starlette.applications", dist="exporter", extra="asgi")
    routing = require("starlette.routing", dist="exporter", extra="asgi")
    guard = Guard(authenticate, authorize, tuple(allowed_origins))
    chosen = limits or Limits()
    care = Care(chosen, guard.is_still, service.clock, patiences=[chosen.download_patience])
    rest, events = Rest(service, guard, care.limits), Events(service, guard, care)
    serving = Serving(service, guard, care)

    def route(path: str, handler: Handler, *methods: str) -> Any:
        return routing.Route(path, guard.around(handler), methods=methods)

    made: Starlette = applications.Starlette(
        routes=[
            route("/exports", rest.start, "POST"),
            route("/exports", rest.listing, "GET"),
            route("/exports/{id}", rest.one, "GET"),
            route("/exports/{id}", rest.delete, "DELETE"),
            route("/exports/{id}/cancel", rest.cancel, "POST"),
            route("/exports/{id}/retry", rest.retry, "POST"),
            route("/exports/{id}/events", events.stream, "GET"),
            route("/exports/{id}/file", serving.file, "GET", "HEAD"),
            routing.Route("/files/{token:path}", guard.open(serving.link), methods=["GET", "HEAD"]),
            route("/formats", rest.formats, "GET"),
            routing.Route("/client/{version}/{name}", FILES.serve, methods=["GET"]),
            routing.Route("/{rest:path}", guard.preflight, methods=["OPTIONS"]),
        ]
    )
    made.state.care = care
    return made
