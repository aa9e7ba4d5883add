"""Another model with no downtime, sides made equal, parameters chosen by judgements."""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semsearch import (
    BackendError,
    ConfigurationError,
    EmbeddingError,
    SearchDocument,
    SearchService,
    UnsupportedOperationError,
)
from semsearch.adapters.bm25 import BM25Index
from semsearch.adapters.memory import MemoryStore
from semsearch.adapters.sqlite import SQLiteStore
from semsearch.ports import Changes, Embedder, Matrix, VectorStore
from semsearch.testing import FakeEmbedder

DOCS = [SearchDocument(f"d{n}", f"text number {n} of the sea", {"n": n}) for n in range(7)]


class Newer(Embedder):
    """Vectors of another length; may be held up, and may fail."""

    model_id, dimension = "newer", 5

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.fail = False
        self.go = asyncio.Event()
        self.go.set()

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        if self.fail:
            raise OSError("down")
        self.texts += texts
        made = np.ones((len(texts), 5), np.float32)
        for row, text in zip(made, texts, strict=True):
            row[sum(map(ord, text)) % 5] += 3
        return made


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/index.db"


async def test_reindex(url: str) -> None:
    async with SearchService.from_url(url, embedder=FakeEmbedder()) as service:
        await service.index_batch(DOCS)
        told: list[int] = []
        assert await service.reindex(Newer(), on_progress=told.append) == 7
        assert told == [7]
        assert len((await service.get("d3")).embeddings or ()) == 5
        # by its words: documents with the vector of the query are nearer
        assert (await service.search("number 3", threshold=0, alpha=0.4))[0].id == "d3"
        assert len(await service.find_similar("d3", 3)) == 3
        # written under the new model: nothing is embedded twice
        report = await service.index(DOCS[0])
        assert report.unchanged == ["d0"]
        await service.delete("d1")
        assert await service.count() == 6
    if url.startswith("sqlite"):
        async with SearchService.from_url(url, embedder=FakeEmbedder()) as old:
            with pytest.raises(ConfigurationError, match="made with model 'newer'"):
                await old.count()
        async with SearchService.from_url(url, embedder=Newer()) as again:
            assert await again.count() == 6


async def test_what_is_written_meanwhile_is_taken_along(url: str) -> None:
    class Meddling(Newer):
        """Lets somebody write between the batches."""

        async def meddle(self) -> None:
            await service.index_batch([SearchDocument("late", "a late one"), DOCS[2]])
            await service.index(SearchDocument("d3", "changed meanwhile"))
            await service.delete("d4")

        def embed_documents(self, texts: Sequence[str]) -> Matrix:
            if not self.texts:
                asyncio.run_coroutine_threadsafe(self.meddle(), loop).result(60)
            return super().embed_documents(texts)

    loop = asyncio.get_running_loop()
    async with SearchService.from_url(url, embedder=FakeEmbedder()) as service:
        await service.index_batch(DOCS)
        assert await service.reindex(Meddling()) == 9
        assert await service.count() == 7
        assert (await service.get("d3")).content == "changed meanwhile"
        assert len((await service.get("late")).embeddings or ()) == 5
        assert "d4" not in {hit.id for hit in await service.search("sea", threshold=0)}


async def test_searches_go_on_meanwhile(url: str) -> None:
    class Slow(Newer):
        def embed_documents(self, texts: Sequence[str]) -> Matrix:
            asyncio.run_coroutine_threadsafe(searched(), loop).result(60)
            return super().embed_documents(texts)

    async def searched() -> None:
        found = await service.search("number 5", threshold=0)
        assert found[0].id == "d5"
        assert found.degraded is None
        assert len((await service.get("d5")).embeddings or ()) == 8

    loop = asyncio.get_running_loop()
    async with SearchService.from_url(url, embedder=FakeEmbedder()) as service:
        await service.index_batch(DOCS)
        await service.reindex(Slow())


