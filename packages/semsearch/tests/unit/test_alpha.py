"""How much the vectors count where a query does not say: the embedder knows how good it is."""

import pytest

from semsearch import SearchDocument, SearchService
from semsearch.adapters.embedders import HashingEmbedder, WordLlamaEmbedder
from semsearch.testing import FakeEmbedder

_DOCS = [
    SearchDocument("word", "tide and a very long rest about mountains, glass and volcanoes"),
    SearchDocument("near", "diet edit tied"),
]


class Words(FakeEmbedder):
    """Trusts the words alone."""

    alpha = 0.0


class Meanings(FakeEmbedder):
    """Trusts the vectors alone."""

    alpha = 1.0


@pytest.mark.parametrize(("embedder", "first"), [(Words(), "word"), (Meanings(), "near")])
async def test_the_embedder_says_what_a_query_does_not(embedder: FakeEmbedder, first: str) -> None:
    async with SearchService.from_url("memory://", embedder=embedder) as search:
        await search.index_batch(_DOCS)
        assert (await search.search("tide", threshold=0))[0].id == first
        # what a query says holds
        assert (await search.search("tide", threshold=0, alpha=0.0))[0].id == "word"
        assert (await search.search("tide", threshold=0, alpha=1.0))[0].id == "near"


async def test_tune_compares_with_the_embedders_own() -> None:
    embedder = Words()
    async with SearchService.from_url("memory://", embedder=embedder) as search:
        await search.index_batch(_DOCS)
        made = await search.tune({"q": "tide"}, {"q": {"near": 1}})
        assert made.default_ndcg < made.ndcg
        nothing = await search.tune({}, {})
        assert nothing.alpha == 0.0
        embedder.alpha = 0.33
        table = (await search.tune({"q": "tide"}, {"q": {"word": 1}})).table
        assert {"minmax 0.0", "minmax 0.3", "minmax 0.33", "minmax 1.0"} < table.keys()


def test_weak_models_count_less() -> None:
    assert HashingEmbedder().alpha < WordLlamaEmbedder().alpha < FakeEmbedder().alpha == 0.5
