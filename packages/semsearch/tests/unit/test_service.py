"""What the search promises."""

import logging
from typing import Any

import numpy as np
import pytest

from semsearch import (
    ConfigurationError,
    DimensionMismatch,
    DocumentNotFound,
    EmbeddingError,
    InvalidDocument,
    InvalidFilter,
    SearchDocument,
    SearchQuery,
    SearchService,
    Settings,
)
from semsearch.adapters.bm25 import BM25Index
from semsearch.adapters.embedders import CallableEmbedder
from semsearch.adapters.memory import MemoryStore
from semsearch.errors import BackendError
from semsearch.ports import Reranker
from semsearch.testing import FakeEmbedder

DOCS = [
    SearchDocument(
        "moon", "The moon pulls the tides. Tides rise twice a day.", {"topic": "sea", "n": 1}
    ),
    SearchDocument("boat", "Boats wait in the harbour for high water.", {"topic": "sea", "n": 2}),
    SearchDocument("tax", "The budget meeting was about taxes.", {"topic": "money", "n": 3}),
    SearchDocument(
        "mond", "Der Mond zieht die Gezeiten.", {"topic": "sea", "language": "de", "n": 4}
    ),
]


async def ids(service: SearchService, query: str, **kw: Any) -> list[str]:
    return [hit.id for hit in await service.search(query, **kw)]


@pytest.fixture
async def full(search: SearchService) -> SearchService:
    await search.index_batch(DOCS)
    return search


async def test_words_vectors_and_languages(full: SearchService) -> None:
    assert (await ids(full, "tide"))[0] == "moon"
    assert (await ids(full, "Gezeiten"))[0] == "mond"
    assert "tax" in await ids(full, "taxes", hybrid=False, threshold=0.0)


async def test_scores_are_shares_and_sides_are_shown(full: SearchService) -> None:
    found = await full.search("tides moon")
    assert found[0].id == "moon"
    assert all(0 <= hit.score <= 1 for hit in found)
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
    assert found[0].scores.keys() == {"dense", "bm25"}
    assert found.took >= 0
    assert found.degraded is None


async def test_threshold_never_drops_a_keyword_match(full: SearchService) -> None:
    assert await ids(full, "tides", threshold=1.0) == ["moon"]
    assert await ids(full, "tides", threshold=1.0, hybrid=False) == []


async def test_highlights_are_escaped_and_by_stems(search: SearchService) -> None:
    await search.index(
        SearchDocument("x", "A <script>alert(1)</script> boat. Nothing here. Two boats & a ship.")
    )
    [hit] = await search.search("boat")
    assert hit.highlights == [
        "A &lt;script&gt;alert(1)&lt;/script&gt; <mark>boat</mark>.",
        "Two <mark>boats</mark> &amp; a ship.",
    ]
    [bare] = await search.search("boat", highlight=False)
    assert bare.highlights is None


async def test_facets_paging_and_filters(full: SearchService) -> None:
    found = await full.search("moon tides water", facets=["topic", "language"], limit=1)
    assert found.facets["topic"].values == [("sea", 3), ("money", 1)]
    assert found.facets["language"].values == [("de", 1)]
    pages = [
        (await full.search("moon tides water", limit=1, offset=n, threshold=0))[0].id
        for n in range(4)
    ]
    assert sorted(pages) == ["boat", "mond", "moon", "tax"]
    assert await ids(full, "moon tax", filters={"topic": "money"}) == ["tax"]
    assert await ids(full, "moon", filters={"n": {"$gt": 3}}) == ["mond"]
    for bad in (
        {"n": {"$near": 1}},
        {"$xor": []},
        {"n": {}},
        {"n": {"$in": 3}},
        {"n": object()},
        [1],
    ):
        with pytest.raises(InvalidFilter):
            await full.search("moon", filters=bad)  # type: ignore[arg-type]