async def test_a_model_that_fails_changes_nothing(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = list[VectorStore]()
    kind = SQLiteStore if url.startswith("sqlite") else MemoryStore
    close = kind.aclose

    async def closing(store: Any) -> None:
        closed.append(store)
        await close(store)

    monkeypatch.setattr(kind, "aclose", closing)
    async with SearchService.from_url(url, embedder=FakeEmbedder()) as service:
        await service.index_batch(DOCS)
        broken = Newer()
        broken.fail = True
        with pytest.raises(EmbeddingError):
            await service.reindex(broken)
        assert len(closed) == 1, "what was begun beside keeps nothing open"
        assert len((await service.get("d3")).embeddings or ()) == 8
        assert await service.index(SearchDocument("more", "more"))
        broken.fail = False
        assert await service.reindex(broken) == 8


async def test_given_vectors_cannot_be_made_anew(url: str) -> None:
    async with SearchService.from_url(url, embedder=FakeEmbedder()) as service:
        await service.index(SearchDocument("own", "text", embeddings=[1.0] * 8))
        with pytest.raises(ConfigurationError, match="'own' has a vector of its own"):
            await service.reindex(Newer())


async def test_other_processes_are_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/index.db"
    async with (
        SearchService.from_url(url, embedder=FakeEmbedder()) as one,
        SearchService.from_url(url, embedder=FakeEmbedder()) as other,
    ):
        await one.index_batch(DOCS)
        assert await other.count() == 7
        await one.reindex(Newer())
        for call in (other.count(), other.index(SearchDocument("x", "x")), other.delete("d1")):
            with pytest.raises(ConfigurationError, match="start this process again"):
                await call
        assert await one.count() == 7
        names = "SELECT count(*) FROM sqlite_master WHERE name LIKE 'semsearch_documents%'"
        with sqlite3.connect(tmp_path / "index.db") as link:
            assert link.execute(f"{names} AND type = 'table'").fetchone() == (1,)
        link.close()


async def test_a_write_of_another_process_holds_the_switch(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/index.db"
    async with (
        SearchService.from_url(url, embedder=FakeEmbedder()) as one,
        SearchService.from_url(url, embedder=FakeEmbedder()) as other,
    ):

        class Racing(Newer):
            def embed_documents(self, texts: Sequence[str]) -> Matrix:
                if len(self.texts) < 8:
                    late = other.index(SearchDocument("late", "of another process"))
                    asyncio.run_coroutine_threadsafe(late, loop).result(60)
                return super().embed_documents(texts)

        loop = asyncio.get_running_loop()
        await one.index_batch(DOCS)
        await one.reindex(Racing())
        assert await one.count() == 8
        assert len((await one.get("late")).embeddings or ()) == 5


async def test_a_store_that_cannot() -> None:
    class Plain(MemoryStore):
        def beside(self) -> Any:
            return super(MemoryStore, self).beside()

    async with SearchService(store=Plain(), embedder=FakeEmbedder()) as service:
        await service.index_batch(DOCS)
        with pytest.raises(UnsupportedOperationError, match="Plain cannot be reindexed"):
            await service.reindex(Newer())


async def test_repair() -> None:
    """A keyword side that missed writes, kept old ones, and has what is gone."""
    index = BM25Index()
    async with SearchService(
        store=MemoryStore(), keywords=index, embedder=FakeEmbedder()
    ) as service:
        await service.index_batch(DOCS)
        assert (await service.repair()).differences == 0
        store = service._parts.sides.store
        everything = {each.id: each for each in (await store.refresh(None)).upserted}
        await index.apply(Changes(deleted=["d1"]))
        from dataclasses import replace

        await index.apply(Changes(upserted=[replace(everything["d2"], content="x", digest="old")]))
        await index.apply(Changes(upserted=[replace(everything["d3"], id="ghost")]))
        report = await service.repair()
        assert (report.missing, report.stale, report.superfluous) == (["d1"], ["d2"], ["ghost"])
        assert report.differences == 3
        assert (await service.repair()).differences == 0
        found = {hit.id for hit in await service.search("sea", threshold=1.0)}
        assert found == {each.id for each in DOCS}


async def test_tune_prefers_the_side_that_knows() -> None:
    """Vectors say nothing here: the choice must lean on the words, and say what to expect."""
    rng = np.random.default_rng(1)

    class Noise(FakeEmbedder):
        def embed_documents(self, texts: Sequence[str]) -> Matrix:
            made: Matrix = rng.normal(size=(len(texts), 8)).astype(np.float32)
            return made

    async with SearchService(store=MemoryStore(), embedder=Noise()) as service:
        words = [f"word{n}" for n in range(30)]
        await service.index_batch(
            [SearchDocument(word, f"{word} and other{n % 3}") for n, word in enumerate(words)]
        )
        queries = {word: f"{word} other1" for word in words}
        qrels = {word: {word: 1.0} for word in words}
        made = await service.tune(queries, qrels)
        assert made.queries == 30
        assert made.fusion == "rrf" or made.alpha <= 0.5
        assert made.ndcg >= made.default_ndcg - 0.002
        assert made.expected_ndcg <= made.ndcg + 0.002
        assert len(made.table) == 24
        assert 0 <= made.threshold <= 1
        nothing = await service.tune(queries, {})
        assert (nothing.queries, nothing.fusion, nothing.alpha) == (0, "minmax", 0.5)
        with pytest.raises(ConfigurationError, match="k must be"):
            await service.tune(queries, qrels, 0)


async def test_an_index_that_never_rests() -> None:
    """Reindexing gives up when every round finds new writes."""

    class Restless(MemoryStore):
        async def supersede(self, other: Any, since: Any) -> bool:
            return False

    async with SearchService(store=Restless(), embedder=FakeEmbedder()) as service:
        await service.index_batch(DOCS)
        with pytest.raises(BackendError, match="changes faster"):
            await service.reindex(Newer())
