"""Long documents in parts: how they are cut, and that nothing but documents is ever counted."""

import asyncio
import math
import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from semsearch import Chunker, ConfigurationError, SearchDocument, SearchService
from semsearch.adapters.chunked import ChunkedStore
from semsearch.adapters.embedders import HashingEmbedder
from semsearch.adapters.memory import MemoryStore
from semsearch.ports import Chunk, Stored
from semsearch.text.chunks import _pieces
from semsearch.text.highlights import SENTENCE

texts = st.text(st.sampled_from("ab .!?\n\u3002 "), max_size=600)
chunkers = st.builds(
    Chunker, size=st.integers(20, 40), overlap=st.integers(0, 9), most=st.integers(2, 9)
)


@given(texts, chunkers)
@settings(max_examples=400)
def test_parts_are_the_whole(text: str, chunker: Chunker) -> None:
    """They begin and end where the text does, leave no gap, go forward, and are not many."""
    spans = chunker.spans(text)
    if len(text.split()) <= chunker.size:
        assert spans == ()
        return
    assert spans[0][0] == 0
    assert spans[-1][1] == len(text)
    assert 1 <= len(spans) <= 2 * chunker.most
    for (start, end), (later, further) in pairwise(spans):
        assert start < later <= end < further
    if len(text.split()) < chunker.size * chunker.most // 4:
        longest = max(len(text[start:end].split()) for start, end in spans)
        assert longest <= 2 * chunker.size


def word_by_word(text: str, longest: int) -> list[tuple[int, int]]:
    """Return where sentences begin and how many words they have, by a look at each word."""
    words = [found.start() for found in re.finditer(r"\S+", text)]
    made, before = [], 0
    for found in SENTENCE.finditer(text):
        own = [start for start in words if before <= start < found.end()]
        before = found.end()
        made += [
            (own[k] if k else found.start(), len(own[k : k + longest]))
            for k in range(0, len(own), longest)
        ]
    return [(0, made[0][1]), *made[1:]] if made else []


sentences = st.lists(
    st.sampled_from(
        ["a", "b.", ".", "?!", " ", "\n", "\u3002", "\u3000", "\x1c", " a b c ", "a.b a "]
    )
)


@given(sentences.map("".join), st.integers(1, 5))
@example("a.b c d", 1)
@settings(max_examples=1000)
def test_words_are_counted_by_what_stands_between_blanks(text: str, longest: int) -> None:
    assert _pieces(text, longest) == word_by_word(text, longest)


def test_whole_sentences() -> None:
    text = " ".join(f"Sentence {n} has these six words." for n in range(20))
    spans = Chunker(size=21, overlap=7).spans(text)
    assert [text[start:end].count(".") for start, end in spans[:3]] == [3, 3, 3]
    assert all(text[start:end].strip().startswith("Sentence") for start, end in spans)
    assert text[slice(*spans[0])].strip().endswith("Sentence 2 has these six words.")
    assert text[slice(*spans[1])].startswith("Sentence 2")


@pytest.mark.parametrize("wrong", [{"size": 19}, {"overlap": 100}, {"overlap": -1}, {"most": 1}])
def test_wrong_numbers(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError):
        Chunker(**wrong)


WORDS = ["tide", "moon", "boat", "tax", "river", "stone", "glass", "wind", "rain", "snow"]
content = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join),
    st.lists(
        st.lists(st.sampled_from(WORDS), min_size=4, max_size=9).map(lambda w: f"{' '.join(w)}."),
        min_size=4, max_size=14,
    ).map(" ".join),
)  # fmt: skip
names = st.sampled_from(["a", "b", "c", "d", "e"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), names, content, st.integers(0, 2)),
        st.tuples(st.just("meta"), names, st.just(""), st.integers(0, 2)),
        st.tuples(st.just("delete"), names, st.just(""), st.just(0)),
    ),
    max_size=9,
)


