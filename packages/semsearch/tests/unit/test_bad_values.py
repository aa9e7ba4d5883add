"""Bad input ends in errors of ours that say what to do."""

import asyncio
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from semsearch import (
    BackendError,
    Chunker,
    ConfigurationError,
    EmbeddingError,
    Filter,
    InvalidDocument,
    InvalidFilter,
    SearchDocument,
    SearchService,
    SemSearchError,
    Settings,
)
from semsearch.adapters.embedders import HashingEmbedder
from semsearch.adapters.memory import MemoryStore
from semsearch.cli import main
from semsearch.ports import Reranker
from semsearch.testing import FakeEmbedder


@pytest.mark.parametrize("bad", [0, -1, True, 1.5, None, 1001])
async def test_concurrency(search: SearchService, bad: Any) -> None:
    async with asyncio.timeout(60):
        with pytest.raises(ConfigurationError, match="concurrency"):
            await search.search_many(["a", "b"], concurrency=bad)


async def test_many_queries_at_once(search: SearchService) -> None:
    await search.index(SearchDocument("a", "tides"))
    assert await search.search_many([]) == []
    assert [len(each) for each in await search.search_many(["tides", ""], 1000)] == [1, 0]
    with pytest.raises(ConfigurationError, match="list"):
        await search.search_many("tides")
    with pytest.raises(ConfigurationError, match="query must be"):
        await search.search_many(["tides", 5])  # type: ignore[list-item]


@pytest.mark.parametrize("bad", [None, 0, "3", 1001])
async def test_limits(search: SearchService, bad: Any) -> None:
    await search.index(SearchDocument("a", "tides"))
    with pytest.raises(ConfigurationError, match="limit"):
        await search.find_similar("a", bad)
    with pytest.raises(ConfigurationError, match="k must be"):
        await search.evaluate({"q": "tides"}, {"q": {"a": 1}}, k=bad)


async def test_analytics_limit(search: SearchService) -> None:
    with pytest.raises(ConfigurationError, match="limit"):
        await search.analytics(-1)


@pytest.mark.parametrize("name", ["hybrid", "rerank", "query_expansion", "highlight"])
@pytest.mark.parametrize("bad", ["no", 0, 1, [], "false"])
async def test_switches(search: SearchService, name: str, bad: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be one of"):
        await search.search("tides", **{name: bad})


@pytest.mark.parametrize(
    ("queries", "qrels"),
    [
        (["tides"], {"q": {"a": 1}}),
        ({"q": 5}, {"q": {"a": 1}}),
        ({"q": "tides"}, ["a"]),
        ({"q": "tides"}, {"q": ["a"]}),
        ({"q": "tides"}, {"q": {"a": "high"}}),
        (None, None),
    ],
)
async def test_judgements(search: SearchService, queries: Any, qrels: Any) -> None:
    for measured in (search.evaluate, search.tune):
        with pytest.raises(ConfigurationError, match=r"(queries|qrels) must be "):
            await measured(queries, qrels)


@pytest.mark.parametrize("bad", ["light", None, len])
async def test_reindex_takes_an_embedder(search: SearchService, bad: Any) -> None:
    with pytest.raises(ConfigurationError, match="embedder"):
        await search.reindex(bad)


@pytest.mark.parametrize("name", ["size", "overlap", "most"])
def test_sizes_of_parts_are_numbers(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be an int, not '30'"):
        Chunker(**{name: "30"})  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="dimension must be"):
        HashingEmbedder("512")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "made",
    [
        lambda: Filter("$near", name="n", value=1),
        lambda: Filter("$eq", value=1),
        lambda: Filter("$eq", name="n", value=[1]),
        lambda: Filter("$in", name="n", value=1),
        lambda: Filter("$gt", name="n", value=None),
        lambda: Filter("$exists", name="n", value="no"),
        lambda: Filter("$prefix", name="n", value=1),
        lambda: Filter("$not"),
        lambda: Filter("$and", ()),
        lambda: Filter("$or", ({"n": 1},)),
        lambda: Filter.parse({"n": {"$not": {"$gt": 1}}}),
    ],
)
def test_a_filter_made_by_hand_is_checked(made: Any) -> None:
    with pytest.raises(InvalidFilter):
        made()


async def test_a_filter_made_by_hand_works(search: SearchService) -> None:
    await search.index(SearchDocument("a", "tides", {"n": 1, "at": "2026-01-02"}))
    assert await search.count(Filter("$in", name="n", value=[1, 2])) == 1
    day = Filter("$gt", name="at", value=date(2026, 1, 1))
    assert await search.count(Filter("$not", (day,))) == 0


@pytest.mark.parametrize("bad", [[], "", 0, False])
async def test_a_filter_that_is_none_is_never_ignored(search: SearchService, bad: Any) -> None:
    with pytest.raises(InvalidFilter):
        await search.count(bad)


