"""Elasticsearch as store and as keyword index: their suites, filters, faults.

The server is a stand-in, or the one that ``ELASTICSEARCH_URL`` names.
"""

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

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
)
from semsearch.ports import Changes, KeywordIndex, VectorStore
from semsearch.testing import (
    DIMENSION,
    MODEL,
    FakeEmbedder,
    KeywordIndexSuite,
    VectorStoreSuite,
    document,
)  # fmt: skip

pytest.importorskip("httpx")

from semsearch.adapters.elasticsearch import ElasticsearchIndex, ElasticsearchStore
from semsearch.adapters.elasticsearch import server as module
from semsearch.adapters.elasticsearch.server import Server
from standin_elasticsearch import ElasticsearchStandIn

REAL = os.environ.get("ELASTICSEARCH_URL")


def drop(server: Server) -> None:
    """Leave nothing on a server that is not ours."""
    server.rest.ask("DELETE", f"/{server.index}", well=frozenset({404}))


@pytest.fixture
def server() -> Iterator[ElasticsearchStandIn]:
    with ElasticsearchStandIn() as made:
        yield made


@pytest.fixture
def base(request: pytest.FixtureRequest) -> str:
    """The URL of a server, with an index that nobody has."""
    url = REAL or request.getfixturevalue("server").url
    return named(url, f"test-{uuid.uuid4().hex}")


@pytest.fixture(params=["hnsw", "none"])
async def store(request: pytest.FixtureRequest, base: str) -> AsyncIterator[ElasticsearchStore]:
    made = ElasticsearchStore(f"{base}{'&' if '?' in base else '?'}index={request.param}")
    yield made
    if REAL:
        drop(made._points._server)  # type: ignore[attr-defined]  # Elasticsearch's own
    await made.aclose()


@pytest.fixture
async def index(base: str) -> AsyncIterator[ElasticsearchIndex]:
    made = ElasticsearchIndex(base)
    yield made
    if REAL:
        drop(made._server)
    await made.aclose()


class TestElasticsearchStore(VectorStoreSuite):
    @pytest.fixture
    def store(self, store: ElasticsearchStore) -> VectorStore:
        return store


class TestElasticsearchIndex(KeywordIndexSuite):
    @pytest.fixture
    def index(self, index: ElasticsearchIndex) -> KeywordIndex:
        return index


async def test_filters_of_the_store(base: str) -> None:
    store = ElasticsearchStore(base)
    assert (await check_filters(store, 80))[1] == 0
    await store.aclose()


async def test_filters_of_the_words(index: ElasticsearchIndex) -> None:
    assert (await check_filters(index, 40))[1] == 0


async def test_one_index_is_one_thing(base: str, index: ElasticsearchIndex) -> None:
    await index.apply(Changes(upserted=[document("a")]))
    store = ElasticsearchStore(base)
    with pytest.raises(ConfigurationError, match="words alone"):
        await store.open(MODEL, DIMENSION, create=True)
    await store.aclose()


async def test_an_index_of_others_is_left_alone(server: ElasticsearchStandIn) -> None:
    from standin_elasticsearch import Index

    server.indexes["theirs"] = Index({"properties": {}}, bare=False)
    store = ElasticsearchStore(f"{server.url}/theirs")
    with pytest.raises(ConfigurationError, match="no index of semsearch"):
        await store.open(MODEL, DIMENSION, create=True)
    await store.aclose()


async def test_a_service_on_both(base: str) -> None:
    """What one service writes the other one finds, and what is deleted no side returns."""
    kw = {"keyword": base.replace("/test-", "/words-"), "embedder": FakeEmbedder()}
    async with (
        SearchService.from_url(base, **kw) as one,
        SearchService.from_url(base, **kw) as other,
    ):
        await one.index_batch(
            [SearchDocument("a", "tides \0 x"), SearchDocument("b", "boats", {"n": 1})]
        )
        assert [hit.id for hit in await other.search("tides", threshold=1.0)] == ["a"]
        assert (await other.get("a")).content == "tides \0 x"
        await other.delete("a")
        for side in (one, other):
            assert not await side.search("tides", threshold=1.0)
            assert [hit.id for hit in await side.search("x", threshold=0.0)] == ["b"]
            assert (await side.repair()).differences == 0


async def test_a_new_process_writes_the_difference_alone(server: ElasticsearchStandIn) -> None:
    url = f"{server.url}/words"
    made = [document(f"d{n}", f"word{n}") for n in range(5)]
    one = ElasticsearchIndex(url)
    await one.apply(Changes(reset=True, upserted=made))
    await one.aclose()
    server.server.requests.clear()
    other = ElasticsearchIndex(url)
    now = [*made[:3], document("d3", "changed", seed=1), document("new", "fresh")]
    await other.apply(Changes(reset=True, upserted=now))
    [gone, put] = [r.body for r in server.server.requests if "_bulk" in r.path]
    assert gone.count(b'"delete"') == 1
    assert put.count(b'"index"') == 2
    assert set(await other.documents()) == {each.id for each in now}
    await other.aclose()


