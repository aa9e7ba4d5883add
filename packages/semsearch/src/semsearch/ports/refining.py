"""The ports of rerankers and query expanders."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .values import (
    Matrix,
    Vector,
)


class Reranker(ABC):
    """Orders the best hits anew. What it raises costs the reranking, and degrades the answer."""

    @abstractmethod
    async def rerank(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """Return a score for each text, higher is better."""

    async def aclose(self) -> None:
        """Disconnect; a later call connects again."""

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What an expander may look at.

    Attributes:
        ids: The best documents of a first search.
        vectors: Their vectors.
        salient: ``await salient(ids, limit)`` gives the telling terms of documents.
        text: The query as it was asked.
        terms: Gives the weighted stems of a text.
        embed: ``await embed(text)`` gives the unit vector of a text.
    """

    ids: Sequence[str]
    vectors: Matrix
    salient: Callable[..., Any]
    text: str = ""
    terms: Callable[[str], Mapping[str, float]] = lambda _: {}
    embed: Callable[[str], Any] | None = None


@dataclass(frozen=True, slots=True)
class Expanded:
    """A query with more to say.

    Attributes:
        terms: For the keyword side.
        vector: For the vector side.
    """

    terms: Mapping[str, float] = field(default_factory=dict)
    vector: "Vector | None" = None


class QueryExpander(ABC):
    """Adds to a query what its author did not say.

    What it raises costs the expansion, and degrades the answer.
    """

    @abstractmethod
    async def expand(
        self, terms: Mapping[str, float], vector: Vector, feedback: Feedback
    ) -> Expanded:
        """Return the query to search with instead."""

    async def aclose(self) -> None:
        """Disconnect; a later call connects again."""

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""
