"""The store in PostgreSQL: its suite, and filters that mean what the evaluator means."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from property.test_filters import metadata, tree
from semsearch import ConfigurationError, SearchDocument, SearchService
from semsearch.adapters.facets import facet_of
from semsearch.filters import Filter
from semsearch.ports import VectorStore
from semsearch.testing import DIMENSION, MODEL, FakeEmbedder, VectorStoreSuite, document

pytest.importorskip("asyncpg")

from semsearch.adapters.pgvector import PgVectorStore
from semsearch.adapters.postgres_filters import Conditions

pytestmark = pytest.mark.integration


@pytest.fixture(params=["hnsw", "none"])
async def store(request: pytest.FixtureRequest, postgres_url: str) -> AsyncIterator[PgVectorStore]:
    made = PgVectorStore(f"{postgres_url}?index={request.param}")
    yield made
    await made.aclose()


class TestPgVectorStore(VectorStoreSuite):
    @pytest.fixture
    def store(self, store: PgVectorStore) -> VectorStore:
        return store


@pytest.fixture(scope="module")
def places() -> list[dict[str, Any]]:
    """Metadata of many kinds, the worst that hypothesis thinks of among them."""
    found: list[dict[str, Any]] = []

    @given(metadata)
    @settings(max_examples=150, database=None, derandomize=True)
    def collect(made: dict[str, Any]) -> None:
        found.append(json.loads(json.dumps(made)))

    collect()
    return found


async def test_filters_mean_what_the_evaluator_means(
    postgres_url: str, places: list[dict[str, Any]]
) -> None:
    store = PgVectorStore(f"{postgres_url}?index=none")
    await store.open(MODEL, DIMENSION, create=True)
    made = [document(f"d{n:03}", metadata=each) for n, each in enumerate(places)]
    await store.upsert(made)
    loop = asyncio.get_running_loop()

    @given(tree)
    @settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], database=None)
    def check(given_tree: dict[str, Any]) -> None:
        wanted = Filter.parse(given_tree)
        assert wanted is not None
        expected = [each.id for each in made if wanted.matches(each.metadata)]
        found = asyncio.run_coroutine_threadsafe(store.select(wanted), loop).result(30)
        assert list(found) == expected

    await asyncio.to_thread(check)
    await store.aclose()


async def test_facets_count_what_is_there(postgres_url: str, places: list[dict[str, Any]]) -> None:
    """A NUL in a document's metadata, which PostgreSQL cannot look into, spoils nothing."""
    worst = [
        {"k": "a\0b", "name": 1},
        {"a\0b": "x", "k": ["c", "\\u0000"]},
        {"k": "c", "name": 1.0},
    ]
    store = PgVectorStore(f"{postgres_url}?index=none")
    await store.open(MODEL, DIMENSION, create=True)
    made = [document(f"d{n:03}", metadata=each) for n, each in enumerate([*worst, *places])]
    await store.upsert(made)
    names = ["k", "name", "x.y", "a b", "a\0b", "none", "", "\x1f"]
    for wanted in (None, Filter.parse({"k": {"$exists": True}}), Filter.parse({"name": 1})):
        found = await store.facets(names, wanted)
        passing = [
            each.metadata for each in made if wanted is None or wanted.matches(each.metadata)
        ]
        for name in names:
            expected = facet_of(name, [(each.get(name), 1) for each in passing])
            assert repr(found[name]) == repr(expected)  # 1, 1.0 and True are equal
    assert found["k"].values[0] == ("a\0b", 1)
    await store.aclose()