@pytest.mark.parametrize("old", [True, False])
async def test_vectors_come_back_from_old_servers_and_new(old: bool) -> None:
    """From 9.2 on an index leaves vectors out of documents, if it was not made otherwise."""
    with ElasticsearchStandIn(old=old) as server:
        store = ElasticsearchStore(f"{server.url}/x")
        await store.open(MODEL, DIMENSION, create=True)
        await store.upsert([document("a"), document("b")])
        found = [*(await store.get(["a"])).values(), *(await store.refresh()).upserted]
        assert [each.id for each in found] == ["a", "a", "b"]
        assert all(each.vector.shape == (DIMENSION,) for each in found)
        await store.aclose()


async def test_an_index_that_leaves_vectors_out_says_so(server: ElasticsearchStandIn) -> None:
    store = ElasticsearchStore(f"{server.url}/x")
    await store.open(MODEL, DIMENSION, create=True)
    server.indexes["x"].bare = True
    await store.upsert([document("a")])
    for call in (lambda: store.get(["a"]), store.refresh):
        with pytest.raises(ConfigurationError, match="without their vectors"):
            await call()
    assert list(await store.select(None)) == ["a"]
    await store.aclose()


async def test_requests_stay_below_what_the_server_takes(
    server: ElasticsearchStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long documents go in several requests; one that is too long for any is refused before."""
    monkeypatch.setattr(module, "_BATCH_BYTES", 200_000)
    monkeypatch.setattr(module, "_MOST_BYTES", 400_000)
    server.most = 400_000
    index = ElasticsearchIndex(f"{server.url}/words")
    store = ElasticsearchStore(f"{server.url}/x")
    await store.open(MODEL, DIMENSION, create=True)
    long = [document(f"d{n}", "wort " * 12_000, {"tags": [f"t{n}"] * 3}) for n in range(9)]
    await index.apply(Changes(upserted=long))
    assert len(await index.documents()) == 9
    await store.upsert(long)
    assert await store.count(None) == 9
    for each in (
        document("e", "wort " * 90_000),
        document("e", metadata={"n": list(range(30_000))}),
    ):
        with pytest.raises(InvalidDocument, match=r"over what Elasticsearch takes \(400000\)"):
            await store.upsert([document("f"), each])
    assert await store.count(None) == 9
    await store.aclose()
    await index.aclose()


async def test_facets_of_long_names(base: str) -> None:
    """The pattern that chooses their values has 1000 characters at most."""
    store = ElasticsearchStore(base)
    await store.open(MODEL, DIMENSION, create=True)
    long, longer = "n" * 497, "n" * 498
    await store.upsert([document("a", metadata={long: "x", longer: "y"})])
    assert (await store.facets([long], None))[long].values == [("x", 1)]
    with pytest.raises(UnsupportedOperationError, match=r"too long a name.*497 bytes"):
        await store.facets([longer], None)
    assert list(await store.select(Filter.parse({longer: "y"}))) == ["a"]
    await store.aclose()


async def test_partly_refused(server: ElasticsearchStandIn) -> None:
    """What the server was too busy for is sent again, and nothing else."""
    from semsearch.adapters.point_changes import point_id

    store = ElasticsearchStore(f"{server.url}/x")
    slept: list[float] = []
    store._points._server.rest._sleep = slept.append  # type: ignore[attr-defined]  # time is ours
    await store.open(MODEL, DIMENSION, create=True)
    made = [document(f"d{n}") for n in range(4)]
    names = [point_id("document", each.id) for each in made]
    server.refused = {names[1]: 429, names[2]: 503}
    server.server.requests.clear()
    await store.upsert(made)
    sent = [request.body for request in server.server.requests if "_bulk" in request.path]
    which = [[name.encode() in body for name in names] for body in sent]
    assert [each for each in which if any(each)] == [[True] * 4, [False, True, True, False]]
    assert len(slept) == 1
    server.always = {names[1]: 429, names[2]: 429}
    with pytest.raises(BackendError, match=r"2 of .* documents .*es_rejected") as found:
        await store.upsert(made)
    assert found.value.retryable
    assert len(slept) == 5
    server.always = {names[1]: 429, names[2]: 400}
    with pytest.raises(BackendError, match="mapper_exception") as found:
        await store.upsert(made)
    assert not found.value.retryable
    assert len(slept) == 5
    server.always = {}
    await store.upsert(made)
    assert {each.id for each in (await store.refresh()).upserted} == {each.id for each in made}
    await store.aclose()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/x/_search?preference=_local&nonsense=1", {"query": {"match_all": {}}}),
        ("POST", "/x/_search", {"query": {"match_all": {}}, "nonsense": 1}),
        ("POST", "/x/_delete_by_query?refresh=wait_for", {"query": {"match_all": {}}}),
        ("POST", "/x/_count", {"query": {"match_all": {}}, "size": 1}),
        ("POST", "/x/_nonsense", {}),
        ("PUT", "/x/_bulk", None),
    ],
)
async def test_the_stand_in_refuses_what_the_api_does_not_have(
    server: ElasticsearchStandIn, method: str, path: str, body: Any
) -> None:
    store = ElasticsearchStore(f"{server.url}/x")
    await store.open(MODEL, DIMENSION, create=True)
    rest = store._points._server.rest  # type: ignore[attr-defined]  # as the adapter asks
    with pytest.raises(BackendError, match=r"HTTP 40\d"):
        rest.ask(method, path, body)
    await store.aclose()


async def test_faults_of_the_server(server: ElasticsearchStandIn) -> None:
    store = ElasticsearchStore(f"{server.url}/x")
    slept: list[float] = []
    store._points._server.rest._sleep = slept.append  # type: ignore[attr-defined]  # time is ours
    await store.open(MODEL, DIMENSION, create=True)
    busy = (
        429,
        {"error": {"type": "circuit_breaking_exception", "reason": "r"}},
        {"retry-after": "7"},
    )
    server.faults = [busy, busy]
    assert await store.count(None) == 0
    assert slept == [7.0, 7.0]
    server.faults = [busy] * 5
    with pytest.raises(BackendError, match="HTTP 429 circuit_breaking_exception") as found:
        await store.count(None)
    assert found.value.retryable
    server.faults = [(200, b"<html>")]
    with pytest.raises(BackendError, match="no JSON"):
        await store.count(None)
    partly = {"timed_out": True, "_shards": {"failed": 0}, "hits": {"hits": []}}
    server.faults = [(200, partly)]
    with pytest.raises(BackendError, match="in part"):
        await store.refresh()
    await store.aclose()
    lost = ElasticsearchStore("elasticsearch://127.0.0.1:9/x")
    lost._points._server.rest._sleep = slept.append  # type: ignore[attr-defined]  # as above
    with pytest.raises(BackendError, match="ConnectError") as found:
        await lost.open(MODEL, DIMENSION, create=True)
    assert found.value.retryable


async def test_the_key_is_sent_and_not_told() -> None:
    with ElasticsearchStandIn("ApiKey c2VjcmV0") as server:
        url = f"{server.url}/x?tls=off"
        good = ElasticsearchStore(url, api_key="c2VjcmV0")
        await good.open(MODEL, DIMENSION, create=True)
        await good.aclose()
        bad = ElasticsearchStore(url, api_key="c2VjcmV0LW90aGVy")
        with pytest.raises(BackendError, match="HTTP 401") as found:
            await bad.open(MODEL, DIMENSION, create=True)
        assert "c2VjcmV0" not in f"{found.value}{bad._points._server.rest!r}"  # type: ignore[attr-defined]
        assert not found.value.retryable
        await bad.aclose()
    with ElasticsearchStandIn("Basic ZWxhc3RpYzpwQHNz") as server:
        named = server.url.replace("://", "://elastic:p%40ss@")
        store = ElasticsearchStore(f"{named}/x?tls=off")
        await store.open(MODEL, DIMENSION, create=True)
        assert "p%40ss" not in store._where
        await store.aclose()


async def test_what_cannot_be_a_word_is_refused(base: str) -> None:
    store = ElasticsearchStore(base)
    await store.open(MODEL, DIMENSION, create=True)
    with pytest.raises(InvalidDocument, match="over 8000 bytes"):
        await store.upsert([document("a", metadata={"abstract": "x" * 9000})])
    with pytest.raises(InvalidDocument, match="1e308"):
        await store.upsert([document("a", metadata={"n": 10**400})])
    assert await store.count(None) == 0
    with pytest.raises(ConfigurationError, match="4096 dimensions"):
        await ElasticsearchStore(base).open(MODEL, 5000, create=True)
    await store.aclose()


@pytest.mark.parametrize(
    "url",
    [
        "elasticsearch:///x",
        "elasticsearch://h/a/b",
        "elasticsearch://h/_all",
        "elasticsearch://h/A",
        "elasticsearch://h/a*",
        "elasticsearch://h/x?index=ivf",
        "elasticsearch://h/x?shards=0",
        "elasticsearch://u:pw@h/x?what=1",
    ],
)
def test_wrong_urls(url: str) -> None:
    with pytest.raises(ConfigurationError) as found:
        ElasticsearchStore(url)
    assert "pw" not in str(found.value)
