"""Asking both sides, and asking again for more or with an expanded query."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from .errors import BackendError, EmbeddingError
from .filters import Filter
from .fusion import WINDOW, fuse
from .indexing import unit
from .models import SearchQuery
from .ports import (
    Feedback,
    KeywordIndex,
    Nearest,
    QueryExpander,
    Reranker,
    Scored,
    Span,
    Vector,
    VectorStore,
)
from .settings import SearchSettings
from .vectors import Vectors

T = TypeVar("T")
_FEEDBACK = 8
_NOTHING: Final[Sequence[Scored]] = ()


@dataclass(frozen=True, slots=True)
class Sides:
    """What takes part in a search.

    Attributes:
        behind: Why the keyword side is not asked: it does not know what the store knows.
    """

    store: VectorStore
    keywords: KeywordIndex
    vectors: Vectors
    expander: QueryExpander
    reranker: Reranker | None
    settings: SearchSettings
    behind: BackendError | None = None


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


async def gather(sides: Sides, query: SearchQuery, wanted: Filter | None) -> Asked:
    """Return what each side has to say, before they are fused.

    Args:
        sides: Who is asked.
        query: What for.
        wanted: Which documents count.

    Raises:
        BackendError: Both sides failed.
        EmbeddingError: The embedder failed and keywords may not stand in.
    """
    settings = sides.settings
    hybrid = settings.enable_hybrid if query.hybrid is None else query.hybrid
    terms: Mapping[str, float] = dict(sides.keywords.terms(query.query))
    vector, degraded = await _vector(sides, query.query, hybrid=hybrid)
    near, keyword, failed = await _both(sides, vector, terms, WINDOW, wanted, hybrid=hybrid)
    degraded, searched = degraded or failed, terms
    expand = query.query_expansion
    expand = settings.enable_query_expansion if expand is None else expand
    if expand and vector is not None and sides.behind is None:
        first = fuse(near.hits, keyword, query.fusion, alpha_of(sides, query))
        vector, searched, failed = await _expanded(sides, query.query, terms, vector, first)
        degraded = degraded or failed
        if failed is None:
            near, keyword, failed = await _both(
                sides, vector, searched, WINDOW, wanted, hybrid=hybrid
            )
            degraded = degraded or failed
    return Asked(near.hits, keyword, terms, hybrid, degraded, near.passages, vector, searched)


async def further(sides: Sides, asked: Asked, window: int, wanted: Filter | None) -> Asked:
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
    near, matched = Nearest(()), _NOTHING
    far: BackendError | None = None
    missed = sides.behind if hybrid else None
    words: asyncio.Task[tuple[Sequence[Scored], BackendError | None]] | None = None
    try:
        if hybrid and missed is None:
            words = asyncio.create_task(
                _said(sides.keywords.search(terms, window, wanted), _NOTHING)
            )
        if vector is not None:  # not in a task: it costs more than what is found in memory at once
            near, far = await _said(sides.store.nearest(vector, window, wanted), near)
        if words is not None:
            matched, missed = await words
    except BaseException:
        if words is not None:
            words.cancel()
            await asyncio.wait([words])
            if not words.cancelled():
                words.exception()  # is looked at: nobody else will
        raise
    fault = far or missed
    if fault is not None and (not hybrid or vector is None or (far and missed)):
        raise fault
    return near, matched, None if fault is None else f"{fault}"


async def _said(asked: Awaitable[T], otherwise: T) -> tuple[T, BackendError | None]:
    try:
        return await asked, None
    except BackendError as exc:
        return otherwise, exc


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
        vectors = await sides.store.vectors(ids) if ids else {}
        known = [document_id for document_id in ids if document_id in vectors]
        rows = [vectors[document_id] for document_id in known]
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


def alpha_of(sides: Sides, query: SearchQuery) -> float:
    """Return the share of vectors in the fusion."""
    return sides.vectors.embedder.alpha if query.alpha is None else query.alpha
