"""Pages of one query fit together: each hit once, none left out, in the order of one long page."""

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from semsearch import SearchDocument, SearchService
from semsearch.adapters.embedders import HashingEmbedder
from semsearch.adapters.rerankers import CallableReranker

_WORDS = [*(f"w{number}" for number in range(300)), *["alpha", "beta", "gamma"] * 15]
_COUNT = 450


@pytest.fixture(scope="module")
def documents() -> list[SearchDocument]:
    rng = random.Random(7)
    return [
        SearchDocument(
            f"d{number}", " ".join(rng.choice(_WORDS) for _ in range(rng.randint(5, 60)))
        )
        for number in range(_COUNT)
    ]


@pytest.fixture
async def search(documents: list[SearchDocument]) -> AsyncIterator[SearchService]:
    async def lengths(_: str, texts: Any) -> list[float]:
        return [float(len(text)) for text in texts]

    service = SearchService.from_url(
        "memory://", embedder=HashingEmbedder(64), reranker=CallableReranker(lengths)
    )
    async with service:
        await service.index_batch(documents)
        yield service


_KINDS: list[dict[str, Any]] = [
    {},
    {"fusion": "rrf"},
    {"alpha": 0.2},
    {"diversity": 0.5},
    {"query_expansion": True},
    {"rerank": True},
    {"hybrid": False},
    {"threshold": 0.55},
]


@pytest.mark.parametrize("kind", _KINDS, ids=str)
async def test_pages_are_parts_of_one_list(search: SearchService, kind: dict[str, Any]) -> None:
    async def page(limit: int, offset: int) -> list[tuple[str, float]]:
        options = {"threshold": 0.0, **kind, "limit": limit, "offset": offset, "highlight": False}
        return [(hit.id, hit.score) for hit in await search.search("alpha beta w7", **options)]

    whole = await page(1000, 0)
    assert len({name for name, _ in whole}) == len(whole)
    assert kind.get("threshold") or len(whole) == _COUNT
    assert [score for _, score in whole] == sorted((s for _, s in whole), reverse=True)
    for limit in (17, 60):
        pages = [hit for offset in range(0, _COUNT, limit) for hit in await page(limit, offset)]
        assert pages == whole


async def test_total_knows_of_a_page_behind(search: SearchService) -> None:
    for offset in (0, 180, 360, 430):
        found = await search.search("alpha beta w7", limit=20, offset=offset, threshold=0.0)
        assert found.total >= min(_COUNT, max(200, offset + 40))
