"""Hits as users see them: documents, scores of each side, highlights."""

from collections.abc import Mapping, Sequence

from .asking import Sides
from .models import SearchResult, plain_copy
from .ports import Scored, Stored
from .searching import Found, share
from .text.apart import apart
from .text.highlights import best_passages
from .text.spotting import Spotter
from .text.tokens import language_of


async def results(
    sides: Sides, found: Found, page: Sequence[Scored], *, highlight: bool
) -> list[SearchResult]:
    """Return the hits of a page as users see them; documents that are gone by now are left out."""
    documents = await sides.store.get([name for name, _ in page])
    there = [(documents[name], score) for name, score in page if name in documents]

    def made() -> list[SearchResult]:
        spotters = _Spotters(found.terms, sides.settings.language) if highlight else None
        return [_result(stored, score, found, spotters) for stored, score in there]

    return await apart(made, sum(len(each.content) for each, _ in there) if highlight else 0)


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
