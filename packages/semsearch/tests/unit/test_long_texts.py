"""Texts of any length are embedded in bounded memory."""

import logging
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from semsearch.adapters import embedders
from semsearch.adapters.embedders import WordLlamaEmbedder
from semsearch.adapters.local_models import SentenceTransformerEmbedder


def test_wordllama_gets_pieces_of_like_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long text has the mean of its pieces; a call holds few of them, and pads none much."""
    monkeypatch.setattr(embedders, "_PIECE", 10)
    monkeypatch.setattr(embedders, "_PIECES", 4)
    calls: list[list[str]] = []

    def embed(texts: list[str], batch_size: int) -> Any:
        assert len(texts) <= batch_size == 4
        calls.append(texts)
        made = np.zeros((len(texts), 256), np.float32)
        for row, text in zip(made, texts, strict=True):
            row[0] = text.count("a") / max(1, len(text))
            row[1] = text.count("b") / max(1, len(text))
        return made

    made = WordLlamaEmbedder()
    made._loaded = SimpleNamespace(embed=embed)
    rows = made.embed_documents(["a" * 35 + "b" * 5, "", "b", "ab" * 20])
    assert all(len(text) <= 10 for texts in calls for text in texts)
    assert [len(text) for texts in calls for text in texts] == [0, 1, *[10] * 8]
    lengths = np.linalg.norm(rows, axis=1)
    assert lengths == pytest.approx([1, 0, 1, 1])
    assert rows[0][:2] == pytest.approx(np.array([35, 5]) / np.hypot(35, 5))
    assert rows[3][0] == pytest.approx(rows[3][1])


def test_sentence_transformers_gets_what_its_window_can_hold() -> None:
    """Splitting 50 MB into tokens to keep 256 of them would take minutes."""
    seen: list[int] = []

    def encode(texts: list[str], **_: Any) -> Any:
        seen.extend(map(len, texts))
        return np.ones((len(texts), 3), np.float32)

    made = SentenceTransformerEmbedder(model="none")
    made._model = SimpleNamespace(max_seq_length=256, encode=encode)
    made.embed_documents(["word " * 1_000_000, "short"])
    made.embed_query("x" * 100_000)
    assert seen == [12_800, 5, 12_800]


def test_the_logging_of_the_process_is_left_alone() -> None:
    pytest.importorskip("wordllama")
    code = (
        "import logging; from semsearch.adapters.embedders import WordLlamaEmbedder; "
        "shape = WordLlamaEmbedder().embed_documents(['x']).shape; root = logging.getLogger(); "
        "print(root.handlers, root.level, shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", str(logging.WARNING), "(1,", "256)"], done.stderr
