"""Stores, keyword indexes and embedders by name; others add theirs by entry points."""

from typing import Any

from ._common.plugins import Plugins
from ._common.urls import query_of, scheme_of
from .errors import ConfigurationError
from .ports import Embedder, EmbeddingCache, KeywordIndex, QueryExpander, VectorStore
from .settings import EmbeddingSettings, SearchSettings, Settings, VectorDbSettings

STORES = Plugins(
    "vector store",
    "semsearch.vector_stores",
    {
        "memory": "semsearch.adapters.memory:MemoryStore",
        "sqlite": "semsearch.adapters.sqlite:SQLiteStore",
        "postgresql": "semsearch.adapters.pgvector:PgVectorStore",
        "postgres": "semsearch.adapters.pgvector:PgVectorStore",
        "pgvector": "semsearch.adapters.pgvector:PgVectorStore",
        "qdrant": "semsearch.adapters.qdrant:QdrantStore",
        "edge": "semsearch.adapters.edge:EdgeStore",
        "elasticsearch": "semsearch.adapters.elasticsearch:ElasticsearchStore",
        "weaviate": "semsearch.adapters.weaviate:WeaviateStore",
        "pinecone": "semsearch.adapters.pinecone:PineconeStore",
    },
)
KEYWORDS = Plugins(
    "keyword index",
    "semsearch.keyword_indexes",
    {
        "bm25": "semsearch.adapters.bm25:BM25Index",
        "rank-bm25": "semsearch.adapters.rank_bm25:RankBM25Index",
        "tantivy": "semsearch.adapters.tantivy:TantivyIndex",
        "elasticsearch": "semsearch.adapters.elasticsearch:ElasticsearchIndex",
        "typesense": "semsearch.adapters.typesense:TypesenseIndex",
        "postgresql": "semsearch.adapters.postgres_words:PostgresIndex",
        "postgres": "semsearch.adapters.postgres_words:PostgresIndex",
    },
)
EMBEDDERS = Plugins(
    "embedder",
    "semsearch.embedders",
    {
        "hashing": "semsearch.adapters.embedders:HashingEmbedder",
        "light": "semsearch.adapters.embedders:WordLlamaEmbedder",
        "local": "semsearch.adapters.local_models:SentenceTransformerEmbedder",
        "openai": "semsearch.adapters.openai:OpenAIEmbedder",
        "cohere": "semsearch.adapters.cohere:CohereEmbedder",
    },
)
CACHES = Plugins(
    "embedding cache",
    "semsearch.embedding_caches",
    {
        "sqlite": "semsearch.adapters.embedding_caches:SQLiteEmbeddingCache",
        "redis": "semsearch.adapters.embedding_caches:RedisEmbeddingCache",
        "rediss": "semsearch.adapters.embedding_caches:RedisEmbeddingCache",
    },
)
EXPANDERS = Plugins(
    "query expander",
    "semsearch.expanders",
    {"feedback": "semsearch.adapters.feedback:FeedbackExpander"},
)
_PARTS = Plugins(
    "part",
    "semsearch.parts",
    {
        "page": "semsearch.asgi.local:Local",
        "chunked": "semsearch.adapters.chunked:ChunkedStore",
    },
)
_EMBEDDED = frozenset({"memory", "sqlite", "hashing", "light", "local"})
_HOSTED = frozenset({"openai", "cohere"})
_KEYED = frozenset({"elasticsearch", "typesense"})


def _refuse(adapter: str, key: str, value: str | None) -> None:
    """Raise if a setting is given that would have no effect."""
    if value is not None:
        raise ConfigurationError(f"{key} has no effect on {adapter!r}: leave it out")