async def test_two_services_see_each_other(postgres_url: str) -> None:
    async with (
        SearchService.from_url(postgres_url, embedder=FakeEmbedder()) as one,
        SearchService.from_url(postgres_url, embedder=FakeEmbedder()) as other,
    ):
        await one.index_batch([SearchDocument("a", "tides"), SearchDocument("b", "budget \0 x")])
        assert (await other.search("tides", threshold=1.0))[0].id == "a"
        assert (await other.get("b")).content == "budget \0 x"
        await other.delete("a")
        assert not await one.search("tides", threshold=1.0)
        await asyncio.gather(
            *(
                side.index(SearchDocument(f"w{n}", f"word{n}"))
                for n in range(8)
                for side in (one, other)
            )
        )
        assert await one.count() == await other.count() == 9
        for side in (one, other):
            assert {hit.id for hit in await side.search("word3", threshold=1.0)} == {"w3"}


async def test_collections_are_apart(postgres_url: str) -> None:
    one = PgVectorStore(postgres_url, collection="first")
    other = PgVectorStore(postgres_url, collection="second")
    await one.open(MODEL, DIMENSION, create=True)
    await one.upsert([document("a")])
    await other.open("another model", 3, create=True)
    assert await other.count(None) == 0
    await one.aclose()
    await other.aclose()


@pytest.mark.parametrize("name", ["Documents", "a-b", 'x"; DROP TABLE y; --', "", "a" * 41, "1a"])
def test_names_of_tables_are_plain(name: str) -> None:
    with pytest.raises(ConfigurationError, match="collection"):
        PgVectorStore("postgresql://h/d", collection=name)


@pytest.mark.parametrize("url", ["postgresql://h/d?index=ivf", "postgresql://h/d?index=a&index=b"])
def test_wrong_urls(url: str) -> None:
    with pytest.raises(ConfigurationError):
        PgVectorStore(url)


@pytest.mark.parametrize(
    ("wanted", "is_indexed"),
    [
        (Filter("$eq", name="owner", value="ann"), True),
        (Filter("$in", name="owner", value=("ann", "bob")), True),
        (Filter("$ne", name="owner", value="ann"), False),
        (Filter("$eq", name="owner", value="2026-01-01"), False),
        (Filter("$eq", name="size", value=3), False),
    ],
)
async def test_equal_texts_are_found_by_an_index(
    postgres_url: str, wanted: Filter, is_indexed: bool
) -> None:
    """What one tenant has is not looked for among what all have."""
    asyncpg = pytest.importorskip("asyncpg")
    store = PgVectorStore(f"{postgres_url}?index=none")
    await store.open(MODEL, DIMENSION, create=True)
    owners = ["ann", "bob", *(f"u{n}" for n in range(300))]
    made = [
        document(f"d{n}", metadata={"owner": owner, "size": n}) for n, owner in enumerate(owners)
    ]
    await store.upsert(made)
    conditions = Conditions(1, by_index=True)
    where = conditions.of(wanted)
    link = await asyncpg.connect(postgres_url)
    await link.execute("SET enable_seqscan = off; SET enable_indexscan = off")
    plan = await link.fetch(
        f"EXPLAIN SELECT id FROM semsearch_documents WHERE NOT deleted AND {where}",
        *conditions.values,
    )
    await link.close()
    assert any("Index Cond: (facts @>" in row[0] for row in plan) is is_indexed, plan
    assert sorted(await store.select(wanted)) == sorted(
        each.id for each in made if wanted.matches(each.metadata)
    )
    await store.aclose()


async def test_who_asks_that_index(store: PgVectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches do not: the planner would take what passes for rare, and sort it all."""
    asked: list[bool] = []

    def conditions(first: int, *, by_index: bool = False) -> Conditions:
        asked.append(by_index)
        return Conditions(first, by_index=by_index)

    monkeypatch.setattr("semsearch.adapters.pgvector.Conditions", conditions)
    await store.open(MODEL, DIMENSION, create=True)
    one = document("d", metadata={"owner": "ann"})
    await store.upsert([one])
    wanted = Filter("$eq", name="owner", value="ann")
    assert await store.count(wanted) == 1
    assert await store.select(wanted) == ["d"]
    assert (await store.facets(["owner"], wanted))["owner"]
    assert [name for name, _ in await store.search(one.vector, 3, wanted)] == ["d"]
    assert asked == [True, True, True, False]
