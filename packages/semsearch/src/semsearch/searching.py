"""Answering a query: both sides, fusion, threshold, reranking, facets, highlights."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, takewhile
from typing import Any

from .diversity import DIVERSE_AMONG, diversified
from .errors import BackendError, ConfigurationError, EmbeddingError
from .filters import Filter
from .fusion import fuse, ordered
from .indexing import unit
from .models import SearchQuery, SearchResult, plain_copy
from .ports import (
    Feedback,
    KeywordIndex,
    Nearest,
    QueryExpander,
    Reranker,
    Scored,
    Span,
    Stored,
    Vector,
    VectorStore,
)
from .settings import SearchSettings
from .text.highlights import best_passages
from .text.tokens import Spotter, language_of
from .vectors import Vectors

_FEEDBACK = 8
_WINDOWS = (200, 2000, 20_000)
"""Hits that each side is asked for. The next one only adds hits below those of the one before: were
they fused anew, pages would have hits twice and leave others out. The last is over every page."""
_PAGES = 2
"""The page that is asked for, and the one behind it, so that ``total`` knows of one."""
_RERANKED = 50
_MOST_DIVERSE = 1000
_LONG_TEXT = 50_000


@dataclass(frozen=True, slots=True)
class Sides:
    """What takes part in a search."""

    store: VectorStore
    keywords: KeywordIndex
    vectors: Vectors
    expander: QueryExpander
    reranker: Reranker | None
    settings: SearchSettings


@dataclass(slots=True)
class Found:
    """The hits of a query before paging.

    Attributes:
        hits: Ids and scores from 0 to 1, best first.
        dense: Cosines by id.
        keyword: BM25 by id.
        rerank: Scores of the reranker by id.
        terms: The stems that matched, for highlights.
        degraded: Why a side is missing, or None.
        passages: The best parts of long documents, by id.
    """

    hits: list[Scored]
    dense: Mapping[str, float]
    keyword: Mapping[str, float]
    rerank: Mapping[str, float]
    terms: Mapping[str, float]
    degraded: str | None = None
    passages: Mapping[str, Span] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the sides said.

    Attributes:
        dense: Ids and cosines, best first.
        keyword: Ids and BM25, best first.
        terms: The stems of the query.
        hybrid: Whether keywords take part.
        degraded: Why a side is missing, or None.
        passages: The best parts of long documents, by id.
        vector: What the vector side was asked; None if it was not.
        searched: The stems that the keyword side was asked for: of the query, and of its expansion.
    """

    dense: Sequence[Scored]
    keyword: Sequence[Scored]
    terms: Mapping[str, float]
    hybrid: bool
    degraded: str | None
    passages: Mapping[str, Span]
    vector: "Vector | None"
    searched: Mapping[str, float]


async def find(sides: Sides, query: SearchQuery, wanted: Filter | None) -> Found:
    """Return the ranked hits of ``query`` among the documents that pass ``wanted``.

    Raises:
        BackendError: Both sides failed.
        EmbeddingError: The embedder failed and keywords may not stand in.
    """
    settings = sides.settings
    limit = query.limit or settings.default_limit
    asked = await gather(sides, query, wanted)
    found = _fused(sides, query, asked)
    needed = query.offset + max(_PAGES * limit, limit + DIVERSE_AMONG)
    for window, wider in pairwise(_WINDOWS):
        if len(found.hits) >= needed or not _has_more(query, asked, settings, window):
            break
        asked = await _further(sides, asked, wider, wanted)
        found = _continued(found, _fused(sides, query, asked))
    rerank = settings.enable_reranking if query.rerank is None else query.rerank
    if rerank:
        await _rerank(sides, query.query, found)
    if query.diversity:
        await _spread(sides, query.diversity, found, query.offset + limit)
    return found


async def gather(sides: Sides, query: SearchQuery, wanted: Filter | None) -> Asked:
    """Return what each side has to say, before they are fused; raises as :func:`find`."""
    settings = sides.settings
    hybrid = settings.enable_hybrid if query.hybrid is None else query.hybrid
    window = _WINDOWS[0]
    terms: Mapping[str, float] = dict(sides.keywords.terms(query.query))
    vector, degraded = await _vector(sides, query.query, hybrid=hybrid)
    near, keyword, failed = await _both(sides, vector, terms, window, wanted, hybrid=hybrid)
    degraded, searched = degraded or failed, terms
    expand = query.query_expansion
    if (settings.enable_query_expansion if expand is None else expand) and vector is not None:
        first = fuse(near.hits, keyword, query.fusion, _alpha(sides, query))
        vector, searched, failed = await _expanded(sides, query.query, terms, vector, first)
        degraded = degraded or failed
        if failed is None:
            near, keyword, failed = await _both(
                sides, vector, searched, window, wanted, hybrid=hybrid
            )
            degraded = degraded or failed
    return Asked(near.hits, keyword, terms, hybrid, degraded, near.passages, vector, searched)