def store_from(settings: Settings) -> VectorStore:
    """Construct the store that the settings name; no I/O.

    Raises:
        ConfigurationError: The scheme or an option is unknown, or a setting would have no effect.
    """
    url = settings.vector_db.full_url()
    scheme = scheme_of(url)
    if scheme in _EMBEDDED:
        _refuse(scheme, "vector_db.api_key", settings.vector_db.api_key)
        if settings.vector_db.collection != VectorDbSettings().collection:
            _refuse(scheme, "vector_db.collection", settings.vector_db.collection)
    kind: Any = STORES.load(scheme)
    if scheme == "memory":
        query_of(url, allowed=frozenset())
        made: VectorStore = kind()
    elif scheme in _EMBEDDED:
        made = kind(url)
    else:
        chosen = settings.vector_db
        build = getattr(kind, "from_url", kind)
        made = STORES.call(scheme, build, url, collection=chosen.collection, api_key=chosen.api_key)
    return made


def embedder_from(settings: EmbeddingSettings, language: str) -> Embedder:
    """Construct the embedder that the settings name; hashing if none. No model is loaded yet.

    Raises:
        ConfigurationError: The provider is unknown, cannot make the dimension, or would ignore a
            setting.
    """
    name = settings.provider or "hashing"
    if name in _EMBEDDED:
        _refuse(name, "embeddings.api_key", settings.api_key)
        _refuse(name, "embeddings.url", settings.url)
    kind: Any = EMBEDDERS.load(name)
    if name == "hashing":
        _refuse(name, "embeddings.model", settings.model)
        made: Embedder = kind(settings.dimension or 512, language)
        return made
    options: dict[str, Any] = {} if settings.model is None else {"model": settings.model}
    if name in _HOSTED:
        hosted = {"dimension": settings.dimension, "api_key": settings.api_key, "url": settings.url}
        options |= {key: value for key, value in hosted.items() if value is not None}
        found: Embedder = kind(**options)
        return found
    chosen: Embedder = EMBEDDERS.call(name, kind, **options)
    if name != "local" and settings.dimension not in {None, chosen.dimension}:
        raise ConfigurationError(
            f"embeddings.dimension is {settings.dimension}, but {name!r} makes {chosen.dimension}"
        )
    if name == "local" and settings.dimension is not None:
        chosen = kind(**options, dimension=settings.dimension)
    return chosen


def embedding_cache_from(settings: EmbeddingSettings) -> EmbeddingCache | None:
    """Construct the cache of vectors that the settings name, or None; no I/O.

    Raises:
        ConfigurationError: The scheme is unknown.
    """
    if settings.cache is None:
        return None
    kind: Any = CACHES.load(scheme_of(settings.cache))
    made: EmbeddingCache = kind(settings.cache)
    return made


def keyword_index(settings: SearchSettings) -> KeywordIndex:
    """Construct the keyword index that the settings name; no I/O.

    Raises:
        ConfigurationError: The scheme or an option is unknown.
    """
    url = settings.keyword if "://" in settings.keyword else f"{settings.keyword}://"
    scheme = scheme_of(url)
    kind: Any = KEYWORDS.load(scheme)
    if scheme == "bm25":
        query_of(url, allowed=frozenset())
        _refuse(scheme, "search.keyword_api_key", settings.keyword_api_key)
        made: KeywordIndex = kind(language=settings.language)
        return made
    if scheme not in _KEYED:
        _refuse(scheme, "search.keyword_api_key", settings.keyword_api_key)
        build = getattr(kind, "from_url", kind)
        other: KeywordIndex = KEYWORDS.call(scheme, build, url, language=settings.language)
        return other
    keyed: KeywordIndex = kind(url, language=settings.language, api_key=settings.keyword_api_key)
    return keyed


def chunked(store: VectorStore) -> VectorStore:
    """Return a store that keeps the parts of long documents in ``store``, unless it does so."""
    kind: Any = _PARTS.load("chunked")
    made: VectorStore = store if isinstance(store, kind) else kind(store)
    return made


def feedback_expander() -> QueryExpander:
    """Construct the default expander."""
    kind: Any = EXPANDERS.load("feedback")
    made: QueryExpander = kind()
    return made


def local_page(search: Any, **options: Any) -> Any:
    """Return the server of the page on this machine, with its port taken.

    Args:
        search: The service to ask.
        options: As for :class:`semsearch.asgi.local.Local`.

    Raises:
        ConfigurationError: It cannot listen there.
        MissingExtraError: uvicorn or Starlette is not installed.
    """
    return _PARTS.load("page")(search, **options)
