"""The words in PostgreSQL: the suite, filters, several writers, cut connections; a real server."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from checks import check_filters
from semsearch import BackendError, ConfigurationError, SearchDocument, SearchService
from semsearch.adapters.bm25 import BM25Index
from semsearch.ports import Changes, KeywordIndex
from semsearch.testing import FakeEmbedder, KeywordIndexSuite, document

pytest.importorskip("asyncpg")

from semsearch.adapters.postgres_words import PostgresIndex

pytestmark = pytest.mark.integration


@pytest.fixture
async def index(postgres_url: str) -> AsyncIterator[PostgresIndex]:
    made = PostgresIndex(postgres_url)
    yield made
    await made.aclose()


class TestPostgresIndex(KeywordIndexSuite):
    @pytest.fixture
    def index(self, index: PostgresIndex) -> KeywordIndex:
        return index


async def test_filters_mean_what_the_evaluator_means(index: PostgresIndex) -> None:
    assert (await check_filters(index, 150))[1] == 0


async def test_it_ranks_as_the_embedded_index(index: PostgresIndex) -> None:
    """After any changes: scores to nine digits, ties by id, also across the limit."""
    embedded = BM25Index()
    made = [
        document(f"d{n}", f"alpha {'beta ' * (n % 4)}gamma{n % 7} {'tail ' * (n % 3)}", {"n": n})
        for n in range(60)
    ]
    changes = [
        Changes(upserted=made),
        Changes(upserted=[document("d3", "beta beta"), document("new", "gamma2")], deleted=["d7"]),
        Changes(deleted=["d3", "none"]),
    ]
    for each in changes:
        await index.apply(each)
        await embedded.apply(each)
    for text in ("alpha beta", "gamma2 gamma3 tail", "beta", "nothing"):
        for limit in (5, 100):
            expected = await embedded.search(embedded.terms(text), limit, None)
            found = await index.search(index.terms(text), limit, None)
            assert [name for name, _ in found] == [name for name, _ in expected]
            assert [s for _, s in found] == pytest.approx([s for _, s in expected], abs=1e-9)
    names = ["d1", "d2", "new"]
    assert await index.salient(names, 5) == pytest.approx(await embedded.salient(names, 5))


async def test_several_writers(postgres_url: str) -> None:
    """Sums and counts are those of what is there, whoever wrote it and in whatever order."""
    first, *others = [PostgresIndex(postgres_url) for _ in range(4)]
    sides = [first, *others]

    async def write(number: int, side: PostgresIndex) -> None:
        for step in range(8):
            kept = document(f"s{step}", f"shared word{number} " * (number + 1))
            own = document(f"o{number}{step}", f"own{number} word{step}")
            await side.apply(Changes(upserted=[kept, own], deleted=[f"o{number}{step - 2}"]))

    await asyncio.gather(*(write(number, side) for number, side in enumerate(sides)))
    async with first._link.connection() as link:
        table = first._table
        sums = await link.fetchrow(f"SELECT documents, lengths FROM {table}_sums")
        real = await link.fetchrow(f"SELECT count(*), sum(length) FROM {table}")
        postings = await link.fetchval(f"SELECT sum(count) FROM {table}_postings")
    assert tuple(sums) == tuple(real)
    assert postings == real[1]
    assert len(await first.documents()) == real[0] == 8 + 4 * 2
    for side in sides:
        await side.aclose()


async def test_collections_are_apart(postgres_url: str) -> None:
    one = PostgresIndex(f"{postgres_url}?collection=one")
    other = PostgresIndex(f"{postgres_url}?collection=two")
    await one.apply(Changes(upserted=[document("a", "tides")]))
    await other.apply(Changes(upserted=[document("b", "tides")]))
    assert [name for name, _ in await one.search({"tide": 1.0}, 5, None)] == ["a"]
    for each in (one, other):
        await each.aclose()
    with pytest.raises(ConfigurationError, match="collection"):
        PostgresIndex(f"{postgres_url}?collection=x;--")


async def test_a_new_process_writes_the_difference_alone(index: PostgresIndex) -> None:
    made = [document(f"d{n}", f"word{n}") for n in range(5)]
    await index.apply(Changes(reset=True, upserted=made))
    written: list[str] = []
    write = index._write

    async def noted(documents: list, gone: list) -> None:  # type: ignore[type-arg]  # a test's
        written.extend([*(each.id for each in documents), *gone])
        await write(documents, gone)

    index._write = noted  # type: ignore[method-assign]  # counted
    changed = document("d3", "changed", seed=1)
    await index.apply(Changes(reset=True, upserted=[*made[:3], changed, document("new")]))
    assert sorted(written) == ["d3", "d4", "new"]


async def test_a_service_on_both_sides(postgres_url: str) -> None:
    kw = {"keyword": postgres_url, "embedder": FakeEmbedder()}
    async with (
        SearchService.from_url(postgres_url, **kw) as one,
        SearchService.from_url(postgres_url, **kw) as other,
    ):
        await one.index_batch([SearchDocument("a", "tides \0 x"), SearchDocument("b", "boats")])
        assert [hit.id for hit in await other.search("tides", threshold=1.0)] == ["a"]
        await other.delete("a")
        for side in (one, other):
            assert not await side.search("tides", threshold=1.0)
            assert (await side.repair()).differences == 0


async def test_cut_connections(index: PostgresIndex) -> None:
    """A write that is cut off is not there at all; the next call connects again."""
    await index.apply(Changes(upserted=[document("a", "tides")]))
    waits = (
        "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
        "AND datname = current_database()"
    )
    async with (
        index._link.connection() as holder,
        index._link.connection() as watch,
        holder.transaction(),
    ):
        await holder.execute(f"SELECT 1 FROM {index._table}_sums FOR UPDATE")
        writing = asyncio.ensure_future(index.apply(Changes(upserted=[document("b", "boats")])))
        while (waiting := await watch.fetchval(waits)) is None:
            await asyncio.sleep(0)
        await watch.execute("SELECT pg_terminate_backend($1)", waiting)
        with pytest.raises(BackendError) as found:
            await writing
        assert found.value.retryable
    assert set(await index.documents()) == {"a"}
    await index.apply(Changes(upserted=[document("b", "boats")]))
    assert [name for name, _ in await index.search({"boat": 1.0}, 5, None)] == ["b"]
