"""The search as an ASGI application: an API for browsers and a page. Needs the extra ``asgi``.

| route | does |
|---|---|
| ``GET /`` | the page; it needs nothing else than this application |
| ``GET /client.js``, ``/client.d.ts`` | the API for pages of one's own |
| ``GET /api/config`` | title and facets of the page |
| ``POST /api/search`` | a query as JSON: ``{"query": …, "filters": …, "queryExpansion": …}`` |
| ``GET /api/search?q=`` | the same by ``limit``, ``offset``, ``filters`` (JSON), ``facets`` |
| ``POST /api/similar`` | ``{"documentId": …, "limit": …, "filters": …}`` |
| ``GET /api/document?id=`` | one document, without its vector |
| ``GET /api/stats`` | how many documents, latencies, hit rates |
| ``POST /api/click`` | ``{"queryId": …, "documentId": …}``; needs the header ``X-Semsearch: 1`` |
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .._common.extras import require
from ..service import SearchService
from .api import Api
from .files import Files
from .guarding import Access, Guard, Handler

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = ["Access", "create_app"]


def create_app(
    service: SearchService,
    *,
    authorize: Access,
    allowed_origins: Sequence[str] = (),
    facets: Sequence[str] = (),
    title: str = "Search",
) -> "Starlette":
    """Return the ASGI application; mount it anywhere.

    Args:
        service: What is searched.
        authorize: Called with each connection, may be a coroutine function. What it returns decides
            what its user may find: None or False nothing (401), True everything, a filter as users
            write it (``{"owner": "ada"}``) what passes it. That filter is ANDed to every search,
            neighbours, facet and document of this user, and no filter of a request removes it.
        allowed_origins: Exact origins (``https://docs.example.com``) of other sites whose pages may
            use the API.
        facets: Names of metadata that the page offers to narrow results by, in their order.
        title: Heading of the page.

    Raises:
        MissingExtraError: Starlette is not installed.
    """
    applications = require("starlette.applications", dist="semsearch", extra="asgi")
    routing = require("starlette.routing", dist="semsearch", extra="asgi")
    guard = Guard(authorize, tuple(allowed_origins))
    api, files = Api(service, tuple(facets), title), Files()

    def route(path: str, handler: Handler, method: str = "GET", *, changes: bool = False) -> Any:
        handle = guard.around(handler, method, changes=changes)
        return routing.Route(path, handle, methods=[method, "OPTIONS"])

    made: Starlette = applications.Starlette(
        routes=[
            route("/", files.page),
            routing.Route("/client.js", files.client, methods=["GET"]),
            routing.Route("/client.d.ts", files.client, methods=["GET"]),
            routing.Route("/static/{name}", files.static, methods=["GET"]),
            route("/api/config", api.config),
            routing.Route(
                "/api/search",
                guard.around_each({"GET": api.search_by_url, "POST": api.search}),
                methods=["GET", "POST", "OPTIONS"],
            ),
            route("/api/similar", api.similar, "POST"),
            route("/api/document", api.document),
            route("/api/stats", api.stats),
            route("/api/click", api.click, "POST", changes=True),
        ]
    )
    return made