async def test_upsert_embeds_only_what_changed(
    search: SearchService, embedder: FakeEmbedder
) -> None:
    report = await search.index_batch(DOCS)
    assert sorted(report.indexed) == ["boat", "mond", "moon", "tax"]
    calls = len(embedder.texts)
    report = await search.index_batch(DOCS)
    assert (report.indexed, len(report.unchanged)) == ([], 4)
    report = await search.index(SearchDocument("tax", DOCS[2].content, {"topic": "law"}))
    assert report.updated == ["tax"]
    assert len(embedder.texts) == calls
    assert await ids(search, "taxes", filters={"topic": "law"}) == ["tax"]
    report = await search.update("tax", SearchDocument("tax", "Something about whales", {}))
    assert report.indexed == ["tax"]
    assert await ids(search, "whale", threshold=1.0) == ["tax"]
    assert await ids(search, "budget", threshold=1.0) == []


async def test_deleted_documents_are_gone_everywhere(full: SearchService) -> None:
    assert await full.delete("moon")
    assert not await full.delete("moon")
    assert "moon" not in await ids(full, "tides moon", threshold=0)
    with pytest.raises(DocumentNotFound):
        await full.get("moon")
    with pytest.raises(DocumentNotFound):
        await full.find_similar("moon")
    with pytest.raises(DocumentNotFound):
        await full.update("moon", SearchDocument("moon", "x"))
    assert await full.delete_by_filter({"topic": "sea"}) == 2
    assert await full.count() == 1
    with pytest.raises(InvalidFilter):
        await full.delete_by_filter({})


async def test_find_similar(full: SearchService) -> None:
    near = await full.find_similar("moon", 2)
    assert len(near) == 2
    assert "moon" not in {hit.id for hit in near}
    assert {hit.id for hit in await full.find_similar("moon", filters={"topic": "money"})} == {
        "tax"
    }


async def test_given_vectors_are_used(search: SearchService, embedder: FakeEmbedder) -> None:
    given = [3.0, 4.0] + [0.0] * 6
    await search.index(SearchDocument("v", "text", None, given))
    assert (await search.get("v")).embeddings == pytest.approx([0.6, 0.8] + [0.0] * 6)
    assert not embedder.texts
    for bad, error in (
        ([1.0] * 7, DimensionMismatch),
        ([0.0] * 8, EmbeddingError),
        ([float("nan")] * 8, EmbeddingError),
    ):
        with pytest.raises(error):
            await search.index_batch(
                [SearchDocument("ok", "fine"), SearchDocument("bad", "x", None, bad)]
            )
    assert await search.count() == 1


@pytest.mark.parametrize(
    "document",
    [
        SearchDocument("", "x"), SearchDocument("a\nb", "x"), SearchDocument("\ud800", "x"),
        SearchDocument("x" * 513, "x"), SearchDocument("a", 5),
        SearchDocument("a", "x" * 10_000_001),
        SearchDocument("a", "x", {"k": object()}), SearchDocument("a", "x", {"k": "y" * (1 << 20)}),
    ],
    ids=range(8),
)  # fmt: skip
async def test_bad_documents_write_nothing(search: SearchService, document: SearchDocument) -> None:
    with pytest.raises(InvalidDocument):
        await search.index_batch([SearchDocument("good", "x"), document])
    assert await search.count() == 0


async def test_odd_documents_are_indexed(search: SearchService) -> None:
    odd = ["", "the of and", "\ud800 surrogate", "日本語の文章です", "x" * 100_000, "\x00 nul"]
    await search.index_batch([SearchDocument(str(n), text) for n, text in enumerate(odd)])
    assert await search.count() == 6
    assert (await ids(search, "日本"))[0] == "3"


