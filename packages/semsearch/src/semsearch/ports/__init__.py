"""The ports: vector store, keyword index, embedder, reranker, query expander."""

from .embedders import Embedder, EmbeddingCache
from .keywords import KeywordIndex
from .refining import Expanded, Feedback, QueryExpander, Reranker
from .stores import VectorStore
from .values import (
    Capabilities,
    Changes,
    Chunk,
    KeywordCapabilities,
    Matrix,
    Nearest,
    Position,
    Scored,
    Span,
    Stored,
    Vector,
    version,
)

__all__ = [
    "Capabilities",
    "Changes",
    "Chunk",
    "Embedder",
    "EmbeddingCache",
    "Expanded",
    "Feedback",
    "KeywordCapabilities",
    "KeywordIndex",
    "Matrix",
    "Nearest",
    "Position",
    "QueryExpander",
    "Reranker",
    "Scored",
    "Span",
    "Stored",
    "Vector",
    "VectorStore",
    "version",
]
