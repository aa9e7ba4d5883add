"""Measures of ranked results against judgements."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import ConfigurationError
from .reports import Evaluation

Judgements = Mapping[str, Mapping[str, float]]


def check_judged(queries: Any, qrels: Any) -> None:
    """Refuse what are no queries and judgements.

    Raises:
        ConfigurationError: A part is of another kind.
    """
    texts = queries.values() if isinstance(queries, Mapping) else [None]
    if wrong := [text for text in texts if not isinstance(text, str)]:
        shown = queries if wrong == [None] else wrong[0]
        raise ConfigurationError(f"queries must be texts by name, not {repr(shown)[:60]}")
    judged = qrels.values() if isinstance(qrels, Mapping) else [qrels]
    for each in judged:
        good = isinstance(each, Mapping) and isinstance(qrels, Mapping)
        if not good or not all(isinstance(value, int | float) for value in each.values()):
            raise ConfigurationError(
                "qrels must be numbers by document by query, like {'q1': {'doc': 1}}, not "
                f"{repr(each)[:60]}"
            )


def measure(runs: Mapping[str, Sequence[str]], qrels: Judgements, k: int) -> Evaluation:
    """Return the means over all queries that have a relevant document.

    Args:
        runs: Ranked ids by query.
        qrels: Relevance over 0 by query and document.
        k: How many ranks count.
    """
    judged = [name for name in runs if any(value > 0 for value in qrels.get(name, {}).values())]
    if not judged:
        return Evaluation(0.0, 0.0, 0.0, 0)
    scores = [_one(runs[name][:k], qrels[name], k) for name in judged]
    ndcg, recall, mrr = (sum(column) / len(scores) for column in zip(*scores, strict=True))
    return Evaluation(ndcg, recall, mrr, len(scores))


def _one(ranked: Sequence[str], judged: Mapping[str, float], k: int) -> tuple[float, float, float]:
    gains = [max(0.0, judged.get(name, 0.0)) for name in ranked]
    best = sorted((value for value in judged.values() if value > 0), reverse=True)
    dcg = sum(gain / math.log2(rank + 2) for rank, gain in enumerate(gains))
    ideal = sum(gain / math.log2(rank + 2) for rank, gain in enumerate(best[:k]))
    found = sum(gain > 0 for gain in gains)
    first = next((1 / (rank + 1) for rank, gain in enumerate(gains) if gain > 0), 0.0)
    return dcg / ideal, found / len(best), first
