"""Figures about what is searched, kept in this process and bounded."""

from collections import Counter, OrderedDict, deque

from .reports import Analytics

_QUERIES = 10_000
_LATENCIES = 1000


class Recorder:
    """Counts queries, latencies and clicks. Not safe for threads: used on the home loop."""

    def __init__(self) -> None:
        """Start empty."""
        self.searches = 0
        self.latencies: deque[float] = deque(maxlen=_LATENCIES)
        self._queries: OrderedDict[str, tuple[str, int, float]] = OrderedDict()
        self._clicks: Counter[str] = Counter()

    def searched(self, query_id: str, text: str, hits: int, seconds: float) -> None:
        """Note an answered query."""
        self.searches += 1
        self.latencies.append(seconds)
        self._queries[query_id] = (text[:200], hits, seconds)
        while len(self._queries) > _QUERIES:
            self._queries.popitem(last=False)

    def clicked(self, query_id: str, document_id: str) -> bool:
        """Note a click; return whether the query is known."""
        if query_id not in self._queries:
            return False
        self._clicks[document_id] += 1
        if len(self._clicks) > 2 * _QUERIES:
            self._clicks = Counter(dict(self._clicks.most_common(_QUERIES)))
        return True

    def average(self) -> float:
        """Return the mean latency in seconds; 0 before the first query."""
        return sum(self.latencies) / len(self.latencies) if self.latencies else 0.0

    def p95(self) -> float:
        """Return the 95th percentile of the latency in seconds."""
        ranked = sorted(self.latencies)
        return ranked[min(len(ranked) - 1, int(0.95 * len(ranked)))] if ranked else 0.0

    def report(self, limit: int) -> Analytics:
        """Return what was searched most, found nothing, was slow, was clicked."""
        asked = Counter(text for text, _, _ in self._queries.values())
        empty = Counter(text for text, hits, _ in self._queries.values() if hits == 0)
        slow = sorted(
            ((text, took) for text, _, took in self._queries.values()), key=lambda p: -p[1]
        )
        return Analytics(
            asked.most_common(limit),
            empty.most_common(limit),
            slow[:limit],
            self._clicks.most_common(limit),
        )
