"""Settings of the search: the section ``search`` of a YAML file."""

from typing import Annotated, ClassVar

import msgspec

from ._common.config import BaseSettings
from .errors import ConfigurationError

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class VectorDbSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where documents and vectors are kept.

    Attributes:
        type: A scheme of the registry.
        url: Its URL; ``sqlite:///search.db`` or ``memory://`` need no type.
        api_key: For hosted databases; the embedded ones refuse it.
        collection: The index's name in the database; an embedded one is named by its URL.
    """

    type: str | None = None
    url: str | None = None
    api_key: str | None = None
    collection: str = "documents"

    def full_url(self) -> str:
        """Return the URL of the registry that the section means.

        Raises:
            ConfigurationError: A part that the type needs is missing.
        """
        if self.url is None:
            if self.type not in {None, "memory"}:
                raise ConfigurationError(f"vector_db type {self.type!r} needs 'url'")
            return "memory://"
        if self.type in {None, "memory", "sqlite", "edge"}:
            return self.url
        # http://host:6333 with type qdrant is qdrant://host:6333
        return f"{self.type}://{self.url.partition('://')[2] or self.url}"


class EmbeddingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What makes the vectors.

    Attributes:
        provider: ``hashing`` (none named), ``light`` (wordllama), ``local``
            (sentence-transformers), ``openai`` and what speaks like it, ``cohere``, or a name that
            an entry point adds; others are refused at first use.
        model: The provider's model; ``hashing`` has none and refuses it.
        dimension: The length of the vectors, where the provider lets one choose or cannot tell it.
        batch_size: Texts per call of the provider.
        api_key: For hosted models; the embedded ones refuse it.
        url: Where a hosted model answers, for example ``http://127.0.0.1:11434/v1`` (Ollama).
        cache: Where vectors are kept beside memory: ``sqlite:///vectors.db`` or ``redis://host``.
    """

    provider: str | None = None
    model: str | None = None
    dimension: Count | None = None
    batch_size: Count = 100
    api_key: str | None = None
    url: str | None = None
    cache: str | None = None


class SearchSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds where a query does not say.

    Attributes:
        default_limit: Hits, 1 to 1000.
        default_threshold: See ``SearchQuery.threshold``.
        enable_hybrid: Vectors and keywords.
        enable_reranking: Needs a service with a reranker.
        enable_query_expansion: Pseudo-relevance feedback.
        language: Of texts whose metadata name none: its ISO 639 code, like ``en``.
        keyword: The keyword index, by its scheme or URL: ``bm25`` (the embedded one),
            ``rank-bm25``, ``tantivy``, ``postgresql://…``, ``elasticsearch://…``, ``typesense://…``,
            or one that an entry point adds.
        keyword_api_key: For keyword indexes on servers that take one; the others refuse it.
    """

    default_limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10
    default_threshold: Share = 0.5
    enable_hybrid: bool = True
    enable_reranking: bool = False
    enable_query_expansion: bool = False
    language: Annotated[str, msgspec.Meta(pattern="^[a-z]{2,3}$")] = "en"
    keyword: Annotated[str, msgspec.Meta(min_length=1)] = "bm25"
    keyword_api_key: str | None = None


class CacheSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The cache of results; a write to the index makes it miss.

    Attributes:
        enabled: Whether there is one.
        ttl: Seconds.
        max_size: Results.
    """

    enabled: bool = True
    ttl: Annotated[float, msgspec.Meta(gt=0)] = 3600.0
    max_size: Count = 1000


class IndexingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How documents are indexed.

    Attributes:
        batch_size: Documents per write.
        auto_index: Make a missing index at first use.
        max_content: Most characters of a document.
        chunk_size: Words of a part, 20 to 10,000: longer documents are found by their parts, too;
            0 for no parts.
        chunk_overlap: Words of a part that stand in the next one again, less than half of the size.
    """

    batch_size: Count = 100
    auto_index: bool = True
    max_content: Annotated[int, msgspec.Meta(ge=1)] = 10_000_000
    chunk_size: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 200
    chunk_overlap: Annotated[int, msgspec.Meta(ge=0)] = 20


class Settings(BaseSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole section ``search``.

    Attributes:
        vector_db: The store.
        embeddings: The embedder.
        search: Defaults of queries.
        cache: Of results.
        indexing: Of documents.
    """

    DIST: ClassVar[str] = "semsearch"
    SECTION: ClassVar[str] = "search"
    PREFIX: ClassVar[str] = "SEMSEARCH"
    URL_AT: ClassVar[tuple[str, str]] = ("vector_db", "url")

    vector_db: VectorDbSettings = VectorDbSettings()
    embeddings: EmbeddingSettings = EmbeddingSettings()
    search: SearchSettings = SearchSettings()
    cache: CacheSettings = CacheSettings()
    indexing: IndexingSettings = IndexingSettings()
