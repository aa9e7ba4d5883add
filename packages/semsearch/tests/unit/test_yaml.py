"""The YAML of the users' specification loads, and each key has its effect."""

import re
from pathlib import Path

import pytest

from semsearch import ConfigurationError, SearchDocument, SearchService, Settings
from semsearch.registry import keyword_index
from semsearch.testing import FakeClock, FakeEmbedder

YAML = """
search:
  # Vector database
  vector_db:
    type: qdrant # or pinecone, weaviate, pgvector
    url: "${QDRANT_URL}"
    api_key: "${QDRANT_API_KEY}"
    collection: "documents"

  # Embeddings
  embeddings:
    provider: openai # or cohere, local
    model: "text-embedding-3-small"
    dimension: 1536
    batch_size: 100

  # Search settings
  search:
    default_limit: 10
    default_threshold: 0.5
    enable_hybrid: true
    enable_reranking: false
    enable_query_expansion: false

  # Cache
  cache:
    enabled: true
    ttl: 3600

  # Indexing
  indexing:
    batch_size: 100
    auto_index: true
"""
DOCS = [
    SearchDocument(str(n), f"{word} text", {"n": n}) for n, word in enumerate("abcdefghijklmnop")
]


def make(embedder: FakeEmbedder | None = None, **settings: object) -> SearchService:
    return SearchService(Settings.from_mapping(settings), embedder=embedder or FakeEmbedder())


def load(tmp_path: Path) -> Settings:
    pytest.importorskip("yaml")
    file = tmp_path / "settings.yaml"
    file.write_text(YAML, encoding="utf-8")
    return Settings.from_yaml(file, environ={"QDRANT_URL": "http://h:6333", "QDRANT_API_KEY": "k"})


