"""The cache of results: an answer is good as long as the index is where it was asked."""

from collections import OrderedDict
from dataclasses import replace

from .._common.clock import Clock
from ..filters import Filter
from ..models import Facet, SearchQuery, SearchResult, SearchResults, plain_copy
from ..ports import Position
from ..settings import CacheSettings


class ResultCache:
    """The last results by query. Keeps copies: what users do to theirs does not come back."""

    def __init__(self, settings: CacheSettings, clock: Clock) -> None:
        """Start empty."""
        self._settings, self._clock = settings, clock
        self._entries: OrderedDict[str, tuple[float, Position, SearchResults]] = OrderedDict()
        self.hits = self.asked = 0

    def key(self, query: SearchQuery, wanted: Filter | None) -> str:
        """Return what tells queries apart, with the filter (the tenant's too) as it is applied."""
        if not self._settings.enabled:
            return ""
        # as repr: 1, 1.0 and True are equal, and JSON has neither NaN nor infinities
        plain = query if query.filters is None else replace(query, filters=None)
        return f"{plain!r} {wanted!r}"

    def get(self, key: str, position: Position) -> SearchResults | None:
        """Return the results for a query at a position of the index, or None."""
        if not self._settings.enabled:
            return None
        self.asked += 1
        entry = self._entries.get(key)
        if entry is None:
            return None
        until, at, found = entry
        if at != position or self._clock.monotonic() >= until:
            del self._entries[key]
            return None
        self.hits += 1
        self._entries.move_to_end(key)
        return _copied(found)

    def put(self, key: str, position: Position, found: SearchResults) -> None:
        """Keep the results of a query that was asked at a position of the index."""
        # an answer of half the sides must not outlive the fault
        if self._settings.enabled and found.degraded is None:
            until = self._clock.monotonic() + self._settings.ttl
            self._entries[key] = (until, position, _copied(found))
            self._entries.move_to_end(key)
            while len(self._entries) > self._settings.max_size:
                self._entries.popitem(last=False)

    def hit_rate(self) -> float:
        """Return the share of queries that were answered from here."""
        return self.hits / self.asked if self.asked else 0.0


def _copied(found: SearchResults) -> SearchResults:
    return SearchResults(
        [_copied_hit(hit) for hit in found],
        facets={
            name: Facet(facet.name, list(facet.values)) for name, facet in found.facets.items()
        },
        total=found.total,
        degraded=found.degraded,
    )


def _copied_hit(hit: SearchResult) -> SearchResult:
    return SearchResult(
        hit.id,
        hit.score,
        hit.content,
        plain_copy(hit.metadata),
        None if hit.highlights is None else list(hit.highlights),
        dict(hit.scores),
    )