def test_an_empty_tenant_filter() -> None:
    with pytest.raises(InvalidFilter, match="tenant"):
        SearchService(tenant={})


@pytest.mark.parametrize("bad", [5, None, [5], "ab", [{"id": "a"}]])
async def test_what_is_no_document(search: SearchService, bad: Any) -> None:
    with pytest.raises(InvalidDocument):
        await search.index_batch(bad)


@pytest.mark.parametrize("bad", ["abc", [1e300] * 8, [None] * 8, {"a": 1}, [[1.0]] * 8])
async def test_vectors(search: SearchService, bad: Any) -> None:
    with pytest.raises(SemSearchError):
        await search.index(SearchDocument("a", "x", None, bad))
    assert await search.count() == 0


@pytest.mark.parametrize("bad", [{"k": "\ud800"}, 5, {"k": b"x" * (1 << 21)}, {1j: 1}])
async def test_metadata(search: SearchService, bad: Any) -> None:
    with pytest.raises(InvalidDocument):
        await search.index(SearchDocument("a", "x", bad))


async def test_update_with_another_id(search: SearchService) -> None:
    with pytest.raises(InvalidDocument, match="was given document 'b'"):
        await search.update("a", SearchDocument("b", "x"))


async def test_metadata_of_another_type_is_a_change(search: SearchService) -> None:
    await search.index(SearchDocument("a", "x", {"n": 1}))
    report = await search.index(SearchDocument("a", "x", {"n": True}))
    assert report.updated == ["a"]


async def test_surrogates_in_a_query(search: SearchService) -> None:
    await search.index(SearchDocument("a", "tides"))
    assert len(await search.search("tides \ud800", filters={"n": {"$ne": "\ud800"}})) == 1


async def test_a_ragged_embedder(search: SearchService) -> None:
    class Ragged(FakeEmbedder):
        def embed_documents(self, texts: Any) -> Any:
            return [[1.0] * (n + 1) for n in range(len(texts))]

    async with SearchService(store=MemoryStore(), embedder=Ragged()) as service:
        with pytest.raises(EmbeddingError):
            await service.index_batch([SearchDocument("a", "x"), SearchDocument("b", "y")])


@pytest.mark.parametrize("made", [[], [1.0, 2.0, 3.0], [float("nan")]])
async def test_a_wrong_reranker(made: list[float]) -> None:
    class Wrong(Reranker):
        async def rerank(self, query: str, texts: Any) -> list[float]:
            return made

    wrong = Wrong()
    async with SearchService(
        store=MemoryStore(), embedder=FakeEmbedder(), reranker=wrong
    ) as service:
        await service.index(SearchDocument("a", "tides"))
        found = await service.search("tides", rerank=True)
        assert [hit.id for hit in found] == ["a"]
        assert "1 finite scores" in (found.degraded or "")


async def test_a_missing_index_is_not_made(tmp_path: Path) -> None:
    file = tmp_path / "none.db"
    settings = {"vector_db": {"url": f"sqlite:///{file}"}, "indexing": {"auto_index": False}}
    with pytest.raises(ConfigurationError, match="missing"):
        await SearchService(Settings.from_mapping(settings)).count()
    assert not file.exists()


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "notes.db"
    file.write_text("just text, and quite a lot of it" * 100)
    async with SearchService.from_url(f"sqlite:///{file}", embedder=FakeEmbedder()) as service:
        with pytest.raises(BackendError, match="not a database"):
            await service.count()
    assert file.read_text().startswith("just text")


async def test_progress_is_told_where_the_caller_is(search: SearchService) -> None:
    await search.count()
    told: list[asyncio.AbstractEventLoop] = []

    async def elsewhere() -> None:
        loop = asyncio.get_running_loop()
        await search.index_batch(
            [SearchDocument("a", "x")],
            on_progress=lambda _: told.append(asyncio.get_running_loop()),
        )
        assert told == [loop]

    await asyncio.to_thread(lambda: asyncio.run(elsewhere()))


def test_command_line_with_bad_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    (tmp_path / "bad.jsonl").write_bytes(b'{"id": "\xff"}')
    assert main(["index", str(tmp_path / "bad.jsonl"), "--url", url]) == 2
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "two\nlines.txt").write_text("x")
    (folder / "good.txt").write_text("y")
    assert main(["index", str(folder), "--url", url]) == 0
    shown = capsys.readouterr()
    assert "1 indexed" in shown.out
    assert "left out" in shown.err
    (tmp_path / "queries.jsonl").write_text("[]")
    assert main(["eval", str(tmp_path), "--url", url]) == 2
    assert "Traceback" not in capsys.readouterr().err
