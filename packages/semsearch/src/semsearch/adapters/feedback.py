"""Query expansion by pseudo-relevance feedback: the best hits say what else was meant.

Words: RM3, N. Abdul-Jaleel et al., "UMass at TREC 2004". Vectors: J. Rocchio, "Relevance feedback
in information retrieval", 1971.
"""

from collections.abc import Mapping

import numpy as np

from ..ports import Expanded, Feedback, QueryExpander, Vector


class FeedbackExpander(QueryExpander):
    """Adds the telling words and the mean vector of the best documents to the query."""

    def __init__(
        self, *, words: int = 20, word_weight: float = 0.4, vector_weight: float = 0.5
    ) -> None:
        """Set how much is added.

        Args:
            words: How many.
            word_weight: Their share of the keyword query, 0 to 1.
            vector_weight: The weight of the mean vector beside the query's 1.
        """
        self._words, self._word_weight, self._vector_weight = words, word_weight, vector_weight

    async def expand(
        self, terms: Mapping[str, float], vector: Vector, feedback: Feedback
    ) -> Expanded:
        if not len(feedback.ids):
            return Expanded(terms, vector)
        salient: Mapping[str, float] = await feedback.salient(feedback.ids, self._words)
        total = sum(terms.values())
        mixed = dict(terms)
        for term, weight in salient.items():
            share = self._word_weight / (1 - self._word_weight) * total * weight
            mixed[term] = mixed.get(term, 0.0) + share
        moved = vector + self._vector_weight * feedback.vectors.mean(axis=0)
        length = float(np.linalg.norm(moved))
        return Expanded(mixed, (moved / length).astype(np.float32) if length else vector)