@given(steps, st.sampled_from(WORDS), st.integers(1, 5))
@settings(max_examples=120)
def test_any_changes_against_a_plain_model(
    made: list[tuple[str, str, str, int]], query: str, limit: int
) -> None:
    chunker, embedder = Chunker(size=20, overlap=5), HashingEmbedder(64)
    there: dict[str, tuple[str, int]] = {}

    def vector(text: str) -> Any:
        row = np.asarray(embedder.embed_documents([text])[0], np.float64)
        if not row.any():
            row[0] = 1.0
        return row / np.linalg.norm(row)

    def score(text: str, asked: Any) -> float:
        own = float(vector(text) @ asked)
        parts = [float(vector(text[a:b]) @ asked) for a, b in chunker.spans(text)]
        return (own + max(parts)) / 2 if parts else own

    async def work() -> None:
        store = MemoryStore()
        async with SearchService(store=store, embedder=embedder, chunker=chunker) as search:
            for kind, name, given_text, n in made:
                text = given_text
                if kind == "delete":
                    assert await search.delete(name) is (there.pop(name, None) is not None)
                    continue
                if kind == "meta":
                    if name not in there:
                        continue
                    text = there[name][0]
                there[name] = (text, n)
                await search.index(SearchDocument(name, text, {"n": n}))
            assert await search.count() == len(there)
            inner = await store.select(None)
            parts = sum(len(chunker.spans(text)) for text, _ in there.values())
            assert len(inner) == len(there) + parts, "parts are left over, or missing"
            wanted = {"n": {"$gte": 1}}
            passing = {name: text for name, (text, n) in there.items() if n >= 1}
            assert await search.count(wanted) == len(passing)
            asked = vector(query)
            expected = sorted(
                ((round(score(text, asked), 5), name) for name, text in passing.items()),
                key=lambda pair: (-pair[0], pair[1]),
            )
            found = await search.search(
                query, filters=wanted, hybrid=False, threshold=0.0, limit=limit, facets=["n"]
            )
            assert found.total == len(passing)
            got = [(2 * hit.score - 1, hit.id) for hit in found]
            assert [s for s, _ in got] == pytest.approx([s for s, _ in expected[:limit]], abs=1e-4)
            assert sum(count for _, count in found.facets["n"].values) == len(passing)
            everything = await search.search(query, hybrid=False, threshold=0.0, limit=50)
            assert {hit.id for hit in everything} == set(there)
            for name in there:
                near = await search.find_similar(name, 10)
                assert {hit.id for hit in near} == set(there) - {name}

    asyncio.run(work())


async def test_a_window_smaller_than_the_parts() -> None:
    """The best documents are exact although one has more parts than are asked for at first."""
    long = " ".join("tide moon boat." for _ in range(400))
    embedder = HashingEmbedder(64)
    store = ChunkedStore(MemoryStore())
    async with SearchService(
        store=store, embedder=embedder, chunker=Chunker(size=20, overlap=0)
    ) as search:
        await search.index_batch(
            [
                SearchDocument("long", long),
                *(SearchDocument(f"s{n}", f"tide {WORDS[n]}") for n in range(5)),
            ]
        )
        asked = await search._parts.sides.vectors.of_query("tide moon boat")
        for limit in range(1, 7):
            near = await store.nearest(asked, limit, None)
            whole = await store.nearest(asked, 100, None)
            assert list(near.hits) == list(whole.hits)[:limit]
            assert len(whole.hits) == 6


async def test_what_is_beyond_the_first_window_may_be_best() -> None:
    """Documents that are near themselves, and have parts that are not, must not hide others."""
    store = ChunkedStore(MemoryStore())
    await store.open("model", 2, create=True)

    def at(cosine: float) -> Any:
        return np.array([cosine, math.sqrt(1 - cosine**2)], np.float32)

    part = Chunk(0, 1, at(-0.5))
    made = [Stored(f"a{n:02}", "x", {}, at(0.9), "", (part,)) for n in range(30)]
    await store.upsert([*made, Stored("z", "x", {}, at(0.5), "")])
    asked = np.array([1.0, 0.0], np.float32)
    [(name, score), (second, _)] = (await store.nearest(asked, 2, None)).hits
    assert (name, second) == ("z", "a00")
    assert score == pytest.approx(0.5, abs=1e-6)
