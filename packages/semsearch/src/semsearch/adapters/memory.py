"""Documents and vectors in the memory of this process; exact search."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from ..errors import BackendError, ConfigurationError
from ..filters import OPERATORS, Filter
from ..models import Facet
from ..ports import Capabilities, Changes, Position, Scored, Stored, Vector, VectorStore
from .exclusive import Exclusive
from .shelf import Shelf

T = TypeVar("T")
_MANY = 500
"""Records whose writing takes more than some milliseconds."""


class MemoryStore(VectorStore):
    """The default: nothing is kept when the process ends."""

    capabilities = Capabilities(filters=OPERATORS, reindex=True)

    def __init__(self) -> None:
        """Start empty."""
        self._shelf: Shelf | None = None
        self._model = ""
        self._exclusive = Exclusive()
        self._superseded = False

    async def open(self, model_id: str, dimension: int, *, create: bool) -> None:
        if self._shelf is None:
            if not create:
                raise ConfigurationError("the index is missing and indexing.auto_index is off")
            self._shelf, self._model = Shelf(dimension), model_id
        if (model_id, dimension) != (self._model, self._shelf.dimension):
            raise ConfigurationError(
                f"the index was made with model {self._model!r} of "
                f"{self._shelf.dimension} dimensions, not {model_id!r} of {dimension}: "
                "index the documents anew with the other model"
            )

    async def _on_shelf(self, use: Callable[[Shelf], T], *, long: bool = False) -> T:
        """Use the documents alone; in a thread where that may take its time."""
        shelf = self._shelf
        if shelf is None:
            raise ConfigurationError("the index is not open")
        return await self._exclusive.run(lambda: use(shelf), long=long or shelf.is_large)

    async def refresh(self, since: Position = None) -> Changes:
        if self._shelf is not None and since == self._shelf.position:
            return Changes(position=since)
        return await self._on_shelf(lambda shelf: shelf.since(since))

    def beside(self) -> "MemoryStore":
        return MemoryStore()

    async def supersede(self, other: VectorStore, since: Position) -> bool:
        def work(shelf: Shelf) -> bool:
            self._superseded = self._superseded or shelf.position == since
            return shelf.position == since

        return await self._on_shelf(work)

    def _check_current(self) -> None:
        if self._superseded:
            raise BackendError("the index was made anew with another model", retryable=True)

    async def upsert(self, documents: Sequence[Stored]) -> None:
        def work(shelf: Shelf) -> None:
            self._check_current()
            for each in documents:
                shelf.put(each)

        await self._on_shelf(work, long=len(documents) > _MANY)

    async def delete(self, ids: Sequence[str]) -> Sequence[str]:
        def work(shelf: Shelf) -> list[str]:
            self._check_current()
            return [each for each in ids if shelf.drop(each)]

        return await self._on_shelf(work, long=len(ids) > _MANY)

    async def get(self, ids: Sequence[str]) -> Mapping[str, Stored]:
        if (shelf := self._shelf) is None:
            raise ConfigurationError("the index is not open")

        def work() -> dict[str, Stored]:
            found = ((each, shelf.get(each)) for each in ids)
            return {each: document for each, document in found if document is not None}

        return await self._exclusive.run(work, long=False)

    async def search(self, vector: Vector, limit: int, filter: Filter | None) -> Sequence[Scored]:
        return await self._on_shelf(lambda shelf: shelf.nearest(vector, limit, filter))

    async def select(self, filter: Filter | None, limit: int | None = None) -> Sequence[str]:
        return await self._on_shelf(lambda shelf: shelf.select(filter)[:limit])

    async def facets(self, names: Sequence[str], filter: Filter | None) -> Mapping[str, Facet]:
        return await self._on_shelf(lambda shelf: shelf.facets(names, filter))

    async def count(self, filter: Filter | None) -> int:
        return await self._on_shelf(lambda shelf: shelf.count(filter))

    def detach(self) -> None:
        self._exclusive.detach()
