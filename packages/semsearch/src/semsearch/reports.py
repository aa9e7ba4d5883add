"""What the service tells about itself: figures, reports, evaluations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .models import Fusion


@dataclass(frozen=True, slots=True)
class SearchStats:
    """Counters since construction.

    Attributes:
        documents: In the index now.
        searches: Queries answered.
        avg_latency: Seconds, over the last 1,000 queries.
        cache_hit_rate: Of the cache of results.
        p95_latency: Seconds, over the last 1,000 queries.
        embedding_cache_hit_rate: Texts that were not embedded again.
    """

    documents: int
    searches: int
    avg_latency: float
    cache_hit_rate: float
    p95_latency: float = 0.0
    embedding_cache_hit_rate: float = 0.0


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What became of documents that were indexed.

    Attributes:
        indexed: Ids whose text or vector was new.
        updated: Ids of which only the metadata changed.
        unchanged: Ids that were there as they are.
    """

    indexed: Sequence[str] = ()
    updated: Sequence[str] = ()
    unchanged: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Analytics:
    """What was searched, over the last 10,000 queries kept in this process.

    Attributes:
        top: The most frequent queries and their counts.
        zero_results: Queries without a hit and their counts.
        slow: The slowest queries and their seconds.
        clicks: The most clicked documents and their counts.
    """

    top: Sequence[tuple[str, int]] = ()
    zero_results: Sequence[tuple[str, int]] = ()
    slow: Sequence[tuple[str, float]] = ()
    clicks: Sequence[tuple[str, int]] = ()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Quality over queries with judgements, each 0 to 1.

    Attributes:
        ndcg: Normalised discounted cumulative gain at k (K. Järvelin, J. Kekäläinen, TOIS 20(4),
            2002), gain = relevance, discount = log2(rank + 1).
        recall: Share of the relevant documents among the first k.
        mrr: Mean reciprocal rank of the first relevant document among the first k.
        queries: How many queries had judgements.
    """

    ndcg: float
    recall: float
    mrr: float
    queries: int


@dataclass(frozen=True, slots=True)
class Tuning:
    """What serves queries with judgements best.

    Attributes:
        fusion: For ``SearchQuery.fusion``.
        alpha: For ``SearchQuery.alpha``.
        query_expansion: For ``SearchQuery.query_expansion``.
        threshold: The highest that lets 95 % of the relevant documents through, as far as vectors
            found them; for ``SearchQuery.threshold``.
        ndcg: With this choice, on the queries that it was chosen by: a little too good.
        default_ndcg: With the defaults, on the same queries.
        expected_ndcg: What to expect of other queries: each half of the queries judged a choice
            made by the other half.
        table: nDCG by choice.
        queries: How many queries had judgements.
    """

    fusion: Fusion
    alpha: float
    query_expansion: bool
    threshold: float
    ndcg: float
    default_ndcg: float
    expected_ndcg: float
    table: Mapping[str, float]
    queries: int


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What the keyword side had wrong, and has right now.

    Attributes:
        missing: Ids that it did not have.
        stale: Ids that it had in another version.
        superfluous: Ids that the store does not have.
    """

    missing: Sequence[str] = ()
    stale: Sequence[str] = ()
    superfluous: Sequence[str] = ()

    @property
    def differences(self) -> int:
        """How many documents were not the same on both sides."""
        return len(self.missing) + len(self.stale) + len(self.superfluous)
