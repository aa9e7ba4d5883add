"""Queries and results as JSON: the names of ``client.d.ts``, fixed here in one place."""

from collections.abc import Mapping
from typing import Any

from .._common.web import WebError
from ..errors import ConfigurationError
from ..filters import Filter
from ..models import SearchQuery, SearchResult, SearchResults
from ..reports import SearchStats

_QUERY = {
    "query": "query",
    "filters": "filters",
    "limit": "limit",
    "threshold": "threshold",
    "hybrid": "hybrid",
    "rerank": "rerank",
    "queryExpansion": "query_expansion",
    "offset": "offset",
    "facets": "facets",
    "highlight": "highlight",
    "fusion": "fusion",
    "alpha": "alpha",
    "diversity": "diversity",
}
_SWITCHES = frozenset({"hybrid", "rerank", "queryExpansion", "highlight"})


def fields(body: Any, known: Mapping[str, str] | frozenset[str]) -> dict[str, Any]:
    """Return a JSON object whose names are all known; nulls are left out.

    Raises:
        WebError: 422, it is none.
    """
    if not isinstance(body, dict):
        raise WebError(422, "the body must be a JSON object")
    if unknown := sorted(name for name in body if name not in known):
        raise WebError(422, f"unknown field {str(unknown[0])[:60]!r}")
    return {name: value for name, value in body.items() if value is not None}


def query_from(body: Any) -> SearchQuery:
    """Return the query of a request; its filter is checked later.

    Raises:
        WebError: 422, a field is unknown or out of range.
    """
    given = fields(body, _QUERY)
    for name in _SWITCHES & given.keys():
        if not isinstance(given[name], bool):
            raise WebError(422, f"{name} must be true or false")
    if isinstance(given.get("facets"), list) and len(given["facets"]) > 50:
        raise WebError(422, "at most 50 facets")
    try:
        return SearchQuery(**{_QUERY[name]: value for name, value in given.items()})
    except (ConfigurationError, TypeError) as exc:
        raise WebError(422, str(exc)) from exc


def text_of(given: Mapping[str, Any], name: str) -> str:
    """Return a text of a request.

    Raises:
        WebError: 422, it is missing or no text.
    """
    value = given.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 1000:
        raise WebError(422, f"{name} must be a text of 1 to 1000 characters")
    return value


def filter_of(value: Any) -> Filter | None:
    """Return the filter of a request; what is no filter is refused by its own error."""
    return Filter.parse(value)


def results_to(found: SearchResults) -> dict[str, Any]:
    """Return results as JSON values."""
    return {
        "hits": [hit_to(hit) for hit in found],
        "facets": {
            name: [{"value": value, "count": count} for value, count in facet.values]
            for name, facet in found.facets.items()
        },
        "total": found.total,
        "took": found.took,
        # why is for the log of the server: it may name hosts
        "degraded": found.degraded is not None,
        "queryId": found.query_id,
    }


def hit_to(hit: SearchResult) -> dict[str, Any]:
    """Return a hit as JSON values."""
    return {
        "id": hit.id,
        "score": hit.score,
        "content": hit.content,
        "metadata": dict(hit.metadata),
        "highlights": hit.highlights,
        "scores": dict(hit.scores),
    }


def stats_to(stats: SearchStats) -> dict[str, Any]:
    """Return figures as JSON values."""
    return {
        "documents": stats.documents,
        "searches": stats.searches,
        "avgLatency": stats.avg_latency,
        "p95Latency": stats.p95_latency,
        "cacheHitRate": stats.cache_hit_rate,
        "embeddingCacheHitRate": stats.embedding_cache_hit_rate,
    }
