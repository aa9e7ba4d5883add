"""Search over everything that was said, and passages that are like one."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from semsearch import SearchResult

from ..services import Services
from ..steps import finding
from .requests import answer, required_user

_FILTERS = ("speaker", "language", "title")
_TOLD = ("transcript", "title", "speaker", "start")


def routes(services: Services) -> list[Route]:
    """Return the routes of the search."""
    web = _Searching(services)
    return [Route("/api/search", web.search), Route("/api/similar/{id}", web.similar)]


@dataclass(frozen=True, slots=True)
class _Searching:
    services: Services

    async def search(self, request: Request) -> Response:
        user, query = required_user(request), request.query_params
        filters = {name: query[name] for name in _FILTERS if query.get(name)}
        text = query.get("q", "")[:1000]
        found = await finding.find(self.services.search, user, text, filters)
        facets = {name: list(facet.values) for name, facet in found.facets.items()}
        hits, more = [_hit(each) for each in found], found.total > len(found)
        return answer({"hits": hits, "more": more, "facets": facets})

    async def similar(self, request: Request) -> Response:
        user, segment = required_user(request), request.path_params["id"]
        found = await finding.similar(self.services.search, user, segment)
        return answer({"hits": [_hit(each) for each in found]})


def _hit(found: SearchResult) -> dict[str, Any]:
    told = {name: found.metadata[name] for name in _TOLD}
    # highlights are escaped by semsearch, all but their marks
    marked = " … ".join(found.highlights or []) or None
    return {"id": found.id, "html": marked, "text": found.content, **told}
