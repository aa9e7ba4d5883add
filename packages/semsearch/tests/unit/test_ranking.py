"""Diversity and synonyms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch import ConfigurationError, SearchDocument, SearchService
from semsearch.adapters.embedders import CallableEmbedder
from semsearch.adapters.memory import MemoryStore
from semsearch.adapters.rerankers import CallableReranker
from semsearch.adapters.synonyms import SynonymExpander
from semsearch.diversity import diversified
from semsearch.testing import FakeEmbedder


def unit(*values: float) -> np.ndarray:
    made = np.array(values, np.float32)
    return made / np.linalg.norm(made)


def test_what_is_like_the_first_comes_later() -> None:
    hits = [("a", 1.0), ("b", 0.9), ("c", 0.8)]
    vectors = {"a": unit(1, 0), "b": unit(1, 0.01), "c": unit(0, 1)}
    assert diversified(hits, vectors, 0.0) == hits
    assert diversified(hits, vectors, 0.5) == [("a", 1.0), ("c", 0.9), ("b", 0.8)]
    assert diversified(hits[:1], vectors, 0.5) == hits[:1]
    assert [name for name, _ in diversified(hits, {}, 0.5)] == ["a", "b", "c"]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0, 1), st.integers(0, 99))
def test_nothing_is_lost_and_scores_keep_falling(
    scores: list[float], amount: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    hits = [(f"d{n:02}", score) for n, score in enumerate(sorted(scores, reverse=True))]
    vectors = {name: unit(*rng.normal(size=4)) for name, _ in hits}
    made = diversified(hits, vectors, amount)
    assert sorted(name for name, _ in made) == sorted(name for name, _ in hits)
    assert [score for _, score in made] == [score for _, score in hits]
    assert made[0][0] == hits[0][0]
    assert made == diversified(hits, vectors, amount)


async def test_in_a_search() -> None:
    places = {"sea one": [1, 0, 0.1], "sea two": [1, 0.05, 0.1], "sea hill": [0.5, 1, 0]}
    embedder = CallableEmbedder(
        lambda texts: np.array([places.get(text, [1, 0, 0]) for text in texts]),
        model_id="places",
        dimension=3,
    )
    async with SearchService(store=MemoryStore(), embedder=embedder) as service:
        await service.index_batch([SearchDocument(text, text) for text in places])
        plain = [hit.id for hit in await service.search("sea", hybrid=False)]
        spread = [hit.id for hit in await service.search("sea", hybrid=False, diversity=0.7)]
        assert plain[2] == "sea hill"
        assert spread[1] == "sea hill"
        with pytest.raises(ConfigurationError, match="diversity"):
            await service.search("sea", diversity=1.1)


async def test_synonyms() -> None:
    expander = SynonymExpander([["car", "automobile"], ["notebook computer", "laptop"]])
    async with SearchService(
        store=MemoryStore(), embedder=FakeEmbedder(), expander=expander
    ) as service:
        await service.index_batch(
            [
                SearchDocument("a", "an automobile"),
                SearchDocument("l", "a laptop"),
                SearchDocument("n", "a notebook"),
            ]
        )

        async def matched(query: str) -> list[str]:
            found = await service.search(query, query_expansion=True, threshold=1.0)
            return [hit.id for hit in found if "bm25" in hit.scores]

        assert await matched("cars") == ["a"]
        assert await matched("notebook computers") == ["n", "l"] or await matched(
            "notebook computers"
        ) == ["l", "n"]
        assert await matched("notebook") == ["n"]  # half of a phrase is not the phrase


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
async def test_any_function_reranks(kind: str) -> None:
    def plain(query: str, texts: list[str]) -> list[int]:
        return [len(text) for text in texts]

    async def coroutine(query: str, texts: list[str]) -> list[int]:
        return plain(query, texts)

    reranker = CallableReranker(plain if kind == "plain" else coroutine)
    async with SearchService(
        store=MemoryStore(), embedder=FakeEmbedder(), reranker=reranker
    ) as service:
        await service.index_batch([SearchDocument("s", "sea"), SearchDocument("l", "sea " * 9)])
        assert [hit.id for hit in await service.search("sea", rerank=True)] == ["l", "s"]


async def test_a_function_that_fails_costs_the_reranking() -> None:
    def broken(query: str, texts: list[str]) -> list[float]:
        raise OSError(query)

    async with SearchService(
        store=MemoryStore(), embedder=FakeEmbedder(), reranker=CallableReranker(broken)
    ) as service:
        await service.index(SearchDocument("s", "sea"))
        found = await service.search("sea", rerank=True)
        assert [hit.id for hit in found] == ["s"]
        assert "reranking" in (found.degraded or "")
