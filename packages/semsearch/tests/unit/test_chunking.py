"""The service with long documents."""

import asyncio

import numpy as np
import pytest

from semsearch import Chunker, InvalidDocument, SearchDocument, SearchService, Settings
from semsearch.adapters.chunked import ChunkedStore
from semsearch.adapters.embedders import HashingEmbedder
from semsearch.adapters.memory import MemoryStore
from semsearch.ports import Changes, Chunk, Position, Stored

FILL = " ".join(f"Nothing of note was said in paragraph {n}." for n in range(60))
LONG = f"{FILL} Then volcano ash fell <b>on</b> the harbour. {FILL}"


class Counted(HashingEmbedder):
    texts = 0

    def embed_documents(self, texts):
        self.texts += len(texts)
        return super().embed_documents(texts)


async def test_the_best_passage_is_shown_and_counts() -> None:
    async with SearchService.from_url("memory://", embedder=HashingEmbedder()) as search:
        await search.index_batch([SearchDocument("long", LONG), SearchDocument("fill", FILL)])
        found = await search.search("volcano ash harbour", hybrid=False, threshold=0.0)
        assert [hit.id for hit in found] == ["long", "fill"]
        assert found.total == 2
        [passage] = found[0].highlights
        assert "<mark>volcano</mark> <mark>ash</mark>" in passage
        assert "&lt;b&gt;" in passage
        whole = found[0].scores["dense"]
    off = Settings.from_mapping({"indexing": {"chunk_size": 0}})
    async with SearchService(off, store=MemoryStore(), embedder=HashingEmbedder()) as plain:
        await plain.index_batch([SearchDocument("long", LONG), SearchDocument("fill", FILL)])
        unchunked = await plain.search("volcano ash harbour", hybrid=False, threshold=0.0)
        assert unchunked[0].scores["dense"] < whole


async def test_a_passage_without_words_of_the_query() -> None:
    async with SearchService.from_url("memory://", embedder=HashingEmbedder()) as search:
        await search.index(SearchDocument("long", LONG))
        found = await search.search("volcanic", hybrid=False, threshold=0.0)
        [passage] = found[0].highlights
        assert 0 < len(passage) <= 400
        assert "<b>" not in passage


async def test_metadata_alone_cost_no_embedding() -> None:
    embedder, store = Counted(), MemoryStore()
    async with SearchService(store=store, embedder=embedder) as search:
        await search.index(SearchDocument("long", LONG, {"n": 1}))
        before, parts = embedder.texts, len(await store.select(None)) - 1
        assert parts == before - 1 > 2
        report = await search.index(SearchDocument("long", LONG, {"n": 2}))
        assert report.updated == ["long"]
        assert embedder.texts == before
        assert await search.count({"n": 2}) == 1
        hits = await search.search("volcano", filters={"n": 2}, hybrid=False, threshold=0.0)
        assert "volcano" in hits[0].highlights[0]
        assert not await search.search("volcano", filters={"n": 1})
        assert (await search.index(SearchDocument("long", LONG, {"n": 2}))).unchanged == ["long"]
        await search.index(SearchDocument("long", "short now", {"n": 2}))
        assert len(await store.select(None)) == 1


async def test_other_parts_are_made_anew() -> None:
    """Another size of parts counts at the next indexing, and the model is asked for those alone."""
    store, embedder = MemoryStore(), Counted()
    async with SearchService(store=store, embedder=embedder) as search:
        await search.index(SearchDocument("long", LONG))
        first = len(await store.select(None))
    async with SearchService(
        store=store, embedder=embedder, chunker=Chunker(size=60, overlap=0)
    ) as search:
        assert (await search.index(SearchDocument("long", LONG))).indexed == ["long"]
        assert len(await store.select(None)) > first
        assert (await search.index(SearchDocument("long", LONG))).unchanged == ["long"]


async def test_another_model_makes_the_parts_anew() -> None:
    async with SearchService.from_url("memory://", embedder=HashingEmbedder(128)) as search:
        await search.index_batch([SearchDocument("long", LONG), SearchDocument("fill", FILL)])
        assert await search.reindex(HashingEmbedder(256)) == 2
        found = await search.search("volcano ash harbour", hybrid=False, threshold=0.0)
        assert [hit.id for hit in found] == ["long", "fill"]
        assert "volcano" in found[0].highlights[0]
        assert await search.count() == 2


async def test_documents_with_vectors_of_their_own_stay_whole() -> None:
    store = MemoryStore()
    async with SearchService(store=store, embedder=HashingEmbedder(64)) as search:
        await search.index(SearchDocument("long", LONG, embeddings=[1.0] * 64))
        assert list(await store.select(None)) == ["long"]


async def test_the_name_of_parts_is_taken() -> None:
    async with SearchService.from_url("memory://", embedder=HashingEmbedder(64)) as search:
        with pytest.raises(InvalidDocument, match="U\\+001F"):
            await search.index(SearchDocument("a", "x", {"\x1fpart": [0, 1]}))


class HeldStore(MemoryStore):
    """Holds back what it read of all documents until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.held, self.let_go, self.holds = asyncio.Event(), asyncio.Event(), False

    async def refresh(self, since: Position = None) -> Changes:
        read = await super().refresh(since)
        if since is None and self.holds:
            self.held.set()
            await self.let_go.wait()
        return read


async def test_parts_written_while_all_are_read_again_are_not_forgotten() -> None:
    """Repairing and changing the model read everything; what is written meanwhile is newer."""
    inner = HeldStore()
    store = ChunkedStore(inner)
    await store.open("m", 2, create=True)
    vector = np.array([1, 0], np.float32)

    def cut(name: str, *ends: int) -> Stored:
        parts = tuple(Chunk(0, end, vector) for end in ends)
        return Stored(name, "text", {}, vector, "digest", parts)

    await store.upsert([cut("a", 1, 2, 3), cut("b", 4), cut("c", 5)])
    position = (await store.refresh()).position
    inner.holds = True
    reading = asyncio.create_task(store.refresh())
    await inner.held.wait()
    await store.upsert([cut("a", 7)])
    await store.delete(["c"])
    inner.let_go.set()
    assert {each.id for each in (await reading).upserted} == {"a", "b", "c"}
    assert store.spans("a") == ((0, 7),)
    assert store.spans("b") == ((0, 4),)
    assert store.spans("c") == ()
    later = await store.refresh(position)
    assert [each.id for each in later.upserted] == ["a"]
    assert list(later.deleted) == ["c"]
    assert store.spans("a") == ((0, 7),)
