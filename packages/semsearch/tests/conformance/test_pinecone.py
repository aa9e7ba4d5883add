"""The store in Pinecone: its suite, filters, delays, faults.

The server is a stand-in, or Pinecone itself where ``PINECONE_API_KEY`` is set; ``PINECONE_URL``
names another control plane, as that of an emulator.
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
    InvalidDocument,
    SearchDocument,
    SearchService,
    UnsupportedOperationError,
)  # fmt: skip
from semsearch.ports import VectorStore
from semsearch.registry import store_from
from semsearch.settings import Settings
from semsearch.testing import DIMENSION, MODEL, FakeEmbedder, VectorStoreSuite, document

pytest.importorskip("httpx")

from semsearch.adapters.pinecone import PineconeStore
from standin_pinecone import PineconeStandIn

KEY = os.environ.get("PINECONE_API_KEY")
REAL = os.environ.get("PINECONE_URL", "pinecone://api.pinecone.io") if KEY else None


@pytest.fixture
def server() -> Iterator[PineconeStandIn]:
    with PineconeStandIn() as made:
        yield made


def made_for(server: PineconeStandIn, key: str = "key") -> PineconeStore:
    store = PineconeStore(f"{server.url}/docs?tls=off", api_key=key)
    store._points._link.sleep = lambda _: None  # type: ignore[attr-defined]  # time is ours
    return store


@pytest.fixture
async def store(request: pytest.FixtureRequest) -> AsyncIterator[PineconeStore]:
    if REAL:
        # one index for all of these tests but that of an index that is not there
        missing = "missing_index" in request.node.name
        base = named(REAL, f"semsearch-{uuid.uuid4().hex[:8] if missing else 'test'}")
        space = f"{'&' if '?' in base else '?'}namespace={uuid.uuid4().hex}"
        made = PineconeStore(f"{base}{space}", api_key=KEY)
    else:
        made = made_for(request.getfixturevalue("server"))
    yield made
    await made.aclose()


class TestPineconeStore(VectorStoreSuite):
    @pytest.fixture
    def store(self, store: PineconeStore) -> VectorStore:
        return store


async def test_filters_mean_what_the_evaluator_means(store: PineconeStore) -> None:
    decided, refused = await check_filters(store, 80)
    assert decided > refused


async def test_what_it_cannot_is_refused(store: PineconeStore) -> None:
    await store.open(MODEL, DIMENSION, create=True)
    await store.upsert([document("a", metadata={"at": "2026-03-01", "who": "Ada"})])
    assert list(await store.select(Filter.parse({"at": {"$lt": "2026-03-02"}}))) == ["a"]
    for tree in ({"who": {"$prefix": "A"}}, {"who": {"$contains": "A"}}, {"who": {"$gt": "A"}}):
        with pytest.raises(UnsupportedOperationError, match="Pinecone cannot"):
            await store.select(Filter.parse(tree))
    with pytest.raises(UnsupportedOperationError, match="no float is equal"):
        await store.select(Filter.parse({"n": {"$gt": 2**53 + 1}}))


async def test_a_long_document_is_refused(store: PineconeStore) -> None:
    await store.open(MODEL, DIMENSION, create=True)
    await store.upsert([document("a", "x" * PineconeStore.capabilities.most_bytes)])  # type: ignore[operator]
    with pytest.raises(InvalidDocument, match="30000 bytes"):
        await store.upsert([document("b"), document("c", "x" * 41_000)])
    assert await store.count(None) == 1


async def test_a_write_is_seen_when_it_returns(server: PineconeStandIn) -> None:
    server.delay = 5
    store = made_for(server)
    await store.open(MODEL, DIMENSION, create=True)
    await store.upsert([document("a")])
    assert await store.count(None) == 1
    server.delay = 10_000
    with pytest.raises(BackendError, match="not visible yet") as found:
        await store.upsert([document("b")])
    assert found.value.retryable
    await store.aclose()


async def test_a_server_that_numbers_nothing(server: PineconeStandIn) -> None:
    """A write is seen when it returns, by what was written."""
    server.delay, server.numbered = 5, False
    store = made_for(server)
    await store.open(MODEL, DIMENSION, create=True)
    await store.upsert([document("a"), document("b")])
    assert await store.count(None) == 2
    assert await store.delete(["a"]) == ["a"]
    assert await store.count(None) == 1
    server.delay = 10_000
    with pytest.raises(BackendError, match="not visible yet"):
        await store.upsert([document("c")])
    await store.aclose()


async def test_long_documents_go_in_several_requests(server: PineconeStandIn) -> None:
    """A request takes 2 MB, and an answer to a query 4 MB: 150 documents have 5 MB."""
    store = made_for(server)
    await store.open(MODEL, DIMENSION, create=True)
    made = [document(f"d{n:03}", "x" * 30_000) for n in range(150)]
    await store.upsert(made)
    assert await store.count(None) == 150
    for limit in (10, 140, 1001):
        hits = await store.search(made[0].vector, limit, None)
        assert len(hits) == min(limit, 150)
        assert hits[0][1] == pytest.approx(1)
    await store.aclose()


async def test_two_services_see_each_other(server: PineconeStandIn) -> None:
    async with (
        SearchService(store=made_for(server), embedder=FakeEmbedder()) as one,
        SearchService(store=made_for(server), embedder=FakeEmbedder()) as other,
    ):
        await one.index_batch([SearchDocument("a", "tides \0 x"), SearchDocument("b", "boats")])
        assert [hit.id for hit in await other.search("tides", threshold=1.0)] == ["a"]
        assert (await other.get("a")).content == "tides \0 x"
        await other.delete("a")
        assert not await one.search("tides", threshold=1.0)


async def test_faults_of_the_server(server: PineconeStandIn) -> None:
    store = made_for(server)
    await store.open(MODEL, DIMENSION, create=True)
    slept: list[float] = []
    store._points._link.data._sleep = slept.append  # type: ignore[attr-defined]  # time is ours
    busy = (429, {"code": 8, "message": "secret", "details": []}, {"retry-after": "2"})
    server.faults = [busy]
    assert await store.count(None) == 0
    assert slept == [2.0]
    server.faults = [busy] * 5
    with pytest.raises(BackendError, match="HTTP 429 code 8") as found:
        await store.count(None)
    assert found.value.retryable
    assert "secret" not in str(found.value)
    await store.aclose()
    other = made_for(server)
    with pytest.raises(ConfigurationError, match="8 dimensions"):
        await other.open(MODEL, DIMENSION + 1, create=True)
    await other.aclose()


async def test_the_key_is_sent_and_not_told(server: PineconeStandIn) -> None:
    bad = made_for(server, "secret-other")
    with pytest.raises(BackendError, match="HTTP 401") as found:
        await bad.open(MODEL, DIMENSION, create=True)
    assert "secret" not in f"{found.value}{bad._points._link.control!r}"  # type: ignore[attr-defined]
    assert not found.value.retryable
    await bad.aclose()


def test_settings_name_it() -> None:
    made = {
        "type": "pinecone",
        "url": "https://api.pinecone.io",
        "api_key": "k",
        "collection": "talks",
    }
    assert isinstance(store_from(Settings.from_mapping({"vector_db": made})), PineconeStore)


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("pinecone://api.pinecone.io/docs", None),
        ("pinecone:///docs", "k"),
        ("pinecone://h/Docs", "k"),
        ("pinecone://h/docs?namespace=a%2Fb", "k"),
        ("pinecone://u:pw@h/docs", "k"),
        ("pinecone://h/docs?what=1", "k"),
    ],
)
def test_wrong_urls(url: str, key: str | None) -> None:
    with pytest.raises(ConfigurationError) as found:
        PineconeStore(url, api_key=key)
    assert "pw" not in str(found.value)
