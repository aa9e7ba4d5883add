"""Hits that differ from each other: maximal marginal relevance.

J. Carbonell, J. Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents and
Producing Summaries", SIGIR 1998.
"""

from collections.abc import Mapping, Sequence

from .ports import Scored, Vector

DIVERSE_AMONG = 50
"""Hits that each choice is among: the best of those that are left."""


def diversified(
    hits: Sequence[Scored], vectors: "Mapping[str, Vector]", amount: float
) -> list[Scored]:
    """Return ``hits`` in the order in which they are chosen.

    Each choice is, of the 50 best hits that are left, the one with the highest
    ``(1 - amount) * score - amount * cosine``, cosine being the largest one to a hit chosen before;
    ties go to the better hit. More hits at the end change nothing of the first choices, so that
    pages fit together. Scores are dealt out in falling order, so that they go on ordering the hits.
    Takes time by the square of their number.

    Args:
        hits: Best first.
        vectors: Unit vectors by id; a hit without one is like no other.
        amount: 0 to 1; 0 leaves the order as it is.
    """
    import numpy as np  # late: it would be half of the package's start

    if amount == 0 or len(hits) < 2:
        return list(hits)
    size = next((len(each) for each in vectors.values()), 1)
    matrix = np.stack([vectors.get(name, np.zeros(size, np.float32)) for name, _ in hits])
    gains = (1 - amount) * np.array([score for _, score in hits], np.float64)
    likest = np.zeros(len(hits))
    left = np.ones(len(hits), bool)
    order: list[int] = []
    for _ in hits:
        near = np.flatnonzero(left)[:DIVERSE_AMONG]
        chosen = int(near[np.argmax(gains[near] - amount * likest[near])])
        order.append(chosen)
        left[chosen] = False
        likest = np.maximum(likest, matrix @ matrix[chosen])
    scores = [score for _, score in hits]
    return [(hits[place][0], score) for place, score in zip(order, scores, strict=True)]
