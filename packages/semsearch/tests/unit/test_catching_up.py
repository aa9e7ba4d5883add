"""Both sides know the same, whatever is cancelled or fails on the way."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from semsearch import SearchDocument, SearchService
from semsearch.adapters.bm25 import BM25Index
from semsearch.adapters.memory import MemoryStore
from semsearch.adapters.sqlite import SQLiteStore
from semsearch.errors import BackendError
from semsearch.ports import Changes, KeywordCapabilities
from semsearch.testing import FakeClock, FakeEmbedder, document

DOCS = [SearchDocument(f"d{n}", f"tides word{n}") for n in range(30)]


class Slow(BM25Index):
    """Takes changes over when it is let, or fails."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = asyncio.Event(), asyncio.Event()
        self.fail, self.applied = False, 0

    async def apply(self, changes: Any) -> None:
        self.begun.set()
        await self.go.wait()
        if self.fail:
            raise BackendError("no keywords")
        self.applied += 1
        await super().apply(changes)


async def words(service: SearchService) -> int:
    found = await service.search("tides", threshold=1.0, limit=1000, highlight=False)
    return sum("bm25" in hit.scores for hit in found)


async def test_a_call_cancelled_while_words_are_taken_over() -> None:
    slow = Slow()
    async with SearchService(
        store=MemoryStore(), keywords=slow, embedder=FakeEmbedder()
    ) as service:
        slow.go.set()
        await service.count()
        slow.go.clear()
        slow.begun.clear()
        slow.applied = 0
        indexing = asyncio.create_task(service.index_batch(DOCS))
        await slow.begun.wait()
        indexing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await indexing
        slow.go.set()
        assert await words(service) == 30
        assert slow.applied == 1, "what a cancelled call began was begun again"


async def test_a_fault_while_words_are_taken_over() -> None:
    slow = Slow()
    slow.go.set()
    async with SearchService(
        store=MemoryStore(), keywords=slow, embedder=FakeEmbedder()
    ) as service:
        await service.count()
        slow.fail = True
        with pytest.raises(BackendError):
            await service.index_batch(DOCS)
        slow.fail = False
        assert await words(service) == 30