@pytest.mark.parametrize(
    "bad",
    [
        {"limit": 0}, {"limit": 1001}, {"limit": True}, {"threshold": float("nan")}, {"alpha": 2},
        {"offset": -1}, {"fusion": "max"}, {"facets": "topic"},
    ],
)  # fmt: skip
async def test_bad_queries(search: SearchService, bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        await search.search("x", **bad)


async def test_more_bad_queries(search: SearchService) -> None:
    with pytest.raises(ConfigurationError):
        await search.search("x" * 10_001)
    with pytest.raises(ConfigurationError):
        await search.search(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not both"):
        await search.search(SearchQuery("x"), limit=3)
    with pytest.raises(TypeError, match="'limt'"):
        await search.search("x", limt=3)  # type: ignore[call-arg]
    assert await search.search("") == []
    assert await search.search("   ") == []


async def test_a_failing_embedder_leaves_the_words(
    full: SearchService, embedder: FakeEmbedder
) -> None:
    embedder.fail = OSError("no model")
    found = await full.search("tides")
    assert [hit.id for hit in found] == ["moon"]
    assert "OSError" in (found.degraded or "")
    with pytest.raises(EmbeddingError):
        await full.search("tides", hybrid=False)
    with pytest.raises(EmbeddingError):
        await full.index(SearchDocument("new", "text"))
    embedder.fail = None
    # the half answer was not remembered
    assert (await full.search("tides")).degraded is None
    assert await full.count() == 4


async def test_a_failing_side_is_named(embedder: FakeEmbedder) -> None:
    class Broken(BM25Index):
        async def search(self, *_: Any) -> Any:
            raise BackendError("keywords are down", retryable=True)

    async with SearchService(store=MemoryStore(), keywords=Broken(), embedder=embedder) as service:
        await service.index_batch(DOCS)
        found = await service.search("tides", threshold=0)
        assert "keywords are down" in (found.degraded or "")
        assert found
        embedder.fail = OSError()
        with pytest.raises(BackendError):
            await service.search("another query: the vector of the first is remembered")


@pytest.mark.parametrize(
    "made", [np.zeros((1, 8)), np.zeros((2, 7)), np.full((2, 8), np.nan), [[1]]]
)
async def test_wrong_vectors_write_nothing(made: Any) -> None:
    broken = CallableEmbedder(lambda _: made, model_id="broken", dimension=8)
    async with SearchService(embedder=broken, store=MemoryStore()) as service:
        with pytest.raises((EmbeddingError, DimensionMismatch)):
            await service.index_batch([SearchDocument("a", "x"), SearchDocument("b", "y")])
        assert await service.count() == 0


async def test_reranking(embedder: FakeEmbedder) -> None:
    class Longest(Reranker):
        async def rerank(self, query: str, texts: Any) -> list[float]:
            return [float(len(text)) for text in texts]

    async with SearchService(store=MemoryStore(), embedder=embedder, reranker=Longest()) as service:
        await service.index_batch(DOCS)
        found = await service.search("moon tides", rerank=True, threshold=0)
        assert found[0].id == "moon"
        lengths = [len(hit.content) for hit in found]
        assert lengths == sorted(lengths, reverse=True)
        assert [hit.score for hit in found] == sorted((h.score for h in found), reverse=True)


async def test_nothing_removes_the_tenant_filter(embedder: FakeEmbedder) -> None:
    store, words = MemoryStore(), BM25Index()
    admin = SearchService(store=store, keywords=words, embedder=embedder)
    mine = SearchService(store=store, keywords=words, embedder=embedder, tenant={"tenant": "a"})
    await admin.index_batch(
        [
            SearchDocument("a1", "tides", {"tenant": "a"}),
            SearchDocument("b1", "tides secret", {"tenant": "b"}),
        ]
    )
    for filters in (
        None,
        {"tenant": "b"},
        {"$or": [{"tenant": "b"}, {"tenant": "a"}]},
        {"$not": {"tenant": "a"}},
    ):
        found = await mine.search("tides secret", filters=filters, threshold=0, facets=["tenant"])
        assert {hit.id for hit in found} <= {"a1"}
        assert {value for value, _ in found.facets["tenant"].values} <= {"a"}
        assert await mine.count(filters) <= 1
    assert await mine.find_similar("a1") == []
    assert not await mine.delete("b1")
    assert await mine.delete_by_filter({"tenant": "b"}) == 0
    with pytest.raises(DocumentNotFound):
        await mine.get("b1")
    for theft in (
        SearchDocument("b1", "x", {"tenant": "a"}),
        SearchDocument("n", "x", {"tenant": "b"}),
    ):
        with pytest.raises(ConfigurationError):
            await mine.index(theft)
    assert (await admin.get("b1")).content == "tides secret"
    assert (await mine.get_stats()).documents == 1


async def test_figures(full: SearchService) -> None:
    first = await full.search("tides")
    await full.search("tides")
    await full.search("zzzqqq", threshold=1.0)
    assert await full.record_click(first.query_id, "moon")
    assert not await full.record_click("unknown", "moon")
    report = await full.analytics()
    assert report.top[0] == ("tides", 2)
    assert report.zero_results == [("zzzqqq", 1)]
    assert report.clicks == [("moon", 1)]
    assert len(report.slow) == 3
    stats = await full.get_stats()
    assert (stats.documents, stats.searches) == (4, 3)
    assert stats.cache_hit_rate == pytest.approx(1 / 3)
    assert stats.p95_latency >= 0


async def test_many_queries(full: SearchService) -> None:
    results = await full.search_many(["tides", SearchQuery("taxes")])
    assert [each[0].id for each in results] == ["moon", "tax"]


async def test_evaluation(full: SearchService) -> None:
    queries = {"q1": "tides", "q2": "taxes", "q3": "nothing judged"}
    score = await full.evaluate(queries, {"q1": {"moon": 2}, "q2": {"tax": 1, "boat": 0}}, k=3)
    assert (score.ndcg, score.recall, score.mrr, score.queries) == (1.0, 1.0, 1.0, 2)


async def test_unconfigured_warns_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING)
    async with SearchService() as service:
        await service.index(DOCS[0])
        await service.search("tides")
    # that nothing is kept, and what vectors are made of
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "SEMSEARCH_URL" in caplog.records[0].getMessage()
    monkeypatch.setenv("SEMSEARCH_STRICT", "1")
    with pytest.raises(ConfigurationError, match="STRICT"):
        await SearchService().count()


@pytest.mark.parametrize("url", ["nope://x", "memory://?x=1", "no-scheme", "sqlite://host/x"])
async def test_bad_urls(url: str) -> None:
    with pytest.raises(ConfigurationError):
        await SearchService.from_url(url).count()


async def test_figures_of_vectors_and_limits(search: SearchService) -> None:
    await search.index_batch([SearchDocument("a", "tides"), SearchDocument("b", "boats")])
    await search.index_batch([SearchDocument("c", "tides"), SearchDocument("d", "taxes")])
    # of four texts one had a vector
    assert (await search.get_stats()).embedding_cache_hit_rate == 1 / 4
    for limit in (0, 10_001):
        with pytest.raises(ConfigurationError, match="limit"):
            await search.analytics(limit)
    for k in (0, 1001):
        with pytest.raises(ConfigurationError, match="k must"):
            await search.evaluate({}, {}, k)


async def test_who_named_no_embedder_is_told_what_vectors_are_made_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once for each service; not who named hashing, or gave an embedder."""
    named = Settings.from_mapping({"embeddings": {"provider": "hashing"}})
    for service, times in (
        (SearchService.from_url("memory://"), 1),
        (SearchService(named), 0),
        (SearchService.from_url("memory://", embedder=FakeEmbedder()), 0),
    ):
        caplog.clear()
        async with service:
            await service.index_batch(DOCS)
            await service.search("tide")
        assert caplog.text.count("no embedder is named") == times
