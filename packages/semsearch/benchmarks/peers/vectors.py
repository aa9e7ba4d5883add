"""Vector stores: made of unit vectors and a number for each to filter by; the nearest ten."""

import asyncio
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from semsearch.adapters.edge import EdgeStore
from semsearch.adapters.memory import MemoryStore
from semsearch.filters import Filter
from semsearch.ports import Matrix, Scored, Stored, Vector, VectorStore

_BATCH = 1000
TAGS = 10


def took(call: Callable[[], Any]) -> float:
    """Return the milliseconds of a call."""
    begun = time.perf_counter()
    call()
    return (time.perf_counter() - begun) * 1e3


class Vectors(ABC):
    """An index of vectors, which are numbered from 0; ``tag`` is the number modulo ten."""

    name = ""
    most = 100_000

    @abstractmethod
    def build(self, rows: Matrix) -> None:
        """Index all vectors."""

    @abstractmethod
    def search(self, vector: Vector, limit: int, tag: int | None) -> list[int]:
        """Return the nearest vectors, of all or of those with a tag."""

    def took(self, vector: Vector, limit: int, tag: int | None) -> float:
        """Return the milliseconds of a search."""
        return took(lambda: self.search(vector, limit, tag))

    def close(self) -> None:
        """Give back what is held."""


class Ours(Vectors):
    """A store of this package, called as the service calls it."""

    def __init__(self, name: str, make: Callable[[Path], VectorStore]) -> None:
        """Measure what ``make`` returns."""
        self.name, self._make = name, make

    def build(self, rows: Matrix) -> None:
        """Index all vectors."""
        self._folder = tempfile.TemporaryDirectory()
        self._store = self._make(Path(self._folder.name))
        self._loop = asyncio.new_event_loop()
        self._run(self._store.open("model", rows.shape[1], create=True))
        for start in range(0, len(rows), _BATCH):
            part = range(start, min(start + _BATCH, len(rows)))
            made = [Stored(str(n), "", {"tag": n % TAGS}, rows[n], "") for n in part]
            self._run(self._store.upsert(made))
        self._run(self._store.settle())

    def _run(self, work: Any) -> Any:
        return self._loop.run_until_complete(work)

    def search(self, vector: Vector, limit: int, tag: int | None) -> list[int]:
        """Return the nearest vectors."""
        return [int(name) for name, _ in self._run(self._asked(vector, limit, tag))]

    async def _asked(self, vector: Vector, limit: int, tag: int | None) -> Sequence[Scored]:
        wanted = None if tag is None else Filter.parse({"tag": tag})
        return await self._store.search(vector, limit, wanted)

    def took(self, vector: Vector, limit: int, tag: int | None) -> float:
        """Return the milliseconds of a search, awaited as users do: in a loop that runs."""

        async def awaited() -> float:
            begun = time.perf_counter()
            await self._asked(vector, limit, tag)
            return (time.perf_counter() - begun) * 1e3

        made: float = self._run(awaited())
        return made

    def close(self) -> None:
        """Close the store and its folder."""
        self._run(self._store.aclose())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
        self._folder.cleanup()


class QdrantLocal(Vectors):
    """The local mode of qdrant-client, in memory."""

    name = "qdrant-client, local"
    most = 10_000

    def build(self, rows: Matrix) -> None:
        """Index all vectors."""
        from qdrant_client import QdrantClient, models

        self._models: Any = models
        self._client: Any = QdrantClient(":memory:")
        kind = models.VectorParams(size=rows.shape[1], distance=models.Distance.COSINE)
        self._client.create_collection("c", vectors_config=kind)
        tags = [{"tag": n % TAGS} for n in range(len(rows))]
        self._client.upload_collection("c", rows, tags, ids=range(len(rows)))

    def search(self, vector: Vector, limit: int, tag: int | None) -> list[int]:
        """Return the nearest vectors."""
        models = self._models
        wanted = None
        if tag is not None:
            match = models.FieldCondition(key="tag", match=models.MatchValue(value=tag))
            wanted = models.Filter(must=[match])
        found = self._client.query_points(
            "c", query=vector.tolist(), query_filter=wanted, limit=limit, with_payload=False
        )
        return [int(each.id) for each in found.points]


class Lance(Vectors):
    """lancedb in a folder; without an index, as it is until one is asked for."""

    name = "lancedb"

    def build(self, rows: Matrix) -> None:
        """Index all vectors."""
        import lancedb
        import pyarrow as pa

        self._folder = tempfile.TemporaryDirectory()
        flat = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
        numbers = list(range(len(rows)))
        tags = [n % TAGS for n in numbers]
        data = pa.table({"vector": flat, "row": numbers, "tag": tags})
        self._table: Any = lancedb.connect(self._folder.name).create_table("t", data)

    def search(self, vector: Vector, limit: int, tag: int | None) -> list[int]:
        """Return the nearest vectors."""
        query = self._table.search(vector).distance_type("cosine").limit(limit)
        query = query.select(["row", "_distance"])
        if tag is not None:
            query = query.where(f"tag = {tag}", prefilter=True)
        return [int(each["row"]) for each in query.to_list()]

    def close(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()


def everybody() -> list[Vectors]:
    """Return all contenders, not yet built."""
    return [
        Ours("semsearch, memory", lambda _: MemoryStore()),
        Ours("semsearch, edge", lambda folder: EdgeStore(f"edge:///{folder}/index")),
        QdrantLocal(),
        Lance(),
    ]
