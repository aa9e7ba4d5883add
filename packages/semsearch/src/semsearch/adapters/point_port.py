"""What a server's adapter gives to :class:`.point_store.PointStore`: a collection of points."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..filters import Filter
from ..ports import Scored, Vector
from .points import DOCUMENTS, Conditions, Json, fields_of


@dataclass(frozen=True, slots=True)
class Point:
    """A point to write; without a vector no search finds it."""

    id: str
    payload: Json
    vector: Sequence[float] | None = None


Row = tuple[Json, "Sequence[float] | None"]
"""A payload and a vector, as read."""


class Points(ABC):
    """A collection of points. Blocking; filters are JSON as in Qdrant's API.

    Attributes:
        alone: One call at a time; else from many threads at once.
        removes: :meth:`remove` can be asked for.
        discards: :meth:`discard` can be asked for, and :meth:`remove` cannot.
        bare: Searches by vector find documents alone, for only these have vectors.
    """

    alone: bool = False
    removes: bool = False
    discards: bool = False
    bare: bool = False

    def fields(self, metadata: Mapping[str, Any]) -> Json:
        """Return what the filters look at in a document.

        Raises:
            InvalidDocument: They could not.
        """
        return fields_of(metadata)

    def compiled(self, wanted: Filter | None) -> Json:
        """Return the filter that documents pass where ``wanted`` holds.

        Raises:
            UnsupportedOperationError: The server cannot decide it.
        """

        def distinct(field: str) -> list[str]:
            return [value for value, _ in self.facet(field, {"must": [DOCUMENTS]})]

        return Conditions(distinct).of(wanted)

    @abstractmethod
    def open(self, dimension: int, *, create: bool) -> bool:
        """Return whether the collection is there, made if it may be.

        Raises:
            ConfigurationError: It holds something else.
        """

    @abstractmethod
    def make_fields(self, fields: Iterable[str]) -> None:
        """See to it that the fields can be filtered by, and their values counted."""

    @abstractmethod
    def put(self, points: Sequence[Point]) -> None:
        """Write points, all or none; those with the same ids are replaced whole."""

    @abstractmethod
    def fetch(self, ids: Sequence[str]) -> Sequence[Row]:
        """Return the points that are there."""

    @abstractmethod
    def scroll(self, filter: Json, fields: Sequence[str] | None) -> Sequence[Row]:
        """Return all that pass: some fields alone, or (None) everything with the vectors."""

    @abstractmethod
    def nearest(self, vector: Vector, limit: int, filter: Json) -> Sequence[Scored]:
        """Return the ids in the payloads of the nearest points that pass, and their cosines.

        An empty filter (where ``bare`` is true) lets every point pass.
        """

    def is_quick(self, limit: int) -> bool:
        """Whether a search without a filter is over before a thread would have begun with it."""
        return False

    @abstractmethod
    def count(self, filter: Json) -> int:
        """Return how many pass, exactly."""

    @abstractmethod
    def facet(self, field: str, filter: Json) -> Sequence[tuple[str, int]]:
        """Return all values of a field over what passes, and how many points have each.

        Raises:
            UnsupportedOperationError: There are too many values to list.
        """

    def remove(self, filter: Json) -> None:
        """Remove all that passes, each as it is then: what is written meanwhile stays."""
        raise NotImplementedError("removes is false")

    def discard(self, ids: Sequence[str]) -> None:
        """Remove points by their ids, whatever they are by then."""
        raise NotImplementedError("discards is false")

    def values(self, code: str, filter: Json) -> Iterable[tuple[str, int]]:
        """Return all values under the name that ``code`` stands for, as :meth:`facet` does."""
        return [pair for kind in "tdx" for pair in self.facet(f"{kind}_{code}", filter)]

    @abstractmethod
    def close(self) -> None:
        """Disconnect; a later call connects again."""

    def detach(self) -> None:
        """Forget, without I/O, what belongs to the process that this one was forked from."""
