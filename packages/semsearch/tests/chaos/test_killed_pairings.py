"""A process is killed while it writes, for other pairings of store and keyword index."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from semsearch import SearchDocument, SearchService
from semsearch.testing import FakeEmbedder

pytest.importorskip("asyncpg")
pytest.importorskip("qdrant_edge")

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.integration]
BATCH, COUNT = 50, 200
DOCS = [SearchDocument(f"d{n}", f"text {n} word{n} tide", {"n": n}) for n in range(COUNT)]

CHILD = """
import asyncio, sys
from msgspec.structs import replace
from semsearch import SearchDocument, SearchService, Settings
from semsearch.registry import keyword_index
from semsearch.testing import FakeEmbedder

url, keyword, where = sys.argv[1:]
docs = [SearchDocument(f"d{n}", f"text {n} word{n} tide", {"n": n}) for n in range(200)]

async def main():
    settings = Settings.from_url(url)
    settings = replace(settings, indexing=replace(settings.indexing, batch_size=50))
    if keyword != "bm25":
        settings = replace(settings, search=replace(settings.search, keyword=keyword))
    words = keyword_index(settings.search)
    apply, calls = words.apply, 0

    async def held(changes):
        nonlocal calls
        calls += len(changes.upserted) > 0
        if where == "between" and calls == 3:
            print("here", flush=True)
            await asyncio.Event().wait()
        await apply(changes)

    words.apply = held
    async with SearchService(settings, embedder=FakeEmbedder(), keywords=words) as service:
        if where == "running":
            await service.index_batch(docs[:50])
            print("here", flush=True)
            while True:  # the kill comes anywhere in it
                await service.index_batch(docs[50:])
                await service.delete_by_filter({"n": {"$gte": 50}})
        await service.index_batch(docs)

asyncio.run(main())
"""


def kill(url: str, keyword: str, where: str) -> None:
    """Run the child up to the place and kill it there."""
    command = [sys.executable, "-c", CHILD, url, keyword, where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "here\n"
        child.kill()


async def check_equal(service: SearchService) -> int:
    """Both sides have the same documents; return how many."""
    count, sides = await service.count(), service._parts.sides
    names = set(await sides.store.select(None))
    assert count == len(names)
    assert set(await sides.keywords.documents()) == names
    words = await service.search("tide", limit=1000, threshold=1.0, highlight=False)
    assert {hit.id for hit in words if "bm25" in hit.scores} == names
    near = await service.search("x", limit=1000, threshold=0.0, hybrid=False, highlight=False)
    assert {hit.id for hit in near} == names
    assert (await service.repair()).differences == 0
    return len(names)


@pytest.mark.parametrize("where", ["between", "running"])
@pytest.mark.parametrize(
    ("store", "keyword"),
    [
        ("sqlite", "bm25"),
        ("edge", "bm25"),
        ("pgvector", "bm25"),
        ("edge", "postgres"),
        ("pgvector", "postgres"),
    ],
)
async def test_a_killed_writer(
    tmp_path: Path, postgres_url: str, store: str, keyword: str, where: str
) -> None:
    """The next process finds both sides equal, a batch whole or not at all, and goes on."""
    url = {
        "sqlite": f"sqlite:///{tmp_path}/index.db",
        "edge": f"edge:///{tmp_path}/index",
        "pgvector": postgres_url,
    }[store]
    words = postgres_url if keyword == "postgres" else "bm25"
    kill(url, words, where)
    kw: dict[str, Any] = {} if words == "bm25" else {"keyword": words}
    async with SearchService.from_url(url, embedder=FakeEmbedder(), **kw) as later:
        there = await check_equal(later)
        assert there == 3 * BATCH if where == "between" else there % BATCH == 0
        report = await later.index_batch(DOCS)
        assert len(report.unchanged) == there
        assert await check_equal(later) == COUNT
        assert (await later.search("word77", limit=1))[0].id == "d77"
