"""The store in Qdrant: its suite, and filters that mean what the evaluator means.

The server is a stand-in over the client's local mode, or the one that ``QDRANT_URL`` names.
"""

import asyncio
import gc
import json
import os
import traceback
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checks import named
from property.test_filters import metadata, tree
from semsearch import (
    BackendError,
    ConfigurationError,
    InvalidDocument,
    SearchDocument,
    SearchService,
)
from semsearch.filters import Filter
from semsearch.ports import VectorStore
from semsearch.registry import store_from
from semsearch.settings import Settings
from semsearch.testing import DIMENSION, MODEL, FakeEmbedder, VectorStoreSuite, document

pytest.importorskip("qdrant_client")

from semsearch.adapters import qdrant
from semsearch.adapters.qdrant import QdrantStore
from standin_qdrant import QdrantStandIn


@pytest.fixture
def server() -> Iterator[QdrantStandIn]:
    with QdrantStandIn() as made:
        yield made


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a server, with a collection that nobody has."""
    base = os.environ.get("QDRANT_URL")
    if base is None:
        base = request.getfixturevalue("server").server.url.replace("http", "qdrant")
    return named(base, f"test_{uuid.uuid4().hex}")


class TestQdrantInMemory(VectorStoreSuite):
    @pytest.fixture
    def store(self) -> VectorStore:
        return QdrantStore("qdrant://")


class TestQdrantInAFolder(VectorStoreSuite):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[VectorStore]:
        store = QdrantStore(f"qdrant:///{tmp_path}/index")
        yield store
        await store.aclose()


class TestQdrantServer(VectorStoreSuite):
    @pytest.fixture
    async def store(self, url: str) -> AsyncIterator[VectorStore]:
        store = QdrantStore(url)
        yield store
        await store.aclose()


wide = st.one_of(
    st.integers(-(10**400), 10**400),
    st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1, 2.0**53, 1e300, -0.0, 10**300]),
    st.sampled_from(["3000-01-01", "9999-12-31", "0001-01-01", "2026-01-01T00:00:00.000001"]),
)
"""What is not exact as a float."""
places_strategy = st.one_of(
    metadata, st.dictionaries(st.sampled_from(["k", "name"]), st.one_of(wide, st.lists(wide)))
)
bounds = st.builds(
    lambda name, operator, value: {name: {operator: value}},
    st.sampled_from(["k", "name"]),
    st.sampled_from(["$gt", "$gte", "$lt", "$lte", "$eq", "$ne"]),
    st.one_of(wide, st.sampled_from([float("inf"), float("-inf")])),
)


async def check_filters(store: VectorStore, examples: int) -> None:
    """Ask ``store`` and the evaluator the same questions over many kinds of metadata."""
    found: list[dict[str, Any]] = []

    @given(places_strategy)
    @settings(max_examples=150, database=None, derandomize=True)
    def collect(made: dict[str, Any]) -> None:
        found.append(json.loads(json.dumps(made)))

    collect()
    await store.open(MODEL, DIMENSION, create=True)
    made = [document(f"d{n:03}", metadata=each) for n, each in enumerate(found)]
    await store.upsert(made)
    loop = asyncio.get_running_loop()

    @given(st.one_of(tree, bounds))
    @settings(
        max_examples=examples,
        suppress_health_check=[HealthCheck.too_slow],
        database=None,
    )
    def check(given_tree: dict[str, Any]) -> None:
        wanted = Filter.parse(given_tree)
        assert wanted is not None
        expected = [each.id for each in made if wanted.matches(each.metadata)]
        selected = asyncio.run_coroutine_threadsafe(store.select(wanted), loop).result(30)
        assert list(selected) == expected

    await asyncio.to_thread(check)


async def test_filters_mean_what_the_evaluator_means() -> None:
    await check_filters(QdrantStore("qdrant://"), 200)


async def test_filters_on_a_server(url: str) -> None:
    store = QdrantStore(url)
    await check_filters(store, 40)
    await store.aclose()


async def test_two_services_see_each_other(url: str) -> None:
    async with (
        SearchService.from_url(url, embedder=FakeEmbedder()) as one,
        SearchService.from_url(url, embedder=FakeEmbedder()) as other,
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


async def test_writers_that_come_later_are_followed(url: str) -> None:
    """Neither their documents nor the names in their metadata are missed."""
    one, other = QdrantStore(url), QdrantStore(url)
    for store in (one, other):
        await store.open(MODEL, DIMENSION, create=True)
    await one.upsert([document("a")])
    before = (await one.refresh()).position
    await other.upsert([document("b", metadata={"who": "Ada"})])
    assert [each.id for each in (await one.refresh(before)).upserted] == ["b"]
    assert list(await one.select(Filter.parse({"who": {"$prefix": "A"}}))) == ["b"]
    assert (await one.facets(["who"], None))["who"].values == [("Ada", 1)]
    for store in (one, other):
        await store.aclose()


async def test_what_a_killed_writer_left_is_told(server: QdrantStandIn) -> None:
    """Its documents are there, its number was never noted."""
    base = f"{server.server.url.replace('http', 'qdrant')}/cut"
    one, other = QdrantStore(base), QdrantStore(base)
    for store in (one, other):
        await store.open(MODEL, DIMENSION, create=True)
    await one.upsert([document("a")])
    before = (await other.refresh()).position
    collection: Any = one._points
    put = collection.put

    def cut(points: Any) -> None:
        put(points)
        raise BackendError("killed")

    collection.put = cut
    with pytest.raises(BackendError, match="killed"):
        await one.upsert([document("b")])
    collection.put = put
    assert {each.id for each in (await other.refresh(None)).upserted} == {"a", "b"}
    await one.upsert([document("c")])
    assert {each.id for each in (await other.refresh(before)).upserted} == {"b", "c"}
    for store in (one, other):
        await store.aclose()


# The client that is refused leaves a file open and, where it found a collection, a connection; it
# is Python 3.13 that tells of the latter.
@pytest.mark.filterwarnings("ignore:unclosed (file|database):ResourceWarning")
async def test_a_folder_is_kept_and_has_one_owner(tmp_path: Path) -> None:
    threads = ThreadPoolExecutor()
    asyncio.get_running_loop().set_default_executor(threads)
    one = QdrantStore(f"qdrant:///{tmp_path}/index")
    await one.open(MODEL, DIMENSION, create=True)
    await one.upsert([document("a", "text", {"n": 1})])
    other = QdrantStore(f"qdrant:///{tmp_path}/index")
    with pytest.raises(BackendError, match="already accessed"):
        await other.open(MODEL, DIMENSION, create=True)
    # whoever passed the error on holds it, and with it the client: the thread until its work is
    # over, the event loop until its next step
    threads.shutdown()
    await asyncio.sleep(0)
    gc.collect()  # here, where its warnings are expected
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())
    await one.aclose()
    await other.open(MODEL, DIMENSION, create=False)
    assert (await other.get(["a"]))["a"].metadata == {"n": 1}
    await other.aclose()


async def test_faults_of_the_server(server: QdrantStandIn) -> None:
    store = QdrantStore(f"{server.server.url.replace('http', 'qdrant')}/c")
    points: Any = store._points
    pauses: list[float] = []
    points._link.sleep = pauses.append
    await store.open(MODEL, DIMENSION, create=True)
    server.down = True
    with pytest.raises(BackendError, match="HTTP 503") as found:
        await store.count(None)
    assert found.value.retryable
    assert len(pauses) == 4
    server.down = False
    assert await store.count(None) == 0
    await store.aclose()
    lost = QdrantStore("qdrant://127.0.0.1:9/c")
    lost._points._link.sleep = pauses.append  # type: ignore[attr-defined]  # Qdrant's
    with pytest.raises(BackendError, match="ConnectError") as unreached:
        await lost.open(MODEL, DIMENSION, create=True)
    assert unreached.value.retryable


@pytest.mark.parametrize(
    "wrong", [[], {}, "text", 7, None, b"<html>", b"", {"result": None}, {"result": [{}]}], ids=repr
)
async def test_answers_of_another_shape(server: QdrantStandIn, wrong: Any) -> None:
    """What the client asserts, and what it reads as JSON without a look, are not let through."""
    store = QdrantStore(f"{server.server.url.replace('http', 'qdrant')}/c")
    points: Any = store._points
    points._link.sleep = lambda _: None
    await store.open(MODEL, DIMENSION, create=True)
    made = [document("a")]
    calls: list[Any] = [
        lambda: store.upsert(made), lambda: store.get(["a"]), lambda: store.count(None),
        lambda: store.search(made[0].vector, 3, None),
    ]  # fmt: skip
    for call in calls:
        server.faults = [(200, wrong)] * 99
        with pytest.raises(BackendError):
            await call()
        server.faults = []
    await store.aclose()


async def test_long_documents_go_in_several_requests(server: QdrantStandIn) -> None:
    """A request takes 32 MB; one document that is over it is refused before any is sent."""
    store = QdrantStore(f"{server.server.url.replace('http', 'qdrant')}/c")
    await store.open(MODEL, DIMENSION, create=True)
    await store.upsert([document(f"d{n}", "x" * 9_000_000) for n in range(5)])
    assert await store.count(None) == 5
    with pytest.raises(InvalidDocument, match="over what Qdrant takes"):
        await store.upsert([document("e"), document("f", "x" * 33_000_000)])
    assert await store.count(None) == 5
    await store.aclose()


async def test_what_nobody_wrote_is_not_asked_for(server: QdrantStandIn) -> None:
    """Fields without an index: servers in strict mode refuse filters by them."""
    url = f"{server.server.url.replace('http', 'qdrant')}/c"
    store, other = QdrantStore(url), QdrantStore(url)
    for each in (store, other):
        await each.open(MODEL, DIMENSION, create=True)
    await store.upsert([document("a", metadata={"k": "v"}), document("b")])
    for asked, expected in (
        ({"k": "v"}, ["a"]), ({"no": "v"}, []), ({"no": {"$ne": "v"}}, ["a", "b"]),
        ({"$or": [{"k": "v"}, {"no": 1}]}, ["a"]), ({"no": {"$gt": 1}}, []),
        ({"no": None}, ["a", "b"]),
    ):  # fmt: skip
        wanted = Filter.parse(asked)
        for each in (store, other):
            assert list(await each.select(wanted)) == expected
            assert await each.count(wanted) == len(expected)
            hits = await each.search(document("a").vector, 9, wanted)
            assert sorted(name for name, _ in hits) == expected
            await each.facets(["k", "no"], wanted)
    for each in (store, other):
        await each.aclose()


async def test_a_limit_of_the_server_is_waited_for(server: QdrantStandIn) -> None:
    """429 with ``Retry-After`` is another exception of the client than other answers."""
    store = QdrantStore(f"{server.server.url.replace('http', 'qdrant')}/c")
    points: Any = store._points
    pauses: list[float] = []
    points._link.sleep = pauses.append
    await store.open(MODEL, DIMENSION, create=True)
    said = {"status": {"error": "Rate limit of secret-project"}}
    server.faults = [(429, said, {"retry-after": "7"}), (429, said), (502, b"")]
    assert await store.count(None) == 0
    assert pauses[0] == 7
    assert len(pauses) == 3
    server.faults = [(429, said, {"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"})]
    assert await store.count(None) == 0
    server.faults = [(429, said, {"retry-after": "1"})] * 5
    with pytest.raises(BackendError, match="HTTP 429") as found:
        await store.count(None)
    assert found.value.retryable
    assert "secret" not in str(found.value)
    server.faults = [(400, said)]
    before = len(pauses)
    with pytest.raises(BackendError, match="HTTP 400") as refused:
        await store.count(None)
    assert "secret" not in "".join(traceback.format_exception(refused.value))
    assert not refused.value.retryable
    assert len(pauses) == before
    await store.aclose()


async def test_the_key_is_sent_and_not_told() -> None:
    with QdrantStandIn("secret-key") as server:
        base = f"{server.server.url.replace('http', 'qdrant')}/c?tls=off"
        good = QdrantStore(base, api_key="secret-key")
        await good.open(MODEL, DIMENSION, create=True)
        await good.aclose()
        bad = QdrantStore(base, api_key="secret-other")
        with pytest.raises(BackendError, match="HTTP 401") as found:
            await bad.open(MODEL, DIMENSION, create=True)
        assert "secret" not in str(found.value)
        assert not found.value.retryable
        await bad.aclose()


async def test_a_collection_of_others_is_left_alone(server: QdrantStandIn) -> None:
    from qdrant_client import models

    kind = models.VectorParams(size=DIMENSION, distance=models.Distance.DOT)
    server.local.create_collection("theirs", vectors_config=kind)
    server.indexes["theirs"] = {}
    store = QdrantStore(f"{server.server.url.replace('http', 'qdrant')}/theirs")
    with pytest.raises(ConfigurationError, match="no index of semsearch"):
        await store.open(MODEL, DIMENSION, create=True)
    await store.aclose()


async def test_too_many_values_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qdrant, "MOST_VALUES", 3)
    async with SearchService(store=QdrantStore("qdrant://"), embedder=FakeEmbedder()) as search:
        await search.index_batch([SearchDocument(f"d{n}", "x", {"who": f"w{n}"}) for n in range(4)])
        assert await search.count({"who": "w1"}) == 1
        with pytest.raises(qdrant.UnsupportedOperationError, match="'who' has over 3 values"):
            await search.count({"who": {"$prefix": "w"}})


def test_settings_name_it() -> None:
    made = store_from(
        Settings.from_mapping(
            {"vector_db": {"type": "qdrant", "url": "http://h:6333", "collection": "talks"}}
        )
    )
    assert isinstance(made, QdrantStore)
    assert made._where == "qdrant://h:6333"


@pytest.mark.parametrize(
    ("url", "more"),
    [
        ("qdrant://h/c?index=ivf", {}),
        ("qdrant://h/c?what=1", {}),
        ("qdrant:///folder?index=none", {}),
        ("qdrant://user:pw@h/c", {}),
        ("qdrant://", {"api_key": "k"}),
        ("qdrant://h/a%2Fb", {}),
        ("qdrant://h/a/b", {}),
        ("qdrant://h", {"collection": "../x"}),
    ],
)
def test_wrong_urls(url: str, more: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as found:
        QdrantStore(url, **more)
    assert "pw" not in str(found.value)


def test_what_each_mode_can_do(tmp_path: Path) -> None:
    server = QdrantStore("qdrant://host:6333").capabilities
    folder = QdrantStore(f"qdrant:///{tmp_path}").capabilities
    memory = QdrantStore("qdrant://").capabilities
    assert (server.shared, server.durable, server.atomic) == (True, True, False)
    assert (folder.shared, folder.durable, folder.atomic) == (False, True, True)
    assert (memory.shared, memory.durable, memory.atomic) == (False, False, True)
