"""Ranking for a query: fusion, threshold, pages, reranking, diversity."""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise, takewhile

from .asking import Asked, Sides, alpha_of, further, gather
from .diversity import DIVERSE_AMONG, diversified
from .errors import BackendError, ConfigurationError, NotConfiguredError
from .filters import Filter
from .fusion import WINDOW, fuse, ordered
from .models import SearchQuery
from .ports import Reranker, Scored, Span
from .settings import SearchSettings

_WINDOWS = (WINDOW, 2000, 20_000)
"""Hits that each side is asked for. The next one only adds hits below those of the one before: were
they fused anew, pages would have hits twice and leave others out. The last is over every page."""
_PAGES = 2
"""The page that is asked for, and the one behind it, so that ``total`` knows of one."""
_RERANKED = 50
_GIVE = "give one with SearchService(reranker=…), or leave it out"
_MOST_DIVERSE = 1000


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


async def find(sides: Sides, query: SearchQuery, wanted: Filter | None) -> Found:
    """Return the ranked hits of ``query`` among the documents that pass ``wanted``.

    Raises:
        BackendError: Both sides failed.
        EmbeddingError: The embedder failed and keywords may not stand in.
        ConfigurationError: The hits are to be ordered anew, and there is no reranker.
    """
    settings = sides.settings
    rerank = _reranks(sides, query)
    limit = query.limit or settings.default_limit
    asked = await gather(sides, query, wanted)
    found = _fused(sides, query, asked)
    needed = query.offset + max(_PAGES * limit, limit + DIVERSE_AMONG)
    for window, wider in pairwise(_WINDOWS):
        if len(found.hits) >= needed or not _has_more(query, asked, settings, window):
            break
        asked = await further(sides, asked, wider, wanted)
        found = _continued(found, _fused(sides, query, asked))
    if rerank is not None:
        await _rerank(sides, rerank, query.query, found)
    if query.diversity:
        await _spread(sides, query.diversity, found, query.offset + limit)
    return found


def _has_more(query: SearchQuery, asked: Asked, settings: SearchSettings, window: int) -> bool:
    """Whether a wider window may bring a hit that is not dropped."""
    if len(asked.keyword) >= window:
        return True
    return len(asked.dense) >= window and share(asked.dense[-1][1]) >= _threshold(query, settings)


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


def _fused(sides: Sides, query: SearchQuery, asked: Asked) -> Found:
    cosines, matched = dict(asked.dense), dict(asked.keyword)
    threshold = _threshold(query, sides.settings)
    if asked.hybrid:
        hits = fuse(asked.dense, asked.keyword, query.fusion, alpha_of(sides, query))
    else:
        hits = [(document_id, share(cosine)) for document_id, cosine in asked.dense]
    # a hit that matched keywords is never dropped for its vector
    below = takewhile(lambda hit: share(hit[1]) < threshold, reversed(asked.dense))
    far = {name for name, _ in below} - matched.keys()
    kept = [hit for hit in hits if hit[0] not in far] if far else hits
    return Found(kept, cosines, matched, {}, asked.terms, asked.degraded, asked.passages)


def _threshold(query: SearchQuery, settings: SearchSettings) -> float:
    return settings.default_threshold if query.threshold is None else query.threshold


def share(cosine: float) -> float:
    """Return a cosine as 0 to 1."""
    return min(1.0, max(0.0, (1 + cosine) / 2))


def _reranks(sides: Sides, query: SearchQuery) -> Reranker | None:
    """Return what orders the hits anew, None for nothing.

    Raises:
        NotConfiguredError: The query asks for it, and there is none.
        ConfigurationError: The settings do.
    """
    if not (sides.settings.enable_reranking if query.rerank is None else query.rerank):
        return None
    if sides.reranker is None and query.rerank is None:
        raise ConfigurationError("search.enable_reranking needs a reranker: " + _GIVE)
    if sides.reranker is None:
        raise NotConfiguredError("rerank is asked for, and this search has no reranker: " + _GIVE)
    return sides.reranker


async def _rerank(sides: Sides, reranker: Reranker, text: str, found: Found) -> None:
    head, tail = found.hits[:_RERANKED], found.hits[_RERANKED:]
    documents = await sides.store.get([document_id for document_id, _ in head])
    names = [document_id for document_id, _ in head if document_id in documents]
    if not names:
        return
    try:
        scores = await reranker.rerank(text, [documents[name].content for name in names])
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
    vectors = await sides.store.vectors([name for name, _ in head])
    found.hits = await asyncio.to_thread(diversified, head, vectors, amount)
    found.hits += tail