def test_specified_yaml_loads(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.vector_db.full_url() == "qdrant://h:6333"
    assert (settings.embeddings.dimension, settings.search.default_limit) == (1536, 10)


async def test_what_is_not_there_is_named_at_first_use(tmp_path: Path) -> None:
    service = SearchService(load(tmp_path))
    with pytest.raises(ConfigurationError, match="api_key is missing"):
        await service.count()
    with pytest.raises(ConfigurationError, match="unknown embedder 'magic'; known: cohere"):
        await SearchService(Settings.from_mapping({"embeddings": {"provider": "magic"}})).count()
    settings = Settings.from_mapping({"vector_db": {"type": "magic", "url": "http://h"}})
    other = SearchService(settings, embedder=FakeEmbedder())
    with pytest.raises(ConfigurationError, match="unknown vector store 'magic'; known: edge"):
        await other.count()


async def test_type_needs_its_url() -> None:
    with pytest.raises(ConfigurationError, match="needs 'url'"):
        await make(vector_db={"type": "qdrant"}).count()


async def test_embeddings_dimension() -> None:
    settings = Settings.from_mapping({"embeddings": {"dimension": 32}})
    async with SearchService(settings) as service:
        await service.index(DOCS[0])
        assert len((await service.get("0")).embeddings or ()) == 32
    wrong = Settings.from_mapping({"embeddings": {"provider": "light", "dimension": 7}})
    with pytest.raises(ConfigurationError, match="makes 256"):
        await SearchService(wrong).count()
    model = Settings.from_mapping({"embeddings": {"provider": "light", "model": "other"}})
    with pytest.raises(ConfigurationError, match="unknown model 'other'"):
        await SearchService(model).count()


async def test_embeddings_batch_size() -> None:
    sizes: list[int] = []

    class Counting(FakeEmbedder):
        def embed_documents(self, texts):  # type: ignore[no-untyped-def]
            sizes.append(len(texts))
            return super().embed_documents(texts)

    async with make(Counting(), embeddings={"batch_size": 3}) as service:
        await service.index_batch(DOCS[:8])
    assert sizes == [3, 3, 2]


async def test_indexing_batch_size() -> None:
    done: list[int] = []
    async with make(indexing={"batch_size": 5}) as service:
        await service.index_batch(DOCS[:12], on_progress=done.append)
    assert done == [5, 10, 12]


async def test_auto_index_off(tmp_path: Path) -> None:
    url = {"url": f"sqlite:///{tmp_path}/s.db"}
    with pytest.raises(ConfigurationError, match="auto_index is off"):
        await make(indexing={"auto_index": False}, vector_db=url).count()


async def test_default_limit_and_threshold() -> None:
    async with make(search={"default_limit": 3, "default_threshold": 1.0}) as service:
        await service.index_batch(DOCS)
        assert len(await service.search("text")) == 3
        assert not await service.search("unrelated", hybrid=False)
        assert await service.search("unrelated", hybrid=False, threshold=0.0)


async def test_hybrid_and_expansion_defaults() -> None:
    async with make(search={"enable_hybrid": False}) as service:
        await service.index_batch(DOCS)
        assert "bm25" not in (await service.search("text"))[0].scores
        assert "bm25" in (await service.search("text", hybrid=True))[0].scores
    expanded = make(search={"enable_query_expansion": True})
    async with expanded as service, make() as plain:
        for each in (service, plain):
            await each.index_batch(
                [
                    SearchDocument("1", "volcano lava"),
                    SearchDocument("2", "lava"),
                    SearchDocument("3", "sea"),
                ]
            )
        found = await service.search("volcano", threshold=1.0)
        # of so few documents all are among the best, and lend their words
        assert {"1", "2"} <= {hit.id for hit in found}
        assert {hit.id for hit in await plain.search("volcano", threshold=1.0)} == {"1"}


async def test_reranking_default_needs_a_reranker() -> None:
    async with make(search={"enable_reranking": True}) as service:
        await service.index_batch(DOCS)
        with pytest.raises(ConfigurationError, match="reranker"):
            await service.search("text")


@pytest.mark.parametrize("enabled", [True, False])
async def test_cache(enabled: bool) -> None:
    clock = FakeClock()
    settings = Settings.from_mapping({"cache": {"enabled": enabled, "ttl": 100}})
    async with SearchService(settings, embedder=FakeEmbedder(), clock=clock) as service:
        await service.index_batch(DOCS)
        for _ in range(4):
            await service.search("text")
        assert (await service.get_stats()).cache_hit_rate == (0.75 if enabled else 0.0)
        await clock.advance(101)
        await service.search("text")
        assert (await service.get_stats()).cache_hit_rate == (0.6 if enabled else 0.0)


@pytest.mark.parametrize(
    ("bad", "where"),
    [
        ({"vektor": {}}, "vektor"),
        ({"search": {"default_limit": 0}}, r"\$\.search\.default_limit"),
        ({"search": {"default_threshold": 2}}, r"\$\.search\.default_threshold"),
        ({"embeddings": {"batch_size": 0}}, r"\$\.embeddings\.batch_size"),
    ],
)
def test_wrong_settings_name_their_place(bad: dict[str, object], where: str) -> None:
    with pytest.raises(ConfigurationError, match=where):
        Settings.from_mapping(bad)


@pytest.mark.parametrize(
    ("section", "values", "key"),
    [
        ("vector_db", {"api_key": "x"}, "vector_db.api_key"),
        ("vector_db", {"collection": "mine"}, "vector_db.collection"),
        ("embeddings", {"model": "large"}, "embeddings.model"),
        ("embeddings", {"api_key": "x"}, "embeddings.api_key"),
        ("embeddings", {"provider": "light", "api_key": "x"}, "embeddings.api_key"),
    ],
)
async def test_what_would_have_no_effect_is_refused(
    section: str, values: dict[str, str], key: str
) -> None:
    service = SearchService(Settings.from_mapping({section: values}))
    with pytest.raises(ConfigurationError, match=f"{key} has no effect"):
        await service.count()


def test_a_language_is_a_code() -> None:
    with pytest.raises(ConfigurationError, match=r"\$\.search\.language"):
        Settings.from_mapping({"search": {"language": "english"}})


async def test_keyword() -> None:
    for name, kind in (("bm25", "BM25Index"), ("rank-bm25", "RankBM25Index")):
        made = keyword_index(Settings.from_mapping({"search": {"keyword": name}}).search)
        assert type(made).__name__ == kind
    for wrong, said in (
        ("magic", "unknown keyword index 'magic'; known: bm25, elasticsearch"),
        ("bm25://?k1=2", "unknown option 'k1'"),
        ("tantivy://?path=x", "unknown option 'path'"),
        ("rank-bm25://?b=1", "unknown option 'b'"),
        ("", "search.keyword"),
    ):
        with pytest.raises(ConfigurationError, match=re.escape(said)):
            await make(search={"keyword": wrong}).count()
