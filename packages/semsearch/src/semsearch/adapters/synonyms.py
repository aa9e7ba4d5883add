"""Query expansion by a list of synonyms."""

from collections.abc import Iterable, Mapping, Sequence

from ..ports import Expanded, Feedback, QueryExpander, Vector
from .openai import added, mixture


class SynonymExpander(QueryExpander):
    """Adds what means the same: ``[["car", "automobile"], ["laptop", "notebook computer"]]``."""

    def __init__(self, groups: Iterable[Sequence[str]], *, weight: float = 0.4) -> None:
        """Take groups of words and phrases of one meaning.

        Args:
            groups: Each word or phrase of a group stands for the others.
            weight: The share of the added words in the query, 0 to below 1.
        """
        self._groups = [list(group) for group in groups]
        self._weight = weight

    async def expand(
        self, terms: Mapping[str, float], vector: Vector, feedback: Feedback
    ) -> Expanded:
        more: dict[str, float] = {}
        phrases: list[str] = []
        for group in self._groups:
            known = [feedback.terms(each) for each in group]
            # a phrase is there if all of its words are
            if any(stems and stems.keys() <= terms.keys() for stems in known):
                for each, stems in zip(group, known, strict=True):
                    if not stems.keys() <= terms.keys():
                        more |= stems
                        phrases.append(each)
        if not phrases or feedback.embed is None:
            return Expanded(dict(terms), vector)
        other: Vector = await feedback.embed(f"{feedback.text} {' '.join(phrases)}")
        mixed = added(terms, more, self._weight)
        return Expanded(mixed, mixture(vector, other, self._weight))
