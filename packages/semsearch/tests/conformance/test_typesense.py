"""The words in Typesense: the suite, filters, faults.

The server is a stand-in, or the one that ``TYPESENSE_URL`` and ``TYPESENSE_API_KEY`` name.
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
)
from semsearch.adapters.bm25 import BM25Index
from semsearch.ports import Changes, KeywordIndex
from semsearch.registry import keyword_index
from semsearch.settings import SearchSettings
from semsearch.testing import FakeEmbedder, KeywordIndexSuite, document

pytest.importorskip("httpx")

from semsearch.adapters import typesense
from semsearch.adapters.typesense import TypesenseIndex
from semsearch.adapters.typesense_query import id_of
from standin_typesense import TypesenseStandIn

REAL, KEY = os.environ.get("TYPESENSE_URL"), os.environ.get("TYPESENSE_API_KEY", "key")


@pytest.fixture
def server() -> Iterator[TypesenseStandIn]:
    with TypesenseStandIn() as made:
        yield made


@pytest.fixture
async def index(request: pytest.FixtureRequest) -> AsyncIterator[TypesenseIndex]:
    name = f"test-{uuid.uuid4().hex}"
    url = REAL or f"{request.getfixturevalue('server').url}?tls=off"
    made = TypesenseIndex(named(url, name), api_key=KEY)
    yield made
    await made.aclose()


class TestTypesenseIndex(KeywordIndexSuite):
    @pytest.fixture
    def index(self, index: TypesenseIndex) -> KeywordIndex:
        return index


async def test_filters_mean_what_the_evaluator_means(index: TypesenseIndex) -> None:
    decided, refused = await check_filters(index, 60)
    assert decided > refused


async def test_it_ranks_as_the_embedded_index(index: TypesenseIndex) -> None:
    """Pages, many terms, changes: scores to nine digits, ties by id."""
    embedded = BM25Index()
    made = [document(f"d{n:03}", f"alpha {'beta ' * (n % 4)}gamma{n % 7}") for n in range(300)]
    for each in (
        Changes(upserted=made),
        Changes(upserted=[document("d3", "beta")], deleted=["d7"]),
    ):
        await index.apply(each)
        await embedded.apply(each)
    for text in ("alpha beta", "gamma2 gamma3", " ".join(f"gamma{n}" for n in range(60)), "no"):
        expected = await embedded.search(embedded.terms(text), 50, None)
        found = await index.search(index.terms(text), 50, None)
        assert [name for name, _ in found] == [name for name, _ in expected]
        assert [s for _, s in found] == pytest.approx([s for _, s in expected], abs=1e-9)


async def test_frequent_words_count_and_find_nothing_alone(
    index: TypesenseIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(typesense, "_CANDIDATES", 4)
    made = [document(f"d{n}", f"common {'rare' if n < 3 else 'other'}") for n in range(10)]
    await index.apply(Changes(upserted=made))
    hits = await index.search(index.terms("common rare"), 50, None)
    assert [name for name, _ in hits] == ["d0", "d1", "d2"]
    assert len(await index.search(index.terms("common"), 50, None)) == 10


async def test_filters_past_what_the_server_takes_say_so(index: TypesenseIndex) -> None:
    """It counts conditions and what joins them, the words' own condition among them."""
    await index.apply(Changes(upserted=[document("d1", "word", {"n": 1})]))

    def wanted(count: int) -> Filter:
        return Filter.parse({"$or": [{"n": number} for number in range(1, count + 1)]})

    hits = await index.search({"word": 1.0}, 9, wanted(49))
    assert [name for name, _ in hits] == ["d1"]
    with pytest.raises(UnsupportedOperationError, match=r"49 conditions in a filter.*\$in"):
        await index.search({"word": 1.0}, 9, wanted(50))
    assert await index.search({"word": 1.0}, 9, Filter.parse({"n": list(range(500))})) == hits


async def test_a_service_on_it(server: TypesenseStandIn) -> None:
    def made() -> TypesenseIndex:
        return TypesenseIndex(f"{server.url}/words?tls=off", api_key="key")

    async with (
        SearchService.from_url("memory://", keywords=made(), embedder=FakeEmbedder()) as one,
    ):
        await one.index_batch([SearchDocument("a", "tides l'été"), SearchDocument("b", "boats")])
        assert [hit.id for hit in await one.search("tides", threshold=1.0)] == ["a"]
        assert await one.search("tides", query_expansion=True)
        await one.delete("a")
        assert not await one.search("tides", threshold=1.0)
        assert (await one.repair()).differences == 0


async def test_faults_of_the_server(server: TypesenseStandIn) -> None:
    index = TypesenseIndex(f"{server.url}/words?tls=off", api_key="key")
    slept: list[float] = []
    index._rest._sleep = slept.append
    made = [document(f"d{n}", "word") for n in range(3)]
    server.refused = {id_of("d1")}
    with pytest.raises(BackendError, match="1 of 3 documents were refused") as found:
        await index.apply(Changes(upserted=made))
    assert found.value.retryable
    await index.apply(Changes(upserted=made))
    assert set(await index.documents()) == {"d0", "d1", "d2"}
    server.faults = [(503, {"message": "Not Ready or Lagging"}, {"retry-after": "1"})]
    assert len(await index.search({"word": 1.0}, 9, None)) == 3
    assert slept == [1.0]
    server.faults = [(200, {"results": [{"code": 400, "error": "secret"}]})]
    with pytest.raises(BackendError, match="the query was refused") as found:
        await index.search({"word": 1.0}, 9, Filter.parse({"a": 1}))
    assert "secret" not in str(found.value)
    partly = {"found": 0, "hits": [], "facet_counts": [], "search_cutoff": True}
    server.faults = [(200, {"results": [partly, partly]})]
    with pytest.raises(BackendError, match="in part") as found:
        await index.search({"word": 1.0}, 9, None)
    assert found.value.retryable
    await index.aclose()


async def test_the_key_is_sent_and_not_told(server: TypesenseStandIn) -> None:
    bad = TypesenseIndex(f"{server.url}/words?tls=off", api_key="secret")
    with pytest.raises(BackendError, match="HTTP 401") as found:
        await bad.apply(Changes(upserted=[document("a")]))
    assert "secret" not in f"{found.value}{bad._rest!r}"
    await bad.aclose()


async def test_a_collection_of_others_is_left_alone(server: TypesenseStandIn) -> None:
    server.collections["theirs"] = {"name": "theirs", "fields": []}
    index = TypesenseIndex(f"{server.url}/theirs?tls=off", api_key="key")
    with pytest.raises(ConfigurationError, match="no index of semsearch"):
        await index.apply(Changes())
    await index.aclose()


def test_settings_name_it() -> None:
    made = keyword_index(SearchSettings(keyword="typesense://h/words", keyword_api_key="k"))
    assert isinstance(made, TypesenseIndex)
    for keyword in ("bm25", "tantivy", "postgresql://h/d"):
        with pytest.raises(ConfigurationError, match="keyword_api_key"):
            keyword_index(SearchSettings(keyword=keyword, keyword_api_key="k"))


@pytest.mark.parametrize(
    ("url", "key"),
    [("typesense://h/words", None), ("typesense:///words", "k"), ("typesense://h/a/b", "k"),
     ("typesense://u:pw@h/words", "k"), ("typesense://h/w?what=1", "k")],
)  # fmt: skip
def test_wrong_urls(url: str, key: str | None) -> None:
    with pytest.raises(ConfigurationError) as found:
        TypesenseIndex(url, api_key=key)
    assert "pw" not in str(found.value)
