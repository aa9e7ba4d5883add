"""Query expansion by pseudo-relevance feedback: the best hits say what else was meant.

Words: RM3, N. Abdul-Jaleel et al., "UMass at TREC 2004". Vectors: J. Rocchio, "Relevance feedback
in information retrieval", 1971.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import ConfigurationError
from ..ports import Expanded, Feedback, QueryExpander, Vector


class FeedbackExpander(QueryExpander):
    """Adds the telling words and the mean vector of the best documents to the query."""

    def __init__(
        self,
        *,
        words: int = 20,
        word_weight: float = 0.4,
        vector_weight: float = 0.5,
        decay: float = 0.8,
    ) -> None:
        """Set how much is added.

        Args:
            words: How many, 1 to 1000.
            word_weight: Their share of the keyword query, 0 to below 1.
            vector_weight: The weight of the mean vector beside the query's 1, at least 0.
            decay: What a document counts beside the one ranked before it, over 0 to 1; RM3 weighs
                documents by how likely they are, and ranks are comparable across backends.

        Raises:
            ConfigurationError: A number is out of its range.
        """
        if not (1 <= words <= 1000 and 0 <= word_weight < 1 and vector_weight >= 0):
            raise ConfigurationError("words must be 1 to 1000, word_weight 0 to below 1")
        if not 0 < decay <= 1:
            raise ConfigurationError(f"decay must be over 0 and at most 1, not {decay!r}")
        self._words, self._word_weight, self._vector_weight = words, word_weight, vector_weight
        self._decay = decay

    async def expand(
        self, terms: Mapping[str, float], vector: Vector, feedback: Feedback
    ) -> Expanded:
        if not len(feedback.ids):
            return Expanded(terms, vector)
        weights = np.array([self._decay**rank for rank in range(len(feedback.ids))], np.float64)
        weights /= weights.sum()
        mean = weights @ feedback.vectors
        moved = vector + self._vector_weight * mean
        length = float(np.linalg.norm(moved))
        mixed = await self._mixed(terms, feedback, weights.tolist())
        return Expanded(mixed, (moved / length).astype(np.float32) if length else vector)

    async def _mixed(
        self, terms: Mapping[str, float], feedback: Feedback, weights: Sequence[float]
    ) -> dict[str, float]:
        """Return the terms of the query with the telling ones of the documents."""
        found: dict[str, float] = {}
        for document_id, weight in zip(feedback.ids, weights, strict=True):
            salient: Mapping[str, float] = await feedback.salient([document_id], 3 * self._words)
            for term, share in salient.items():
                found[term] = found.get(term, 0.0) + weight * share
        best = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))[: self._words]
        total = sum(share for _, share in best)
        factor = self._word_weight / (1 - self._word_weight) * sum(terms.values())
        mixed = dict(terms)
        for term, share in best:
            mixed[term] = mixed.get(term, 0.0) + factor * share / total
        return mixed
