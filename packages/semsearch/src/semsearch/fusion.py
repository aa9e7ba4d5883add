"""Two ranked lists into one, scores from 0 to 1, ties by id."""

import itertools
import math
import operator
from collections.abc import Mapping, Sequence

from .models import Fusion
from .ports import Scored

WINDOW = 200
"""Hits that each side is asked for at first."""
_K = 60
_SCORE = operator.itemgetter(1)


def fuse(
    dense: Sequence[Scored], keyword: Sequence[Scored], method: Fusion, alpha: float
) -> list[Scored]:
    """Return the documents of both lists, best first.

    ``minmax`` scales each list to 0..1 and adds them with the shares ``alpha`` (dense) and
    ``1 - alpha``. The lowest of a list is 0, as what it does not have; of words that fewer than
    ``WINDOW`` documents match, no match is 0: the last of few still counts as one. ``rrf`` adds
    ``1 / (60 + rank)``, divided by the most that can come out: G. Cormack, C. Clarke, S. Büttcher,
    "Reciprocal Rank Fusion", SIGIR 2009.
    """
    if method == "rrf":
        total, others = _ranks(dense, 0.5), _ranks(keyword, 0.5)
    else:
        least = 0.0 if len(keyword) < WINDOW else math.inf
        total, others = _scaled(dense, alpha), _scaled(keyword, 1 - alpha, least)
    both = {name: total[name] + others[name] for name in total.keys() & others.keys()}
    total |= others
    total |= both
    return ordered(total)


def ordered(scores: Mapping[str, float]) -> list[Scored]:
    """Return scores as hits, best first, ties by id."""
    hits = sorted(scores.items(), key=_SCORE, reverse=True)
    values = list(map(_SCORE, hits))
    done = 0  # ties are few: finding them costs less than comparing ids throughout
    for place in itertools.compress(itertools.count(), map(operator.eq, values, values[1:])):
        if place >= done:
            done = place + 1
            while done < len(hits) and values[done] == values[place]:
                done += 1
            hits[place:done] = sorted(hits[place:done])
    return hits


def _ranks(hits: Sequence[Scored], share: float) -> dict[str, float]:
    return {each[0]: share * (_K + 1) / (_K + rank) for rank, each in enumerate(hits, start=1)}


def _scaled(hits: Sequence[Scored], share: float, least: float = math.inf) -> dict[str, float]:
    """Return scores as parts of ``share``; 0 is the lowest, or ``least`` where that is less."""
    if not hits:
        return {}
    scores = [score for _, score in hits]
    low, high = min(least, *scores), max(scores)
    if high == low:
        return dict.fromkeys([document_id for document_id, _ in hits], share)
    span = high - low
    return {document_id: share * ((score - low) / span) for document_id, score in hits}
