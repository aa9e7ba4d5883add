"""Bad input ends in errors of ours that say what to do."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from semsearch import (
    BackendError,
    ConfigurationError,
    EmbeddingError,
    InvalidDocument,
    InvalidFilter,
    SearchDocument,
    SearchService,
    SemSearchError,
    Settings,
)
from semsearch.adapters.memory import MemoryStore
from semsearch.cli import main
from semsearch.ports import Reranker
from semsearch.testing import FakeEmbedder


@pytest.mark.parametrize("bad", [0, -1, True, 1.5, None, 1001])
async def test_concurrency(search: SearchService, bad: Any) -> None:
    async with asyncio.timeout(5):
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
