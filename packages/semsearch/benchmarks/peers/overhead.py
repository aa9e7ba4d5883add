"""What stores of this package add to the clients below them: one index, asked both ways."""

import asyncio
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from semsearch.adapters.edge import EdgeStore
from semsearch.adapters.pgvector import PgVectorStore
from semsearch.adapters.qdrant import VECTOR
from semsearch.ports import Matrix, Stored, VectorStore

_BATCH = 1000
_LIMIT = 10
Ask = Callable[[Any], Coroutine[Any, Any, list[str]]]
"""Returns the names of the nearest ten."""


async def both(kind: str, where: str, rows: Matrix, asked: Matrix, rounds: int) -> dict[str, Any]:
    """Return the milliseconds of each query by way (``raw``, ``ours``), by round, and recall.

    Each query is asked one way and then the other, so that both meet the same load.
    """
    with tempfile.TemporaryDirectory() as folder:
        store: VectorStore
        if kind == "edge":
            store = EdgeStore(f"edge:///{Path(folder)}/index")
        else:
            store = PgVectorStore(where, collection="bench")
        await _fill(store, rows)
        raw, close = await (_edge(store) if kind == "edge" else _pgvector(where, store))

        async def ours(vector: Any) -> list[str]:
            return [name for name, _ in await store.search(vector, _LIMIT, None)]

        try:
            return await _timed({"raw": raw, "ours": ours}, rows, asked, rounds)
        finally:
            await close()
            await store.aclose()


async def _fill(store: VectorStore, rows: Matrix) -> None:
    await store.open("model", rows.shape[1], create=True)
    for start in range(0, len(rows), _BATCH):
        part = range(start, min(start + _BATCH, len(rows)))
        await store.upsert([Stored(str(n), "", {}, rows[n], "") for n in part])
    await store.settle()


async def _timed(ways: dict[str, Ask], rows: Matrix, asked: Matrix, rounds: int) -> dict[str, Any]:
    exact = [set((rows @ q).argsort()[::-1][:_LIMIT].tolist()) for q in asked]
    found = [{int(name) for name in await ways["ours"](q)} for q in asked]
    hits = sum(len(a & b) for a, b in zip(found, exact, strict=True))
    took: dict[str, list[list[float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name in ways:
            took[name].append([])
        for number, query in enumerate(asked):
            # the one that comes second finds the memory warm
            for name, ask in list(ways.items())[:: 1 if number % 2 else -1]:
                begun = time.perf_counter()
                await ask(query)
                took[name][-1].append((time.perf_counter() - begun) * 1e3)
    return {"recall": hits / (_LIMIT * len(asked)), **took}


async def _edge(store: Any) -> tuple[Ask, Callable[[], Coroutine[Any, Any, None]]]:
    """Ask the engine itself, on the event loop, as its documentation does."""
    import qdrant_edge

    async def ask(vector: Any) -> list[str]:
        request = qdrant_edge.QueryRequest(
            limit=_LIMIT,
            query=qdrant_edge.Query.Nearest(vector.tolist(), using=VECTOR),
            params=qdrant_edge.SearchParams(hnsw_ef=128),
            with_payload=["id"],
        )
        return [each.payload["id"] for each in store._points._shard.query(request)]

    async def close() -> None:
        await asyncio.sleep(0)

    return ask, close


async def _pgvector(where: str, store: Any) -> tuple[Ask, Callable[[], Coroutine[Any, Any, None]]]:
    """Ask through asyncpg's pool, as an application does, with the same settings of pgvector."""
    import asyncpg

    async def prepare(link: Any) -> None:
        await link.execute("SET hnsw.iterative_scan = 'strict_order'")
        await link.execute("SET hnsw.ef_search = 200")

    pool = await asyncpg.create_pool(where, min_size=1, max_size=4, init=prepare)
    query = (
        f"SELECT id, 1 - (vector <=> $1::text::vector) FROM {store._table} WHERE NOT deleted "
        "ORDER BY vector <=> $1::text::vector LIMIT 10"
    )

    async def ask(vector: Any) -> list[str]:
        async with pool.acquire() as link:
            return _names(await link.fetch(query, str(vector.tolist())))

    return ask, pool.close


def _names(rows: Sequence[Any]) -> list[str]:
    return [row[0] for row in rows]
