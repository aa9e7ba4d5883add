"""Documents and vectors in the memory of this process; exact search."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from ..errors import ConfigurationError
from ..filters import OPERATORS, Filter
from ..models import Facet
from ..ports import Capabilities, Changes, Scored, Stored, Vector, VectorStore
from .shelf import Shelf

T = TypeVar("T")
_QUICK = 2000


class MemoryStore(VectorStore):
    """The default: nothing is kept when the process ends."""

    capabilities = Capabilities(filters=OPERATORS)

    def __init__(self) -> None:
        """Start empty."""
        self._shelf: Shelf | None = None
        self._model = ""
        self._lock = threading.Lock()
        self._upserted: dict[str, Stored] = {}
        self._deleted: dict[str, None] = {}

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

    async def _on_shelf(self, use: Callable[[Shelf], T]) -> T:
        """Use the documents under the lock; in a thread where that may take its time."""

        def locked() -> T:
            with self._lock:
                if self._shelf is None:
                    raise ConfigurationError("the index is not open")
                return use(self._shelf)

        many = self._shelf is not None and len(self._shelf) > _QUICK
        return await asyncio.to_thread(locked) if many else locked()

    async def refresh(self) -> Changes:
        with self._lock:
            upserted, self._upserted = self._upserted, {}
            deleted, self._deleted = self._deleted, {}
        return Changes(upserted=list(upserted.values()), deleted=list(deleted))

    async def upsert(self, documents: Sequence[Stored]) -> None:
        def work(shelf: Shelf) -> None:
            for each in documents:
                shelf.put(each)
                self._upserted[each.id] = each
                self._deleted.pop(each.id, None)

        await self._on_shelf(work)

    async def delete(self, ids: Sequence[str]) -> Sequence[str]:
        def work(shelf: Shelf) -> list[str]:
            gone = [each for each in ids if shelf.drop(each)]
            for each in gone:
                self._deleted[each] = None
                self._upserted.pop(each, None)
            return gone

        return await self._on_shelf(work)

    async def get(self, ids: Sequence[str]) -> Mapping[str, Stored]:
        def work(shelf: Shelf) -> dict[str, Stored]:
            found = ((each, shelf.get(each)) for each in ids)
            return {each: document for each, document in found if document is not None}

        return await self._on_shelf(work)

    async def search(self, vector: Vector, limit: int, filter: Filter | None) -> Sequence[Scored]:
        return await self._on_shelf(lambda shelf: shelf.nearest(vector, limit, filter))

    async def select(self, filter: Filter | None, limit: int | None = None) -> Sequence[str]:
        return await self._on_shelf(lambda shelf: shelf.select(filter)[:limit])

    async def facets(self, names: Sequence[str], filter: Filter | None) -> Mapping[str, Facet]:
        return await self._on_shelf(lambda shelf: shelf.facets(names, filter))

    async def count(self, filter: Filter | None) -> int:
        return await self._on_shelf(lambda shelf: shelf.count(filter))
