"""The handlers of the API. Each is given the filter that its user is bound to."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .._common.web import WebError, answer, body_of
from ..errors import DocumentNotFound
from ..filters import Filter
from ..models import SearchQuery, check_int
from ..service import SearchService
from . import wire

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_LONGEST = 10_000
_BY_URL = frozenset({"q", "limit", "offset", "filters", "facets"})
_MOST_CONTENT = 2_000
"""Characters of a document that a hit shows; all of it is one request away."""


class Api:
    """Answers requests with what one service finds."""

    def __init__(self, service: SearchService, facets: Sequence[str], title: str) -> None:
        """Search ``service``; ``facets`` and ``title`` are for the page."""
        self._service, self._facets, self._title = service, facets, title

    async def config(self, _request: "Request", _bound: Filter | None) -> "Response":
        """Return what the page shows beside results."""
        return answer({"title": self._title, "facets": list(self._facets)})

    async def search(self, request: "Request", bound: Filter | None) -> "Response":
        """Answer a query in the body."""
        return await self._found(wire.query_from(await body_of(request)), bound)

    async def search_by_url(self, request: "Request", bound: Filter | None) -> "Response":
        """Answer a query in the address."""
        given = dict(request.query_params)
        if unknown := sorted(given.keys() - _BY_URL):
            raise WebError(422, f"unknown parameter {unknown[0][:60]!r}")
        body: dict[str, Any] = {"query": given.get("q", "")}
        for name in ("limit", "offset"):
            if name in given:
                body[name] = _number(name, given[name])
        if "filters" in given:
            body["filters"] = _json(given["filters"])
        if "facets" in given:
            body["facets"] = [name for name in given["facets"].split(",") if name]
        return await self._found(wire.query_from(body), bound)

    async def _found(self, query: SearchQuery, bound: Filter | None) -> "Response":
        wanted = _both(wire.filter_of(query.filters), bound)
        found = await self._service.search(replace(query, filters=wanted))
        body = wire.results_to(found)
        for hit in body["hits"]:
            hit["content"] = hit["content"][:_MOST_CONTENT]
        return answer(body)

    async def similar(self, request: "Request", bound: Filter | None) -> "Response":
        """Answer with the neighbours of a document."""
        given = wire.fields(await body_of(request), frozenset({"documentId", "limit", "filters"}))
        name, limit = wire.text_of(given, "documentId"), given.get("limit", 10)
        try:
            check_int("limit", limit, 1, 1000)
        except ValueError as exc:
            raise WebError(422, str(exc)) from exc
        wanted = _both(wire.filter_of(given.get("filters")), bound)
        await self._visible(name, bound)
        hits = await self._service.find_similar(name, limit, filters=wanted)
        made = [wire.hit_to(hit) for hit in hits]
        for hit in made:
            hit["content"] = hit["content"][:_MOST_CONTENT]
        return answer({"hits": made})

    async def document(self, request: "Request", bound: Filter | None) -> "Response":
        """Answer with a whole document."""
        name = wire.text_of(request.query_params, "id")
        found = await self._visible(name, bound)
        return answer({"id": found.id, "content": found.content, "metadata": found.metadata})

    async def _visible(self, name: str, bound: Filter | None) -> Any:
        """Return a document that the user may see; others are not there."""
        found = await self._service.get(name)
        if bound is not None and not bound.matches(found.metadata or {}):
            raise DocumentNotFound(f"no document {name!r}")
        return found

    async def stats(self, _request: "Request", bound: Filter | None) -> "Response":
        """Answer with figures; the number of documents is that of those the user may see."""
        made = wire.stats_to(await self._service.get_stats())
        if bound is not None:
            made["documents"] = await self._service.count(bound)
        return answer(made)

    async def click(self, request: "Request", _bound: Filter | None) -> "Response":
        """Note that a hit was opened."""
        given = wire.fields(await body_of(request), frozenset({"queryId", "documentId"}))
        query, name = wire.text_of(given, "queryId"), wire.text_of(given, "documentId")
        return answer({"known": await self._service.record_click(query, name)})


def _both(wanted: Filter | None, bound: Filter | None) -> Filter | None:
    return wanted if bound is None else bound.both(wanted)


def _number(name: str, text: str) -> int:
    try:
        return int(text[:20])
    except ValueError as exc:
        raise WebError(422, f"{name} must be a whole number") from exc


def _json(text: str) -> Any:
    try:
        return json.loads(text[:_LONGEST])
    except (ValueError, RecursionError) as exc:
        raise WebError(422, "filters must be JSON") from exc