def _has_more(query: SearchQuery, asked: Asked, settings: SearchSettings, window: int) -> bool:
    """Whether a wider window may bring a hit that is not dropped."""
    if len(asked.keyword) >= window:
        return True
    return len(asked.dense) >= window and share(asked.dense[-1][1]) >= _threshold(query, settings)


async def _further(sides: Sides, asked: Asked, window: int, wanted: Filter | None) -> Asked:
    """Return what the sides say when they are asked the same for more hits."""
    near, keyword, failed = await _both(
        sides, asked.vector, asked.searched, window, wanted, hybrid=asked.hybrid
    )
    return replace(
        asked,
        dense=near.hits,
        keyword=keyword,
        degraded=asked.degraded or failed,
        passages=near.passages,
    )


def _continued(found: Found, wider: Found) -> Found:
    """Return ``found`` with the other hits of a wider window below its own."""
    there = {name for name, _ in found.hits}
    last = found.hits[-1][1] if found.hits else 1.0
    below = [(name, min(score, last)) for name, score in wider.hits if name not in there]
    return Found(
        found.hits + below,
        {**wider.dense, **found.dense},
        {**wider.keyword, **found.keyword},
        {},
        found.terms,
        wider.degraded,
        {**wider.passages, **found.passages},
    )


async def _vector(sides: Sides, text: str, *, hybrid: bool) -> "tuple[Vector | None, str | None]":
    try:
        return await sides.vectors.of_query(text), None
    except EmbeddingError as exc:
        if not hybrid:
            raise
        return None, f"vectors: {exc}"


async def _both(
    sides: Sides,
    vector: "Vector | None",
    terms: Mapping[str, float],
    window: int,
    wanted: Filter | None,
    *,
    hybrid: bool,
) -> tuple[Nearest, Sequence[Scored], str | None]:
    dense: Any = Nearest(()) if vector is None else sides.store.nearest(vector, window, wanted)
    keyword: Any = sides.keywords.search(terms, window, wanted) if hybrid else ()
    results = await asyncio.gather(_said(dense), _said(keyword), return_exceptions=True)
    faults = [each for each in results if isinstance(each, BaseException)]
    if other := [each for each in faults if not isinstance(each, BackendError)]:
        raise other[0]
    healthy = [each for each in results if not isinstance(each, BaseException)]
    if faults and (not hybrid or len(faults) == len(results) or vector is None):
        raise faults[0]
    near: Any = Nearest(()) if isinstance(results[0], BaseException) else results[0]
    matched: Any = () if isinstance(results[1], BaseException) else results[1]
    return near, matched, f"{faults[0]}" if faults and healthy else None


async def _said(source: Any) -> Any:
    return source if isinstance(source, Nearest | tuple) else await source


async def _expanded(
    sides: Sides,
    text: str,
    terms: Mapping[str, float],
    vector: Vector,
    first: Sequence[Scored],
) -> tuple[Vector, Mapping[str, float], str | None]:
    """Return the query to search with instead, and why it is still the first one, or None."""
    import numpy as np  # late: it would be half of the package's start

    dimension = sides.vectors.embedder.dimension
    try:
        ids = [document_id for document_id, _ in first[:_FEEDBACK]]
        documents = await sides.store.get(ids) if ids else {}
        known = [document_id for document_id in ids if document_id in documents]
        rows = [documents[document_id].vector for document_id in known]
        feedback = Feedback(
            known,
            np.stack(rows) if rows else np.zeros((0, dimension), np.float32),
            sides.keywords.salient,
            text,
            sides.keywords.terms,
            sides.vectors.of_query,
        )
        made = await sides.expander.expand(terms, vector, feedback)
        if made.vector is not None:
            vector = unit(made.vector, dimension, "the expander's vector")
    except (BackendError, EmbeddingError) as exc:
        return vector, terms, f"query expansion: {exc}"
    return vector, made.terms, None


