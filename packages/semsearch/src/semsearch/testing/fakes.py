"""Documents and an embedder that cost nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..ports import Embedder, Matrix, Stored

MODEL, DIMENSION = "fake", 8


class FakeEmbedder(Embedder):
    """Vectors of letter counts: deterministic, tiny, and counting its calls."""

    def __init__(self) -> None:
        """Nothing was embedded yet."""
        self.texts: list[str] = []
        self.fail: Exception | None = None

    @property
    def model_id(self) -> str:
        """The name of the model."""
        return MODEL

    @property
    def dimension(self) -> int:
        """The length of the vectors."""
        return DIMENSION

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        """Return letter counts, or raise ``fail``."""
        if self.fail is not None:
            raise self.fail
        self.texts += texts
        made = np.zeros((len(texts), DIMENSION), np.float32)
        for row, text in zip(made, texts, strict=True):
            for char in text.lower():
                row[ord(char) % DIMENSION] += 1
        return made


def document(
    name: str, content: str = "", metadata: Mapping[str, Any] | None = None, *, seed: int = 0
) -> Stored:
    """Return a document with a pseudo-random unit vector made from ``seed`` and its name."""
    code = sum(ord(char) * (index + 1) for index, char in enumerate(name)) + seed
    vector = np.random.default_rng(code).normal(size=DIMENSION).astype(np.float32)
    unit = (vector / np.linalg.norm(vector)).astype(np.float32)
    return Stored(name, content or name, metadata or {}, unit, f"digest-{name}-{seed}")
