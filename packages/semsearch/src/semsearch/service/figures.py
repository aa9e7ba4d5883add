"""Figures: counters, what was searched and clicked, the quality against judgements."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Unpack

from .._common.home import at_home
from ..evaluation import Judgements, check_judged, measure
from ..models import QueryKeywords, check_int
from ..reports import Analytics, Evaluation, SearchStats, Tuning
from ..tuning import tune
from .queries import Queries, query_of


class Figures(Queries):
    """The part of the service that measures."""

    @at_home
    async def get_stats(self) -> SearchStats:
        """Return the counters and the number of documents."""
        async with self._ready(reading=True) as parts:
            documents = await parts.sides.store.count(self._bound(None))
        vectors, recorder = parts.sides.vectors, parts.recorder
        return SearchStats(
            documents=documents,
            searches=recorder.searches,
            avg_latency=recorder.average(),
            cache_hit_rate=parts.cache.hit_rate(),
            p95_latency=recorder.p95(),
            embedding_cache_hit_rate=vectors.found / vectors.asked if vectors.asked else 0.0,
        )

    @at_home
    async def analytics(self, limit: int = 10) -> Analytics:
        """Return what was searched most, found nothing, was slow and was clicked.

        Raises:
            ConfigurationError: ``limit`` is not between 1 and 10,000.
        """
        check_int("limit", limit, 1, 10_000)
        return self._parts.recorder.report(limit)

    @at_home
    async def record_click(self, query_id: str, doc_id: str) -> bool:
        """Note that a hit was opened; return whether it was one of a query that is still known."""
        return self._parts.recorder.clicked(query_id, doc_id)

    async def evaluate(
        self,
        queries: Mapping[str, str],
        qrels: Judgements,
        k: int = 10,
        **kw: Unpack[QueryKeywords],
    ) -> Evaluation:
        """Measure the quality of the results against judgements.

        Args:
            queries: Texts by name.
            qrels: Relevance (over 0) by query and document.
            k: How many ranks count, 1 to 1000.
            kw: The fields of :class:`SearchQuery`, for example ``hybrid=False``.

        Raises:
            ConfigurationError: ``k`` or a field is out of range, or queries or judgements are none.
        """
        check_int("k", k, 1, 1000)
        check_judged(queries, qrels)
        runs = {}
        for name, text in queries.items():
            query = replace(query_of(text, kw), limit=k, highlight=False)
            runs[name] = [hit.id for hit in await self.search(query)]
        return measure(runs, qrels, k)

    @at_home
    async def tune(self, queries: Mapping[str, str], qrels: Judgements, k: int = 10) -> Tuning:
        """Choose fusion, alpha, expansion and threshold by judgements.

        Nothing is changed: give what comes to ``search``, or write it into the settings. With few
        queries the choice is noise; ``expected_ndcg`` beside ``default_ndcg`` tells whether it is
        worth anything.

        Args:
            queries: Texts by name; fifty are few.
            qrels: Relevance (over 0) by query and document.
            k: How many ranks count, 1 to 1000.

        Raises:
            ConfigurationError: ``k`` is out of range, or queries or judgements are none.
        """
        check_int("k", k, 1, 1000)
        check_judged(queries, qrels)
        async with self._ready() as parts:
            return await tune(parts.sides, queries, qrels, k, self._bound(None))
