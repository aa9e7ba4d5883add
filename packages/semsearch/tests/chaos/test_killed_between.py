"""A process is killed between the store and a keyword index that is kept elsewhere."""

import subprocess
import sys
from pathlib import Path

import pytest

from semsearch import SearchDocument, SearchService
from semsearch.testing import FakeEmbedder

pytest.importorskip("asyncpg")

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.integration]

CHILD = """
import asyncio, sys
from semsearch import SearchDocument, SearchService, Settings
from semsearch.testing import FakeEmbedder
from semsearch.adapters.postgres_words import PostgresIndex

url, keyword, where, batch = sys.argv[1:]
docs = [SearchDocument(f"d{n}", f"text {n} word{n} tide", {"n": n}) for n in range(400)]

async def held():
    print("here", flush=True)
    await asyncio.Event().wait()

class Held(PostgresIndex):
    writes = 0

    async def _write(self, documents, gone):
        self.writes += 1
        if self.writes < int(batch):
            return await super()._write(documents, gone)
        if where == "before":
            await held()
        if where == "within":
            lend = self._link.connection
            self._link.connection = lambda: Lent(lend())
        await super()._write(documents, gone)
        await held()

class Lent:
    def __init__(self, lender): self.lender = lender
    async def __aenter__(self):
        link = await self.lender.__aenter__()
        return Cut(link)
    async def __aexit__(self, *error): return await self.lender.__aexit__(*error)

class Cut:
    def __init__(self, link): self.link = link
    def __getattr__(self, name): return getattr(self.link, name)
    async def execute(self, query, *values):
        if query.startswith("UPDATE"):
            await held()
        return await self.link.execute(query, *values)

async def main():
    async with SearchService.from_url(
        url, embedder=FakeEmbedder(), keywords=Held(keyword)
    ) as service:
        if where == "delete":
            await service.delete_by_filter({"n": {"$lt": 150}})
        await service.index_batch(docs)

asyncio.run(main())
"""


def kill(url: str, keyword: str, where: str, batch: int) -> None:
    """Run the child up to the place and kill it there."""
    command = [sys.executable, "-c", CHILD, url, keyword, where, str(batch)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "here\n"
        child.kill()


async def check_equal(service: SearchService, expected: int) -> None:
    """Both sides have the same documents, and say so by any way."""
    assert await service.count() == expected
    sides = service._parts.sides
    assert set(await sides.keywords.documents()) == set(await sides.store.select(None))
    words = await service.search("tide", limit=1000, threshold=1.0, highlight=False)
    assert sum("bm25" in hit.scores for hit in words) == expected
    assert (await service.repair()).differences == 0
    # what was cut off left nothing that ranking would count
    async with sides.keywords._link.connection() as link:  # type: ignore[attr-defined]  # PostgreSQL's
        table = sides.keywords._table  # type: ignore[attr-defined]  # as above
        sums = await link.fetchrow(f"SELECT documents, lengths FROM {table}_sums")
        real = await link.fetchrow(f"SELECT count(*), sum(length) FROM {table}")
        postings = await link.fetchval(f"SELECT sum(count) FROM {table}_postings")
    assert tuple(sums) == tuple(real) == (expected, postings)


@pytest.mark.parametrize(("where", "batch"), [("before", 1), ("within", 2), ("after", 3)])
async def test_a_killed_writer(tmp_path: Path, postgres_url: str, where: str, batch: int) -> None:
    """The next process, and one that was there already, find what the store has."""
    url = f"sqlite:///{tmp_path}/index.db"
    kw = {"embedder": FakeEmbedder(), "keyword": postgres_url}
    async with SearchService.from_url(url, **kw) as other:
        assert await other.count() == 0
        kill(url, postgres_url, where, batch)
        # what the store took last, the words may not have: whoever comes next mends it
        await check_equal(other, 100 * batch)
    async with SearchService.from_url(url, **kw) as later:
        await check_equal(later, 100 * batch)
        docs = [SearchDocument(f"d{n}", f"text {n} word{n} tide", {"n": n}) for n in range(400)]
        assert len((await later.index_batch(docs)).unchanged) == 100 * batch
        await check_equal(later, 400)


@pytest.mark.parametrize("where", ["before", "within"])
async def test_killed_and_nobody_was_there(tmp_path: Path, postgres_url: str, where: str) -> None:
    """Only a new process comes afterwards: it compares both sides before its first answer."""
    url = f"sqlite:///{tmp_path}/index.db"
    kill(url, postgres_url, where, 2)
    async with SearchService.from_url(url, embedder=FakeEmbedder(), keyword=postgres_url) as later:
        found = await later.search("word150", threshold=1.0)
        assert [hit.id for hit in found] == ["d150"]
        await check_equal(later, 200)


async def test_a_difference_is_found_and_mended(tmp_path: Path, postgres_url: str) -> None:
    """What somebody else did to the words: ``repair`` names it, and it is gone."""
    url = f"sqlite:///{tmp_path}/index.db"
    async with SearchService.from_url(url, embedder=FakeEmbedder(), keyword=postgres_url) as search:
        await search.index_batch([SearchDocument(f"d{n}", f"word{n} tide") for n in range(6)])
        keywords = search._parts.sides.keywords
        async with keywords._link.connection() as link:  # type: ignore[attr-defined]  # PostgreSQL's
            await link.execute(f"UPDATE {keywords._table} SET digest = 'x' WHERE id = 'd1'")  # type: ignore[attr-defined]
            await link.execute(f"UPDATE {keywords._table} SET id = 'ghost' WHERE id = 'd2'")  # type: ignore[attr-defined]
        report = await search.repair()
        assert (report.missing, report.stale, report.superfluous) == (["d2"], ["d1"], ["ghost"])
        assert (await search.repair()).differences == 0
        await check_equal(search, 6)
