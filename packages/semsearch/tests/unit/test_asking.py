"""Both sides are asked at once; what one of them does leaves nothing of the other behind."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from semsearch import SearchDocument, SearchService
from semsearch.adapters.bm25 import BM25Index
from semsearch.adapters.memory import MemoryStore
from semsearch.errors import BackendError
from semsearch.ports import Scored
from semsearch.testing import FakeEmbedder


class Slow(BM25Index):
    """Words that come when they are let."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = asyncio.Event(), asyncio.Event()
        self.ended = ""

    async def search(self, *args: Any) -> Sequence[Scored]:
        self.begun.set()
        try:
            await self.go.wait()
            return await super().search(*args)
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise


class Waiting(MemoryStore):
    """Vectors that come once the words were asked, or fail."""

    def __init__(self, words: Slow, fault: Exception | None = None) -> None:
        super().__init__()
        self._words, self._fault = words, fault

    async def search(self, *args: Any) -> Sequence[Scored]:
        await self._words.begun.wait()  # for ever, were they asked one after the other
        self._words.go.set()
        if self._fault is not None:
            raise self._fault
        return await super().search(*args)


async def service(store: MemoryStore, words: BM25Index) -> SearchService:
    made = SearchService(store=store, keywords=words, embedder=FakeEmbedder())
    await made.index(SearchDocument("a", "the tides"))
    return made


async def test_both_are_asked_at_once() -> None:
    words = Slow()
    async with await service(Waiting(words), words) as search, asyncio.timeout(60):
        [hit] = await search.search("tides")
        assert set(hit.scores) == {"dense", "bm25"}


async def test_a_cancelled_search_leaves_no_side_behind() -> None:
    words = Slow()
    async with await service(MemoryStore(), words) as search:
        asked = asyncio.create_task(search.search("tides"))
        await words.begun.wait()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert words.ended == "cancelled"


async def test_a_fault_of_the_program_ends_the_other_side() -> None:
    words = Slow()

    class Wrong(MemoryStore):
        async def search(self, *args: Any) -> Sequence[Scored]:
            await words.begun.wait()
            raise ZeroDivisionError

    async with await service(Wrong(), words) as search:
        with pytest.raises(ZeroDivisionError):
            await search.search("tides")
        assert words.ended == "cancelled"


async def test_one_side_that_is_down_is_named_and_two_are_raised() -> None:
    words = Slow()
    down = BackendError("vectors are down")
    async with await service(Waiting(words, down), words) as search:
        found = await search.search("tides")
        assert [hit.id for hit in found] == ["a"]
        assert found.degraded == "vectors are down"

    class Down(BM25Index):
        async def search(self, *args: Any) -> Sequence[Scored]:
            words.begun.set()
            raise BackendError("words are down")

    async with await service(Waiting(words, down), Down()) as search:
        with pytest.raises(BackendError, match="vectors are down"):
            await search.search("tides")
    async with await service(MemoryStore(), Down()) as search:
        assert (await search.search("tides")).degraded == "words are down"