@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_store_that_breaks_off_after_the_first_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cancelled: bool
) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    async with SearchService.from_url(url, embedder=FakeEmbedder()) as writer:
        await writer.index_batch(DOCS)
    monkeypatch.setattr("semsearch.adapters.sqlite_follower.BATCH", 10)
    store, asked = SQLiteStore(url), 0
    call = store._call

    async def third_breaks(use: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise asyncio.CancelledError if cancelled else BackendError("broken")
        return await call(use)

    monkeypatch.setattr(store, "_call", third_breaks)
    async with SearchService(store=store, embedder=FakeEmbedder()) as service:
        with pytest.raises(asyncio.CancelledError if cancelled else BackendError):
            await service.count()
        assert await service.count() == 30
        assert await words(service) == 30


async def test_services_on_one_store_see_each_others_writes() -> None:
    store = MemoryStore()
    one = SearchService(store=store, embedder=FakeEmbedder())
    two = SearchService(store=store, embedder=FakeEmbedder())
    await one.index_batch(DOCS[:2])
    assert await words(one) == await words(two) == 2
    await two.index(DOCS[2])
    assert await two.delete("d0")
    assert await words(one) == await words(two) == 2
    assert [hit.id for hit in await one.search("word2", threshold=1.0)] == ["d2"]


async def test_what_is_written_during_an_answer_is_not_hidden_by_it() -> None:
    answering, go = asyncio.Event(), asyncio.Event()

    class Held(MemoryStore):
        held = False

        async def facets(self, names: Any, filter: Any) -> Any:
            found = await super().facets(names, filter)
            if self.held:
                answering.set()
                await go.wait()
            return found

    store = Held()
    async with SearchService(store=store, embedder=FakeEmbedder()) as service:
        await service.index(DOCS[0])
        store.held = True
        asked = asyncio.create_task(service.search("tides", facets=["x"], threshold=1.0))
        await answering.wait()
        await service.index(DOCS[1])
        go.set()
        await asked
        store.held = False
        assert len(await service.search("tides", facets=["x"], threshold=1.0)) == 2


async def test_a_cancelled_batch_is_whole_and_goes_on(tmp_path: Path) -> None:
    begun, go = threading.Event(), threading.Event()

    class Held(FakeEmbedder):
        calls = running = most = 0

        def embed_documents(self, texts: Any) -> Any:
            self.calls += 1
            self.running += 1
            self.most = max(self.most, self.running)
            if self.calls == 2:
                begun.set()
                assert go.wait(120)
            made = super().embed_documents(texts)
            self.running -= 1
            return made

    embedder = Held()
    settings = f"sqlite:///{tmp_path}/s.db"
    async with SearchService.from_url(settings, embedder=embedder) as service:
        many = [SearchDocument(f"m{n}", f"tides m{n}") for n in range(250)]
        indexing = asyncio.create_task(service.index_batch(many))
        assert await asyncio.to_thread(begun.wait, 120)
        indexing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await indexing
        assert await service.count() == 100
        again = asyncio.create_task(service.index_batch(many))
        await asyncio.sleep(0.05)  # time enough to call the embedder, were it allowed
        go.set()
        report = await again
        assert (len(report.unchanged), len(report.indexed)) == (100, 150)
        assert embedder.most == 1, "the embedder was called by two at once"
        assert await words(service) >= 200


async def test_closing_waits_for_running_calls(tmp_path: Path) -> None:
    begun, go = threading.Event(), threading.Event()

    class Held(FakeEmbedder):
        def embed_query(self, text: str) -> Any:
            begun.set()
            assert go.wait(120)
            return super().embed_query(text)

    service = SearchService.from_url(f"sqlite:///{tmp_path}/s.db", embedder=Held())
    await service.index_batch(DOCS)
    search = asyncio.create_task(service.search("tides", limit=30))
    assert await asyncio.to_thread(begun.wait, 120)
    closing = asyncio.create_task(service.aclose())
    await asyncio.sleep(0)
    with pytest.raises(BackendError, match="being closed"):
        await service.count()
    assert not closing.done()
    go.set()
    assert len(await search) == 30
    await closing
    assert await service.count() == 30
    await service.aclose()


async def test_what_is_written_while_a_kept_index_is_compared(embedder: FakeEmbedder) -> None:
    """A process that starts looks again before it answers: it may have undone what others wrote."""
    store = MemoryStore()

    class Kept(BM25Index):
        capabilities = KeywordCapabilities(kept=True)
        compared = 0

        async def apply(self, changes: Changes) -> None:
            if changes.reset:
                self.compared += 1
                await store.upsert([document("late", "latecomer")])
            await super().apply(changes)

    keywords = Kept()
    async with SearchService(store=store, keywords=keywords, embedder=embedder) as search:
        found = await search.search("latecomer")
        assert [hit.id for hit in found if "bm25" in hit.scores] == ["late"]
        assert keywords.compared == 1


async def test_who_reads_goes_on_without_words_that_are_behind() -> None:
    """A write that the words did not follow fails; what is read then is the vectors' alone."""
    slow, clock = Slow(), FakeClock()
    slow.go.set()
    service = SearchService(
        store=MemoryStore(), keywords=slow, embedder=FakeEmbedder(), clock=clock
    )
    async with service:
        await service.index_batch([SearchDocument("a", "tides"), SearchDocument("b", "boats")])
        assert (await service.search("tides", threshold=0.0)).degraded is None
        slow.fail = True
        with pytest.raises(BackendError, match="no keywords"):
            await service.delete("a")
        slow.applied = 0
        # the words still know what was deleted, and are not asked
        found = await service.search("tides", threshold=0.0, query_expansion=True)
        assert [hit.id for hit in found] == ["b"]
        assert found.degraded == "no keywords"
        assert (await service.search("tides", threshold=0.0, hybrid=False)).degraded is None
        assert await service.count() == 1
        assert (await service.get("b")).content == "boats"
        assert await service.find_similar("b") == []
        assert (await service.get_stats()).documents == 1
        with pytest.raises(BackendError, match="no keywords"):
            await service.index(SearchDocument("c", "tides"))
        assert await service.count() == 1, "a write begins when both sides are where they were"
        slow.fail = False
        # a server that is down is not tried with each call: that takes as long as its budget
        assert (await service.search("boats", threshold=0.0)).degraded == "no keywords"
        await clock.advance(5.1)
        assert (await service.search("boats", threshold=0.0)).degraded is None
        await service.index(SearchDocument("c", "tides"))
        assert [hit.id for hit in await service.search("tides", threshold=1.0)] == ["c"]


async def test_a_new_process_reads_while_the_words_are_down() -> None:
    store, slow = MemoryStore(), Slow()
    slow.go.set()
    async with SearchService(store=store, embedder=FakeEmbedder()) as one:
        await one.index(SearchDocument("a", "tides"))
        slow.fail = True
        other = SearchService(store=store, keywords=slow, embedder=FakeEmbedder())
        found = await other.search("tides", threshold=0.0)
        assert [hit.id for hit in found] == ["a"]
        assert found.degraded == "no keywords"
        await other.aclose()


def test_the_stemmers_are_there_before_the_first_query() -> None:
    """They are forty modules, and importing them would hold up the event loop."""
    code = (
        "import asyncio, sys, threading, builtins\n"
        "from semsearch import SearchService\n"
        "from semsearch.testing import FakeEmbedder\n"
        "where, usual = [], builtins.__import__\n"
        "def watched(name, *rest, **more):\n"
        "    if name == 'snowballstemmer': where.append(threading.current_thread())\n"
        "    return usual(name, *rest, **more)\n"
        "builtins.__import__ = watched\n"
        "async def main():\n"
        "    async with SearchService.from_url('memory://', embedder=FakeEmbedder()) as search:\n"
        "        await search.count()\n"
        "        await search.search('tides')\n"
        "asyncio.run(main())\n"
        "print(len(where), threading.main_thread() in where)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False"], done.stderr
