"""Keyword indexes on libraries: chosen by name, fed with hostile words, carried through a fork."""

import asyncio
import multiprocessing
import sys
from collections.abc import Callable
from typing import Any

import pytest

from semsearch import SearchDocument, SearchService
from semsearch.adapters.bm25 import BM25Index
from semsearch.adapters.rank_bm25 import RankBM25Index
from semsearch.adapters.tantivy import TantivyIndex
from semsearch.filters import Filter
from semsearch.ports import Changes, KeywordIndex
from semsearch.testing import FakeEmbedder, document

pytest.importorskip("tantivy")
pytest.importorskip("rank_bm25")

HOSTILE = [
    'AND OR NOT "', "words:tides", "id:a OR *", "tides^1000", "+tides -moon", "(((", "[a TO z]",
    "\\", "tides~2", "/.*/", "' OR 1=1 --", "\0", "x" * 5000,
]  # fmt: skip
TEXTS = {
    "a": "The moon pulls the tides of the sea",
    "b": "A meeting about money and taxes",
    "c": "Tides and tides and tides again",
    "d": "Moon",
    "empty": "",
}
each_kind = pytest.mark.parametrize("make", [RankBM25Index, TantivyIndex])


async def filled(make: Callable[[], KeywordIndex]) -> KeywordIndex:
    index = make()
    made = [document(name, text or " ", {"n": len(text)}) for name, text in TEXTS.items()]
    await index.apply(Changes(upserted=made))
    return index


@pytest.mark.parametrize("name", ["rank-bm25", "tantivy", "tantivy://"])
async def test_a_service_uses_the_one_that_is_named(name: str) -> None:
    async with SearchService.from_url("memory://", embedder=FakeEmbedder(), keyword=name) as search:
        await search.index_batch([SearchDocument(key, text) for key, text in TEXTS.items()])
        kind = TantivyIndex if name.startswith("tantivy") else RankBM25Index
        assert type(search._parts.sides.keywords) is kind
        hits = await search.search("moon", threshold=1.0)
        assert {hit.id for hit in hits} == {"a", "d"}
        assert hits[0].scores["bm25"] > 0
        await search.delete("d")
        assert [hit.id for hit in await search.search("moon", threshold=1.0)] == ["a"]
        assert (await search.repair()).differences == 0


@each_kind
@pytest.mark.parametrize("text", HOSTILE)
async def test_no_syntax_of_queries(make: Any, text: str) -> None:
    """A query finds what the embedded index finds with it, whatever signs it has."""
    own, index = await filled(BM25Index), await filled(make)
    expected = {name for name, _ in await own.search(own.terms(text), 10, None)}
    assert {name for name, _ in await index.search(index.terms(text), 10, None)} == expected


@each_kind
async def test_weights_and_filters(make: Any) -> None:
    index = await filled(make)
    terms = {"moon": 0.01, "tide": 5.0}
    assert next(name for name, _ in await index.search(terms, 10, None)) == "c"
    assert [name for name, _ in await index.search({"moon": 5.0, "tide": 0.01}, 1, None)] == ["d"]
    short = Filter.parse({"n": {"$lt": 5}})
    assert [name for name, _ in await index.search(terms, 10, short)] == ["d"]
    assert await index.search(terms, 0, None) == []
    assert await index.search({"unknown": 1.0}, 10, None) == []


@each_kind
async def test_many_that_do_not_pass(make: Any) -> None:
    """The few that pass are found behind a thousand better ones, ties by id."""
    index: KeywordIndex = make()
    better = [document(f"x{n:04}", "tide tide tide", {"ok": False}) for n in range(1000)]
    good = [document(f"g{n}", "tide of others", {"ok": True}) for n in range(7)]
    await index.apply(Changes(upserted=[*better, *good[::-1]]))
    hits = await index.search({"tide": 1.0}, 5, Filter.parse({"ok": True}))
    assert [name for name, _ in hits] == ["g0", "g1", "g2", "g3", "g4"]
    first = await index.search({"tide": 1.0}, 3, None)
    assert [name for name, _ in first] == ["x0000", "x0001", "x0002"]


@each_kind
async def test_versions_are_known(make: Any) -> None:
    own, index = await filled(BM25Index), await filled(make)
    assert await index.documents() == await own.documents()
    assert len(await index.search(index.terms("moon"), 10, None)) == 2
    await index.apply(Changes(upserted=[document("a", "newest")], deleted=["b"]))
    assert [name for name, _ in await index.search(index.terms("moon"), 10, None)] == ["d"]
    assert [name for name, _ in await index.search(index.terms("newest"), 10, None)] == ["a"]
    assert set(await index.documents()) == {"a", "c", "d", "empty"}
    assert await index.search(index.terms("money"), 10, None) == []
    await index.apply(Changes(reset=True))
    assert await index.documents() == {}
    assert await index.salient(["a"], 3) == {}


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
async def test_a_fork_begins_anew() -> None:
    """The copy of tantivy's writer has no threads: the child makes one of its own."""
    index = await filled(TantivyIndex)
    index.position = 1

    def child(answers: Any) -> None:
        async def work() -> Any:
            index.detach()
            begun = index.position, dict(await index.documents())
            await index.apply(Changes(reset=True, upserted=[document("new", "tides")]))
            return begun, [name for name, _ in await index.search({"tide": 1.0}, 9, None)]

        answers.put(asyncio.run(work()))

    fork = multiprocessing.get_context("fork")
    answers = fork.SimpleQueue()
    process = fork.Process(target=child, args=(answers,))
    process.start()
    try:
        await asyncio.to_thread(process.join, 60)
        assert not process.is_alive()
    finally:
        process.kill()
    assert answers.get() == ((None, {}), ["new"])
    assert len(await index.search({"tide": 1.0}, 9, None)) == 2
