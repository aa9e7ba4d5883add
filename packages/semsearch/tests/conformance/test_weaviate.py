"""The store in Weaviate: its suite, filters, faults.

The server is a stand-in, or the one that ``WEAVIATE_URL`` (``weaviate://…``) names.
"""

import os
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from checks import check_filters, named
from semsearch import (
    BackendError,
    ConfigurationError,
    Filter,
    SearchDocument,
    SearchService,
    UnsupportedOperationError,
)  # fmt: skip
from semsearch.ports import VectorStore
from semsearch.testing import DIMENSION, MODEL, FakeEmbedder, VectorStoreSuite, document

pytest.importorskip("httpx")

from semsearch.adapters import weaviate
from semsearch.adapters.point_changes import point_id
from semsearch.adapters.weaviate import WeaviateStore
from standin_weaviate import WeaviateStandIn

REAL = os.environ.get("WEAVIATE_URL")


@pytest.fixture
def server() -> Iterator[WeaviateStandIn]:
    with WeaviateStandIn() as made:
        yield made


@pytest.fixture
def base(request: pytest.FixtureRequest) -> str:
    """The URL of a server, with a collection that nobody has."""
    return named(REAL or request.getfixturevalue("server").url, f"Test_{uuid.uuid4().hex}")


@pytest.fixture
async def store(base: str) -> AsyncIterator[WeaviateStore]:
    made = WeaviateStore(base)
    yield made
    await made.aclose()


class TestWeaviateStore(VectorStoreSuite):
    @pytest.fixture
    def store(self, store: WeaviateStore) -> VectorStore:
        return store


async def test_filters_mean_what_the_evaluator_means(store: WeaviateStore) -> None:
    decided, refused = await check_filters(store, 80)
    assert decided > refused


async def test_the_order_of_texts_is_refused_and_dates_are_not(store: WeaviateStore) -> None:
    await store.open(MODEL, DIMENSION, create=True)
    await store.upsert([document("a", metadata={"at": "2026-03-01", "who": "Ada"})])
    assert (
        list(await store.select(Filter.parse({"at": {"$gt": "2026-02-28T23:00:00-01:00"}}))) == []
    )
    assert list(await store.select(Filter.parse({"at": {"$gte": "2026-03-01"}}))) == ["a"]
    assert list(await store.select(Filter.parse({"who": {"$prefix": "A"}}))) == ["a"]
    with pytest.raises(UnsupportedOperationError, match="cannot order texts"):
        await store.select(Filter.parse({"who": {"$gt": "A"}}))
    await store.upsert([document("b", metadata={"at": "some day"})])
    with pytest.raises(UnsupportedOperationError, match="cannot order texts"):
        await store.select(Filter.parse({"at": {"$gte": "2026-03-01"}}))


async def test_more_than_a_query_gives(
    server: WeaviateStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What finds as much as a query gives is read from end to end, and decided here."""
    server.most = 6
    monkeypatch.setattr(weaviate, "_MOST", 6)
    monkeypatch.setattr(weaviate, "_PAGE", 3)
    store = WeaviateStore(f"{server.url}/Many")
    await store.open(MODEL, DIMENSION, create=True)
    made = [document(f"d{n:02}", metadata={"n": n, "who": f"w{n}"}) for n in range(14)]
    await store.upsert(made)
    assert len((await store.refresh()).upserted) == 14
    for tree in (
        {"n": {"$gte": 3}},
        {"who": {"$prefix": "w"}},
        {"who": {"$contains": "w"}, "n": {"$ne": 5}},
    ):
        wanted = Filter.parse(tree)
        assert wanted is not None
        expected = [each.id for each in made if wanted.matches(each.metadata)]
        assert list(await store.select(wanted)) == expected
    assert len((await store.facets(["who"], None))["who"].values) == 14
    await store.aclose()


async def test_a_write_is_searched_when_it_returns(server: WeaviateStandIn) -> None:
    """With ``ASYNC_INDEXING`` vectors are searched later than objects are there."""
    server.lag = 5
    store = WeaviateStore(f"{server.url}/c")
    slept: list[float] = []
    store._points.sleep = slept.append  # type: ignore[attr-defined]  # time is ours
    await store.open(MODEL, DIMENSION, create=True)
    made = document("a")
    await store.upsert([made])
    assert [name for name, _ in await store.search(made.vector, 3, None)] == ["a"]
    assert len(slept) == 4
    server.lag = 10_000
    with pytest.raises(BackendError, match="not searched yet") as found:
        await store.upsert([document("b")])
    assert found.value.retryable
    server.telling, server.lag = False, 0
    await store.upsert([document("c")])
    await store.aclose()


async def test_two_services_see_each_other(base: str) -> None:
    async with (
        SearchService.from_url(base, embedder=FakeEmbedder()) as one,
        SearchService.from_url(base, embedder=FakeEmbedder()) as other,
    ):
        text = 'tides "{}" \0 \\ x'
        await one.index_batch([SearchDocument("a", text), SearchDocument('b"', "boats")])
        assert [hit.id for hit in await other.search("tides", threshold=1.0)] == ["a"]
        assert (await other.get("a")).content == text
        assert (await other.get('b"')).content == "boats"
        await other.delete("a")
        assert not await one.search("tides", threshold=1.0)


async def test_faults_of_the_server(server: WeaviateStandIn) -> None:
    store = WeaviateStore(f"{server.url}/c")
    slept: list[float] = []
    store._points._rest._sleep = slept.append  # type: ignore[attr-defined]  # time is ours
    await store.open(MODEL, DIMENSION, create=True)
    server.faults = [(429, {"error": [{"message": "busy"}]}, {"retry-after": "3"})]
    assert await store.count(None) == 0
    assert slept == [3.0]
    server.faults = [(200, {"data": None, "errors": [{"message": "secret words"}]})]
    with pytest.raises(BackendError, match="the query was refused") as found:
        await store.count(None)
    assert "secret" not in str(found.value)
    server.refused = {point_id("document", "d1")}
    made = [document(f"d{n}") for n in range(3)]
    with pytest.raises(BackendError, match="1 of 3 documents were refused"):
        await store.upsert(made)
    await store.upsert(made)
    assert await store.count(None) == 3
    await store.aclose()


async def test_the_key_is_sent_and_not_told() -> None:
    with WeaviateStandIn("secret-key") as server:
        good = WeaviateStore(f"{server.url}/c?tls=off", api_key="secret-key")
        await good.open(MODEL, DIMENSION, create=True)
        await good.aclose()
        bad = WeaviateStore(f"{server.url}/c?tls=off", api_key="secret-other")
        with pytest.raises(BackendError, match="HTTP 401") as found:
            await bad.open(MODEL, DIMENSION, create=True)
        assert "secret" not in str(found.value)
        assert not found.value.retryable
        await bad.aclose()


async def test_a_collection_of_others_is_left_alone(server: WeaviateStandIn) -> None:
    server.classes["Theirs"] = {"class": "Theirs", "properties": []}
    store = WeaviateStore(f"{server.url}/theirs")
    with pytest.raises(ConfigurationError, match="no index of semsearch"):
        await store.open(MODEL, DIMENSION, create=True)
    await store.aclose()


@pytest.mark.parametrize(
    "url",
    ["weaviate:///C", "weaviate://h/a-b", "weaviate://h/1a", "weaviate://h/C?index=ivf",
     "weaviate://u:pw@h/C", "weaviate://h/C?what=1"],
)  # fmt: skip
def test_wrong_urls(url: str) -> None:
    with pytest.raises(ConfigurationError) as found:
        WeaviateStore(url)
    assert "pw" not in str(found.value)
