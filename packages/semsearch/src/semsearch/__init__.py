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
        SemSearchError,
        UnsupportedOperationError,
    )
    from .filters import Filter
    from .models import (
        Analytics,
        Evaluation,
        Facet,
        IndexReport,
        SearchDocument,
        SearchQuery,
        SearchResult,
        SearchResults,
        SearchStats,
    )
    from .ports import Capabilities, Embedder, KeywordIndex, QueryExpander, Reranker, VectorStore
    from .service import SearchService
    from .settings import Settings

__all__ = [
    "Analytics",
    "BackendError",
    "Capabilities",
    "ConfigurationError",
    "DimensionMismatch",
    "DocumentNotFound",
    "Embedder",
    "EmbeddingError",
    "Evaluation",
    "Facet",
    "Filter",
    "IndexReport",
    "InvalidDocument",
    "InvalidFilter",
    "KeywordIndex",
    "MissingExtraError",
    "QueryExpander",
    "Reranker",
    "SearchDocument",
    "SearchQuery",
    "SearchResult",
    "SearchResults",
    "SearchService",
    "SearchStats",
    "SemSearchError",
    "Settings",
    "UnsupportedOperationError",
    "VectorStore",
    "search_service",
]

if not TYPE_CHECKING:
    from ._common.lazy import exports

    __getattr__, __dir__ = exports(
        __name__,
        __all__,
        ("errors", "models", "filters", "settings", "ports", "service", "_default", "sync"),
    )
