"""What users of the search handle: documents, queries, results, figures."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypedDict

from .errors import ConfigurationError
from .filters import Filter

Fusion = Literal["minmax", "rrf"]


@dataclass(frozen=True, slots=True)
class SearchDocument:
    """A document to find.

    Attributes:
        id: 1 to 512 characters without control characters.
        content: Text, at most ``indexing.max_content`` characters.
        metadata: JSON values by name; what filters and facets look at. ``language`` (``"en"``,
            ``"de"``, …) chooses the stemmer.
        embeddings: The document's vector, stored as given and never computed; None lets the
            embedder make it.
    """

    id: str
    content: str
    metadata: Mapping[str, Any] | None = None
    embeddings: Sequence[float] | None = None


class QueryKeywords(TypedDict, total=False):
    """The fields of :class:`SearchQuery` behind ``query`` as keywords."""

    filters: "Mapping[str, Any] | Filter | None"
    limit: int | None
    threshold: float | None
    hybrid: bool | None
    rerank: bool | None
    query_expansion: bool | None
    offset: int
    facets: Sequence[str]
    highlight: bool
    fusion: Fusion
    alpha: float | None
    diversity: float


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """A question. None means: as the settings say.

    Attributes:
        query: Text; empty finds nothing.
        filters: See :class:`Filter`.
        limit: 1 to 1000; 10.
        threshold: 0 to 1, compared with ``(1 + cosine) / 2`` of hits that matched no keyword; 0.5,
            which is nearly no filter: unrelated texts have a cosine near 0.
        hybrid: Vectors and keywords (True), or vectors alone; True.
        rerank: Order the best hits anew with the service's reranker; False.
        query_expansion: Add terms of the best hits to the query; False.
        offset: Skip so many hits, 0 to 10,000.
        facets: Names of metadata whose values are counted over all documents that pass the filters.
        highlight: Whether passages are returned.
        fusion: ``minmax`` (weighted by ``alpha``) or ``rrf`` (by ranks).
        alpha: The share of the vectors in ``minmax``, 0 to 1; as the embedder says, 0.5 for a good
            model, less for one that knows little more than words.
        diversity: How much a hit loses for being like one above it, 0 (nothing) to 1: hits are
            chosen one after the other, each by ``(1 - diversity) * score - diversity * cosine``.
    """

    query: str
    filters: "Mapping[str, Any] | Filter | None" = None
    limit: int | None = None
    threshold: float | None = None
    hybrid: bool | None = None
    rerank: bool | None = None
    query_expansion: bool | None = None
    offset: int = 0
    facets: Sequence[str] = ()
    highlight: bool = True
    fusion: Fusion = "minmax"
    alpha: float | None = None
    diversity: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        if not isinstance(self.query, str):
            raise ConfigurationError(f"query must be a str, not {type(self.query).__name__!r}")
        if len(self.query) > 10_000:
            raise ConfigurationError(f"query has {len(self.query)} characters, over 10,000")
        if self.limit is not None:
            check_int("limit", self.limit, 1, 1000)
        check_int("offset", self.offset, 0, 10_000)
        _check_share("threshold", self.threshold)
        _check_share("alpha", self.alpha)
        _check_share("diversity", self.diversity)
        for name in ("hybrid", "rerank", "query_expansion"):
            _check_switch(name, getattr(self, name), _SWITCH)
        _check_switch("highlight", self.highlight, (True, False))
        if self.fusion not in ("minmax", "rrf"):
            raise ConfigurationError(f"fusion must be 'minmax' or 'rrf', not {self.fusion!r}")
        named = isinstance(self.facets, list | tuple)
        if not named or any(not isinstance(name, str) for name in self.facets):
            raise ConfigurationError(f"facets must be a list of names, not {self.facets!r}")


QUERY_NAMES = frozenset(each.name for each in fields(SearchQuery)) - {"query"}


def check_int(name: str, value: Any, low: int, high: int) -> None:
    """Refuse what is not an int from ``low`` to ``high``.

    Raises:
        ConfigurationError: It is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigurationError(f"{name} must be an int from {low} to {high}, not {value!r}")


_SWITCH = (True, False, None)


def _check_switch(name: str, value: Any, known: tuple[Any, ...]) -> None:
    # by identity: "no" would count as true, and 1 equals it
    if not any(value is each for each in known):
        raise ConfigurationError(f"{name} must be one of {known}, not {value!r}")


def _check_share(name: str, value: Any) -> None:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (good and math.isfinite(value) and 0 <= value <= 1):
        raise ConfigurationError(f"{name} must be a number from 0 to 1, not {value!r}")


def plain_copy(value: Any) -> Any:
    """Return a copy of JSON values, so that nobody changes what another one holds."""
    if isinstance(value, dict):
        return {name: plain_copy(each) for name, each in value.items()}
    return [plain_copy(each) for each in value] if isinstance(value, list) else value


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A hit.

    Attributes:
        id: The document's.
        score: 0 to 1; orders the hits of this query and means nothing beside another's.
        content: The document's text.
        metadata: The document's.
        highlights: Passages as HTML, everything escaped, matches in ``<mark>``.
        scores: By side: ``dense`` = (1 + cosine) / 2, ``bm25``, ``rerank``; what a side did not
            find is absent.
    """

    id: str
    score: float
    content: str
    metadata: Mapping[str, Any]
    highlights: list[str] | None = None
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Facet:
    """The values of one name in the metadata, with counts, most frequent first."""

    name: str
    values: Sequence[tuple[Any, int]]


class SearchResults(list[SearchResult]):
    """The hits of a query, best first.

    Attributes:
        facets: By name, as asked for.
        total: Hits before paging, as far as the sides were asked: 200 at least, and the page behind
            this one.
        took: Seconds.
        degraded: Why one side is missing; None if all took part.
        query_id: For ``record_click``.
    """

    facets: Mapping[str, Facet]
    total: int
    took: float
    degraded: str | None
    query_id: str

    def __init__(
        self,
        hits: Sequence[SearchResult] = (),
        *,
        facets: Mapping[str, Facet] | None = None,
        total: int = 0,
        took: float = 0.0,
        degraded: str | None = None,
        query_id: str = "",
    ) -> None:
        """Hold ``hits``."""
        super().__init__(hits)
        self.facets, self.total, self.took = facets or {}, total, took
        self.degraded, self.query_id = degraded, query_id
