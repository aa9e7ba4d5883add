"""Semantic and keyword search in one: embed, index, search."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._default import search_service
    from .errors import (
        BackendError,
        ConfigurationError,
        DimensionMismatch,
        DocumentNotFound,
        EmbeddingError,
        InvalidDocument,
        InvalidFilter,
        MissingExtraError,
        NotConfiguredError,
        SemSearchError,
        UnsupportedOperationError,
    )
    from .filters import Filter
    from .models import Facet, SearchDocument, SearchQuery, SearchResult, SearchResults
    from .ports import (
        Capabilities,
        Embedder,
        EmbeddingCache,
        KeywordIndex,
        QueryExpander,
        Reranker,
        VectorStore,
    )
    from .reports import Analytics, Evaluation, IndexReport, RepairReport, SearchStats, Tuning
    from .service import SearchService
    from .settings import Settings
    from .text.chunks import Chunker

__all__ = [
    "Analytics",
    "BackendError",
    "Capabilities",
    "Chunker",
    "ConfigurationError",
    "DimensionMismatch",
    "DocumentNotFound",
    "Embedder",
    "EmbeddingCache",
    "EmbeddingError",
    "Evaluation",
    "Facet",
    "Filter",
    "IndexReport",
    "InvalidDocument",
    "InvalidFilter",
    "KeywordIndex",
    "MissingExtraError",
    "NotConfiguredError",
    "QueryExpander",
    "RepairReport",
    "Reranker",
    "SearchDocument",
    "SearchQuery",
    "SearchResult",
    "SearchResults",
    "SearchService",
    "SearchStats",
    "SemSearchError",
    "Settings",
    "Tuning",
    "UnsupportedOperationError",
    "VectorStore",
    "search_service",
]

if not TYPE_CHECKING:
    from ._common.lazy import exports

    __getattr__, __dir__ = exports(
        __name__,
        __all__,
        (
            "errors",
            "models",
            "reports",
            "filters",
            "settings",
            "ports",
            "service",
            "_default",
            "sync",
            "text.chunks",
        ),
    )
