"""Vectors that were made before: in a file, in Redis, in any object with get and set."""

import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from semsearch import ConfigurationError, SearchDocument, SearchService, Settings
from semsearch.adapters.embedding_caches import RedisEmbeddingCache, SQLiteEmbeddingCache
from semsearch.adapters.memory import MemoryStore
from semsearch.testing import DIMENSION, FakeEmbedder

DOCS = [SearchDocument(f"d{n}", f"the text number {n}") for n in range(5)]


class Kept(dict[str, bytes]):
    """The least that a cache must be; its methods are plain."""

    def set(self, key: str, value: bytes) -> None:
        self[key] = value


@pytest.fixture(params=["dict", "sqlite", "redis"])
async def cache(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    if request.param == "dict":
        yield Kept()
        return
    made: Any
    if request.param == "sqlite":
        made = SQLiteEmbeddingCache(f"sqlite:///{tmp_path}/vectors.db")
    else:
        pytest.importorskip("redis")
        made = RedisEmbeddingCache(request.getfixturevalue("redis_url"))
    yield made
    await made.aclose()


async def indexed(cache: Any, embedder: FakeEmbedder) -> list[str]:
    async with SearchService(
        store=MemoryStore(), embedder=embedder, embedding_cache=cache
    ) as service:
        await service.index_batch(DOCS)
        assert (await service.search("number 3"))[0].id == "d3"
    return [text for text in embedder.texts if text.startswith("the")]


async def test_a_second_run_embeds_nothing(cache: Any) -> None:
    assert len(await indexed(cache, FakeEmbedder())) == 5
    assert await indexed(cache, FakeEmbedder()) == []


async def test_another_model_is_another_vector(cache: Any) -> None:
    await indexed(cache, FakeEmbedder())

    class Other(FakeEmbedder):
        model_id = "other"

    assert len(await indexed(cache, Other())) == 5


BYTES: list[Any] = [
    b"",
    b"\0" * 4,
    b"\0" * (4 + 4 * DIMENSION),
    struct.pack(f"<I{DIMENSION}f", 1, *[1.0] * DIMENSION),
    b"\x80\x05cos\nsystem\n(S'false'\ntR.",
    "text",
    7,
]


@pytest.mark.parametrize("raw", BYTES, ids=repr)
async def test_hostile_bytes_are_absent(raw: Any) -> None:
    cache = Kept()
    await indexed(cache, FakeEmbedder())
    for key in cache:
        cache[key] = raw
    assert len(await indexed(cache, FakeEmbedder())) == 5


async def test_a_cache_that_fails_costs_an_embedding(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def get(self, key: str) -> bytes:
            raise OSError(key)

        async def set(self, key: str, value: bytes) -> None:
            raise OSError(key)

    assert len(await indexed(Broken(), FakeEmbedder())) == 5
    assert "semsearch.embedding_cache_failed" in caplog.text


async def test_the_least_used_leave_a_full_file(tmp_path: Path) -> None:
    now = [0.0]
    url = f"sqlite:///{tmp_path}/v.db?max_entries=3"
    cache = SQLiteEmbeddingCache(url, clock=lambda: now[0])
    for n in range(3):
        now[0] = n
        await cache.set(f"k{n}", b"v")
    now[0] = 200_000
    assert await cache.get("k0") == b"v"
    await cache.set("k3", b"v")
    found = await cache.get_many(["k0", "k1", "k2", "k3"])
    assert set(found) == {"k0", "k2", "k3"}
    await cache.aclose()
    await cache.aclose()
    assert await cache.get("k3") == b"v"  # opened again
    await cache.aclose()


async def test_named_by_settings(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/vectors.db"
    settings = Settings.from_mapping({"embeddings": {"cache": url}})
    for rate in (0.0, 1.0):
        async with SearchService(settings) as service:
            await service.index_batch(DOCS)
            assert (await service.get_stats()).embedding_cache_hit_rate == rate


@pytest.mark.parametrize(
    "url",
    ["sqlite:///v.db?max_entries=0", "sqlite:///v.db?nonsense=1", "redis://h?ttl=x", "ftp://h"],
)
async def test_wrong_urls(url: str) -> None:
    settings = Settings.from_mapping({"embeddings": {"cache": url}})
    with pytest.raises(ConfigurationError):
        await SearchService(settings).count()
