"""Hybrid search of others, on vectors that are made already; those that are installed."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np


class Hybrid(ABC):
    """Finds documents by words and vectors."""

    name = ""
    needs = ""

    @abstractmethod
    def build(
        self, documents: Sequence[tuple[str, str]], vectors: Mapping[str, Sequence[float]]
    ) -> None:
        """Index ids and texts; ``vectors`` has those of all texts and queries."""

    @abstractmethod
    def search(self, query: str, limit: int) -> list[str]:
        """Return the best documents."""


class Haystack(Hybrid):
    """Haystack's document store in memory: both retrievers, joined by reciprocal ranks."""

    name, needs = "haystack, in memory", "haystack"

    def build(
        self, documents: Sequence[tuple[str, str]], vectors: Mapping[str, Sequence[float]]
    ) -> None:
        """Index all documents."""
        from haystack import Document
        from haystack.components.joiners import DocumentJoiner
        from haystack.components.retrievers.in_memory import (
            InMemoryBM25Retriever,
            InMemoryEmbeddingRetriever,
        )
        from haystack.document_stores.in_memory import InMemoryDocumentStore

        store: Any = InMemoryDocumentStore(embedding_similarity_function="cosine")
        store.write_documents(
            [
                Document(id=name, content=text, embedding=list(vectors[text]))
                for name, text in documents
            ]
        )
        self._vectors = vectors
        self._words: Any = InMemoryBM25Retriever(store, top_k=100)
        self._near: Any = InMemoryEmbeddingRetriever(store, top_k=100)
        self._join: Any = DocumentJoiner(join_mode="reciprocal_rank_fusion")

    def search(self, query: str, limit: int) -> list[str]:
        """Return the best documents."""
        words = self._words.run(query=query)["documents"]
        near = self._near.run(query_embedding=list(self._vectors[query]))["documents"]
        found = self._join.run(documents=[words, near], top_k=limit)["documents"]
        return [each.id for each in found]


class Txtai(Hybrid):
    """txtai with both its indexes, as ``hybrid=True`` sets them up."""

    name, needs = "txtai", "txtai"

    def build(
        self, documents: Sequence[tuple[str, str]], vectors: Mapping[str, Sequence[float]]
    ) -> None:
        """Index all documents."""
        from txtai import Embeddings

        def transform(texts: Sequence[str]) -> Any:
            return np.array([vectors[text] for text in texts], np.float32)

        self._index: Any = Embeddings(method="external", transform=transform, hybrid=True)
        self._index.index([(name, text, None) for name, text in documents])

    def search(self, query: str, limit: int) -> list[str]:
        """Return the best documents."""
        return [str(name) for name, _ in self._index.search(query, limit)]


class Lance(Hybrid):
    """lancedb: its full-text index and its vectors, joined as it does by itself."""

    name, needs = "lancedb, hybrid", "lancedb"

    def build(
        self, documents: Sequence[tuple[str, str]], vectors: Mapping[str, Sequence[float]]
    ) -> None:
        """Index all documents."""
        import tempfile

        import lancedb
        import pyarrow as pa

        self._folder = tempfile.TemporaryDirectory()
        flat = pa.array(np.array([vectors[text] for _, text in documents], np.float32).ravel())
        size = len(next(iter(vectors.values())))
        data = pa.table(
            {
                "vector": pa.FixedSizeListArray.from_arrays(flat, size),
                "text": [text for _, text in documents],
                "name": [name for name, _ in documents],
            }
        )
        self._table: Any = lancedb.connect(self._folder.name).create_table("t", data)
        self._table.create_fts_index("text", use_tantivy=False)
        self._vectors = vectors

    def search(self, query: str, limit: int) -> list[str]:
        """Return the best documents."""
        asked = self._table.search(query_type="hybrid").vector(list(self._vectors[query]))
        return [str(each["name"]) for each in asked.text(query).limit(limit).to_list()]


def everybody() -> list[Hybrid]:
    """Return the contenders that are installed, not yet built."""
    return [each() for each in (Haystack, Txtai, Lance) if find_spec(each.needs) is not None]
