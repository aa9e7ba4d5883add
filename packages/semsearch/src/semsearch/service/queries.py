"""Queries are answered: one, many, or a document's neighbours."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

from .._common.home import at_home
from ..asking import Sides
from ..errors import ConfigurationError
from ..filters import Filter
from ..indexing import readable
from ..models import (
    QUERY_NAMES,
    QueryKeywords,
    SearchQuery,
    SearchResult,
    SearchResults,
    check_int,
)
from ..searching import Found, find
from ..showing import results
from .base import ServiceBase, Tree


class Queries(ServiceBase):
    """The part of the service that searches."""

    async def search(self, query: SearchQuery | str, **kw: Unpack[QueryKeywords]) -> SearchResults:
        """Return the best documents for a query.

        Args:
            query: A :class:`SearchQuery`, or its text with the other fields as keywords.
            kw: The fields of :class:`SearchQuery`.

        Raises:
            ConfigurationError: A field is out of range.
            InvalidFilter: The filter is wrong.
            BackendError: No side could answer.
        """
        return await self._search(query_of(query, kw))

    @at_home
    async def _search(self, query: SearchQuery) -> SearchResults:
        begun = self._clock.monotonic()
        if (text := readable(query.query)) != query.query:
            query = replace(query, query=text)
        wanted = self._bound(Filter.parse(query.filters))
        async with self._ready(reading=True) as parts:
            sides, behind = parts.sides, parts.catch_up.behind
            if behind is not None:
                sides = replace(sides, behind=behind)
            # before the answer: what is written during it may be missing there
            position = parts.catch_up.position
            key = parts.cache.key(query, wanted)
            found = parts.cache.get(key, position) if behind is None else None
            if found is None:
                found = await _answer(sides, query, wanted)
                if behind is None:  # the position is that of words that are out of date
                    parts.cache.put(key, position, found)
        found.query_id = self._new_id()
        found.took = self._clock.monotonic() - begun
        parts.recorder.searched(found.query_id, query.query, found.total, found.took)
        return found

    async def search_many(
        self, queries: Sequence[SearchQuery | str], concurrency: int = 4
    ) -> list[SearchResults]:
        """Return the results of several queries, in order.

        Args:
            queries: Texts or queries; all are checked before the first is asked.
            concurrency: How many are asked at a time, 1 to 1000.

        Raises:
            SemSearchError: As for :meth:`search`; the rest is given up.
        """
        check_int("concurrency", concurrency, 1, 1000)
        if isinstance(queries, str):
            raise ConfigurationError(f"search_many takes a list of queries, not {queries[:60]!r}")
        waiting = enumerate([query_of(each, {}) for each in queries])
        found: dict[int, SearchResults] = {}

        async def ask() -> None:
            for number, query in waiting:
                found[number] = await self.search(query)

        asking = [asyncio.ensure_future(ask()) for _ in range(min(concurrency, len(queries)))]
        try:
            await asyncio.gather(*asking)
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        return [found[number] for number in range(len(found))]

    @at_home
    async def find_similar(
        self, document_id: str, limit: int = 10, *, filters: Tree | None = None
    ) -> list[SearchResult]:
        """Return the documents nearest to one, without itself, by their vectors.

        Raises:
            DocumentNotFound: It is not there.
            InvalidFilter: The filter is wrong.
            ConfigurationError: ``limit`` is not between 1 and 1000.
        """
        check_int("limit", limit, 1, 1000)
        wanted = self._bound(Filter.parse(filters))
        async with self._ready(reading=True) as parts:
            sides = parts.sides
            stored = await self._visible(sides, document_id)
            hits = await sides.store.search(stored.vector, limit + 1, wanted)
            near = [(name, cosine) for name, cosine in hits if name != document_id][:limit]
            scored = [(name, (1 + cosine) / 2) for name, cosine in near]
            found = Found(scored, dict(near), {}, {}, {})
            return await results(sides, found, scored, highlight=False)


async def _answer(sides: Sides, query: SearchQuery, wanted: Filter | None) -> SearchResults:
    found = Found([], {}, {}, {}, {})
    if query.query.strip():
        found = await find(sides, query, wanted)
    limit = query.limit or sides.settings.default_limit
    page = found.hits[query.offset : query.offset + limit]
    hits = await results(sides, found, page, highlight=query.highlight)
    facets = await sides.store.facets(list(query.facets), wanted) if query.facets else {}
    return SearchResults(hits, facets=facets, total=len(found.hits), degraded=found.degraded)


def query_of(query: SearchQuery | str, keywords: Mapping[str, Any]) -> SearchQuery:
    """Return the query of a call: an object, or text and keywords, never both."""
    if unknown := sorted(keywords.keys() - QUERY_NAMES):
        raise TypeError(f"unexpected keyword argument {unknown[0]!r}")
    if isinstance(query, SearchQuery):
        if keywords:
            raise TypeError(f"give a SearchQuery or keywords, not both: {sorted(keywords)}")
        return query
    return SearchQuery(query, **keywords)
