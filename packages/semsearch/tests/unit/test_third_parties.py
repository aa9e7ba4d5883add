"""Stores and embedders of other distributions, found by entry point."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from _common.third_party import installed
from semsearch import ConfigurationError, SearchDocument, SearchService, Settings

CODE = """
from semsearch.adapters.memory import MemoryStore
from semsearch.ports import Embedder


class Attic(MemoryStore):
    def __init__(self, url, *, collection, api_key):
        super().__init__()


class Misfit(MemoryStore):
    def __init__(self, url):
        super().__init__()


class Letters(Embedder):
    model_id = "letters-1"
    dimension = 26

    def embed_documents(self, texts):
        import numpy as np

        found = np.zeros((len(texts), 26), dtype=np.float32)
        for row, text in enumerate(texts):
            for letter in filter("abcdefghijklmnopqrstuvwxyz".__contains__, text):
                found[row, ord(letter) - 97] += 1
        return found
"""
POINTS = {
    "semsearch.vector_stores/attic": "Attic",
    "semsearch.vector_stores/misfit": "Misfit",
    "semsearch.embedders/letters": "Letters",
}


@pytest.fixture(autouse=True)
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(tmp_path / "site", monkeypatch, CODE, POINTS):
        yield


async def test_a_store_and_an_embedder_are_found() -> None:
    chosen = {"embeddings": {"provider": "letters"}, "vector_db": {"url": "attic://here"}}
    async with SearchService(Settings.from_mapping(chosen)) as search:
        await search.index(SearchDocument("1", "the tides follow the moon"))
        assert [hit.id for hit in await search.search("tides")] == ["1"]


async def test_one_that_is_made_in_another_way_says_so() -> None:
    with pytest.raises(ConfigurationError, match=r"'misfit' is installed, but Misfit\(…"):
        await SearchService.from_url("misfit://somewhere").search("x")


async def test_options_of_an_embedder_that_takes_none() -> None:
    chosen = {"embeddings": {"provider": "letters", "model": "big"}}
    with pytest.raises(ConfigurationError, match="'letters' is installed, but Letters"):
        await SearchService(Settings.from_mapping(chosen)).search("x")


@pytest.mark.parametrize(
    "given",
    [
        {"store": "memory://"},
        {"keywords": "tantivy"},
        {"embedder": "letters"},
        {"reranker": len},
        {"expander": len},
        {"chunker": 200},
    ],
)
def test_a_part_that_is_none(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="takes a ready") as refused:
        SearchService(**given)
    assert next(iter(given)) in str(refused.value)
    assert "secret" not in str(refused.value)
