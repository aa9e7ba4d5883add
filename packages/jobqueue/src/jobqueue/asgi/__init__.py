"""The dashboard: an ASGI application that shows the queue and steers it. Needs the extra ``asgi``.

| route | does |
|---|---|
| ``GET /`` | the page; it needs nothing else than this application |
| ``GET /api/session`` | who is signed in |
| ``GET /api/overview`` | queues, totals and the figures of the last ten minutes |
| ``GET /api/events`` | the same by server-sent events; resumes by ``Last-Event-ID`` |
| ``GET /api/jobs`` | ``?status=&name=&queue=&id=&createdAfter=&createdBefore=&limit=&cursor=`` |
| ``GET /api/job?id=`` | one job |
| ``POST /api/job/{retry,cancel,remove}`` | ``{"id": …}`` |
| ``POST /api/queue/{pause,resume}`` | ``{"queue": …}`` |
| ``POST /api/failed/retry`` | all dead letters: ``{"queue": … or null}`` |

A POST needs the header ``X-Jobqueue: 1`` and JSON, comes from this origin or an allowed one, and is
refused unless ``authorize`` allows it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .._common.extras import require
from .._common.web import Authenticate, Authorize
from .._common.web_page import PageFiles
from ..service import JobQueue
from .api import Api
from .guarding import Guard, Handler
from .live import Live

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = ["create_app"]


def create_app(
    queue: JobQueue,
    *,
    authenticate: Authenticate,
    authorize: Authorize | None = None,
    allowed_origins: Sequence[str] = (),
) -> "Starlette":
    """Return the ASGI application; mount it anywhere.

    Args:
        queue: What it shows.
        authenticate: Returns the user behind a connection, or None for nobody; may be a coroutine
            function.
        authorize: Called as ``(user_id, action, record)``, may be a coroutine function. Actions
            are ``overview`` (record None), ``read``, ``retry``, ``cancel`` and ``remove`` (of a
            ``Job``), ``pause`` and ``resume`` (of a queue's name), ``retry_failed`` (of a queue's
            name; None for all). By default whoever is signed in may see everything and change
            nothing.
        allowed_origins: Exact origins (``https://ops.example.com``) of other sites whose pages may
            use the API.

    Raises:
        MissingExtraError: Starlette is not installed.
    """
    applications = require("starlette.applications", dist="jobqueue", extra="asgi")
    routing = require("starlette.routing", dist="jobqueue", extra="asgi")
    guard = Guard(authenticate, authorize, tuple(allowed_origins))
    live, files = Live(queue), PageFiles("jobqueue.asgi")
    api = Api(queue, guard, live)

    def route(path: str, handler: Handler, method: str = "GET") -> Any:
        return routing.Route(path, guard.around(handler, method), methods=[method, "OPTIONS"])

    made: Starlette = applications.Starlette(
        routes=[
            route("/", files.page),
            routing.Route("/static/{name}", files.static, methods=["GET"]),
            route("/api/session", api.session),
            route("/api/overview", api.overview),
            route("/api/events", api.events),
            route("/api/jobs", api.jobs),
            route("/api/job", api.job),
            *(route(f"/api/job/{each}", api.acting(each), "POST") for each in api.job_actions),
            route("/api/queue/pause", api.pause, "POST"),
            route("/api/queue/resume", api.resume, "POST"),
            route("/api/failed/retry", api.retry_failed, "POST"),
        ]
    )
    made.state.live = live
    return made
