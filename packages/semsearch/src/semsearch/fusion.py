"""Two ranked lists into one, scores from 0 to 1, ties by id."""

from collections.abc import Mapping, Sequence

from .models import Fusion
from .ports import Scored

_K = 60


def fuse(
    dense: Sequence[Scored], keyword: Sequence[Scored], method: Fusion, alpha: float
) -> list[Scored]:
    """Return the documents of both lists, best first.

    ``minmax`` scales each list to 0..1 and adds them with the shares ``alpha`` (dense) and
    ``1 - alpha``. ``rrf`` adds ``1 / (60 + rank)``, divided by the most that can come out:
    G. Cormack, C. Clarke, S. Büttcher, "Reciprocal Rank Fusion", SIGIR 2009.
    """
    if method == "rrf":
        total, others = _ranks(dense, 0.5), _ranks(keyword, 0.5)
    else:
        total, others = _scaled(dense, alpha), _scaled(keyword, 1 - alpha)
    for document_id, score in others.items():
        total[document_id] = total.get(document_id, 0.0) + score
    return ordered(total)


def ordered(scores: Mapping[str, float]) -> list[Scored]:
    """Return scores as hits, best first, ties by id."""
    # negated, plain pairs sort by themselves: a key would be a call for each
    pairs = sorted([(-score, document_id) for document_id, score in scores.items()])
    return [(document_id, -score) for score, document_id in pairs]


def _ranks(hits: Sequence[Scored], share: float) -> dict[str, float]:
    return {each[0]: share * (_K + 1) / (_K + rank) for rank, each in enumerate(hits, start=1)}


def _scaled(hits: Sequence[Scored], share: float) -> dict[str, float]:
    if not hits:
        return {}
    scores = [score for _, score in hits]
    low, high = min(scores), max(scores)
    if high == low:
        return dict.fromkeys([document_id for document_id, _ in hits], share)
    span = high - low
    return {document_id: share * ((score - low) / span) for document_id, score in hits}