def _fused(sides: Sides, query: SearchQuery, asked: Asked) -> Found:
    cosines, matched = dict(asked.dense), dict(asked.keyword)
    threshold = _threshold(query, sides.settings)
    if asked.hybrid:
        hits = fuse(asked.dense, asked.keyword, query.fusion, _alpha(sides, query))
    else:
        hits = [(document_id, share(cosine)) for document_id, cosine in asked.dense]
    # a hit that matched keywords is never dropped for its vector
    below = takewhile(lambda hit: share(hit[1]) < threshold, reversed(asked.dense))
    far = {name for name, _ in below} - matched.keys()
    kept = [hit for hit in hits if hit[0] not in far] if far else hits
    return Found(kept, cosines, matched, {}, asked.terms, asked.degraded, asked.passages)


def _alpha(sides: Sides, query: SearchQuery) -> float:
    return sides.vectors.embedder.alpha if query.alpha is None else query.alpha


def _threshold(query: SearchQuery, settings: SearchSettings) -> float:
    return settings.default_threshold if query.threshold is None else query.threshold


def share(cosine: float) -> float:
    """Return a cosine as 0 to 1."""
    return min(1.0, max(0.0, (1 + cosine) / 2))


async def _rerank(sides: Sides, text: str, found: Found) -> None:
    if sides.reranker is None:
        raise ConfigurationError("rerank needs a reranker: SearchService(reranker=…)")
    head, tail = found.hits[:_RERANKED], found.hits[_RERANKED:]
    documents = await sides.store.get([document_id for document_id, _ in head])
    names = [document_id for document_id, _ in head if document_id in documents]
    if not names:
        return
    try:
        scores = await sides.reranker.rerank(text, [documents[name].content for name in names])
        values = [float(score) for score in scores]
        if len(values) != len(names) or not all(map(math.isfinite, values)):
            raise BackendError(  # noqa: TRY301  answered below like the reranker's own
                f"the reranker must give {len(names)} finite scores, not {str(values)[:60]}"
            )
    except BackendError as exc:
        found.degraded = found.degraded or f"reranking: {exc}"
        return
    found.rerank = dict(zip(names, values, strict=True))
    best = ordered(found.rerank)
    # places are taken from the reranker, scores stay those of the fusion, in falling order
    places = sorted((score for _, score in head[: len(best)]), reverse=True)
    found.hits = [(name, place) for (name, _), place in zip(best, places, strict=True)] + tail


async def _spread(sides: Sides, amount: float, found: Found, shown: int) -> None:
    """Order the best hits anew, so that they differ."""
    window = min(_MOST_DIVERSE, shown + DIVERSE_AMONG)
    head, tail = found.hits[:window], found.hits[window:]
    documents = await sides.store.get([name for name, _ in head])
    vectors = {name: each.vector for name, each in documents.items()}
    found.hits = await asyncio.to_thread(diversified, head, vectors, amount)
    found.hits += tail


async def results(
    sides: Sides, found: Found, page: Sequence[Scored], *, highlight: bool
) -> list[SearchResult]:
    """Return the hits of a page as users see them; documents that are gone by now are left out."""
    documents = await sides.store.get([name for name, _ in page])
    there = [(documents[name], score) for name, score in page if name in documents]

    def made() -> list[SearchResult]:
        spotters = _Spotters(found.terms, sides.settings.language) if highlight else None
        return [_result(stored, score, found, spotters) for stored, score in there]

    long = highlight and sum(len(stored.content) for stored, _ in there) > _LONG_TEXT
    return await asyncio.to_thread(made) if long else made()


class _Spotters:
    """Finders of a query's words, one for each language of its hits."""

    def __init__(self, terms: Mapping[str, float], default: str) -> None:
        self._terms, self._default = set(terms), default
        self._made: dict[str, Spotter] = {}

    def of(self, stored: Stored) -> Spotter:
        language = language_of(stored.metadata, self._default)
        if language not in self._made:
            self._made[language] = Spotter(self._terms, language)
        return self._made[language]


def _result(stored: Stored, score: float, found: Found, spotters: _Spotters | None) -> SearchResult:
    scores: dict[str, float] = {}
    if stored.id in found.dense:
        scores["dense"] = share(found.dense[stored.id])
    if stored.id in found.keyword:
        scores["bm25"] = found.keyword[stored.id]
    if stored.id in found.rerank:
        scores["rerank"] = found.rerank[stored.id]
    passages = None
    if spotters is not None:
        passages = best_passages(stored.content, spotters.of(stored), found.passages.get(stored.id))
    return SearchResult(
        stored.id,
        min(1.0, max(0.0, score)),
        stored.content,
        plain_copy(dict(stored.metadata)),
        passages,
        scores,
    )
