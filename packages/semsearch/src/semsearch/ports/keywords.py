"""The port of keyword indexes."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from ..filters import Filter
from .values import (
    Changes,
    KeywordCapabilities,
    Position,
    Scored,
    Stored,
)


class KeywordIndex(ABC):
    """Finds documents by their words. Safe for concurrent use within one event loop.

    Attributes:
        exact: After any changes it ranks as one built anew.
        capabilities: What it can do.
        position: The changes of the store up to here are taken over; kept by the service.
    """

    exact: ClassVar[bool] = True
    capabilities: ClassVar[KeywordCapabilities] = KeywordCapabilities()
    position: Position = None

    @abstractmethod
    async def apply(self, changes: Changes) -> None:
        """Take over changes of the store; idempotent, and repeated if it failed."""

    async def lacking(self, documents: Sequence[Stored]) -> Sequence[str]:
        """Return the ids of those whose text :meth:`apply` needs; it is read first.

        Asked where a store tells of all documents, and some are ``unread``. An index that has kept
        the words of most of them says which are new to it; by default it needs all.

        Args:
            documents: All that will be applied.
        """
        return [each.id for each in documents]

    @abstractmethod
    async def search(
        self,
        terms: Mapping[str, float],
        limit: int,
        filter: Filter | None,
    ) -> Sequence[Scored]:
        """Return the best documents that pass the filter: (id, score over 0), ties by id.

        Args:
            terms: Stems and their weights, as :meth:`terms` makes them.
            limit: At most so many.
            filter: Applied before ranking.
        """

    @abstractmethod
    def terms(self, text: str) -> Mapping[str, float]:
        """Return the weighted stems of a query."""

    @abstractmethod
    async def documents(self) -> Mapping[str, str]:
        """Return the digests of all documents by id, for :meth:`SearchService.repair`."""

    @abstractmethod
    async def salient(self, ids: Sequence[str], limit: int) -> Mapping[str, float]:
        """Return the terms that tell these documents from others, weights adding up to 1."""

    def keep_in(self, path: str) -> None:
        """Remember words in a file between processes, if this index is in memory; once, first."""

    async def aclose(self) -> None:
        """Release what is held."""

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""
