"""Every adapter passes its suite."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from semsearch.adapters.bm25 import BM25Index
from semsearch.adapters.embedders import CallableEmbedder, HashingEmbedder, WordLlamaEmbedder
from semsearch.adapters.memory import MemoryStore
from semsearch.adapters.rank_bm25 import RankBM25Index
from semsearch.adapters.sqlite import SQLiteStore
from semsearch.adapters.tantivy import TantivyIndex
from semsearch.ports import Embedder, KeywordIndex, VectorStore
from semsearch.testing import EmbedderSuite, KeywordIndexSuite, VectorStoreSuite


class TestMemoryStore(VectorStoreSuite):
    @pytest.fixture
    def store(self) -> VectorStore:
        return MemoryStore()


class TestSQLiteStore(VectorStoreSuite):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[VectorStore]:
        store = SQLiteStore(f"sqlite:///{tmp_path}/index.db")
        yield store
        await store.aclose()


class TestBM25(KeywordIndexSuite):
    @pytest.fixture
    def index(self) -> KeywordIndex:
        return BM25Index()


class TestRankBM25(KeywordIndexSuite):
    @pytest.fixture
    def index(self) -> KeywordIndex:
        pytest.importorskip("rank_bm25")
        return RankBM25Index()


class TestTantivy(KeywordIndexSuite):
    @pytest.fixture
    def index(self) -> KeywordIndex:
        pytest.importorskip("tantivy")
        return TantivyIndex()


class TestHashing(EmbedderSuite):
    @pytest.fixture
    def embedder(self) -> Embedder:
        return HashingEmbedder()


class TestWordLlama(EmbedderSuite):
    @pytest.fixture
    def embedder(self) -> Embedder:
        pytest.importorskip("wordllama")
        return WordLlamaEmbedder()


class TestCallable(EmbedderSuite):
    @pytest.fixture
    def embedder(self) -> Embedder:
        return CallableEmbedder(HashingEmbedder(64).embed_documents, model_id="mine", dimension=64)
