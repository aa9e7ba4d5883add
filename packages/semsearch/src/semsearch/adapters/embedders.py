"""Embedders without a server: hashing, wordllama, any callable."""

import contextlib
import logging
import zlib
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._common.extras import require
from ..errors import ConfigurationError, EmbeddingError
from ..ports import Embedder, Matrix
from ..text.tokens import stems

_PIECE, _PIECES = 2000, 32
"""Characters of a piece of a long text, and how many are embedded at once."""


@contextlib.contextmanager
def _logging_kept() -> Generator[None, None, None]:
    """Undo what an import does to the logging of the whole process: wordllama sets it up."""
    root = logging.getLogger()
    handlers, level = [*root.handlers], root.level
    try:
        yield
    finally:
        for each in [each for each in root.handlers if each not in handlers]:
            root.removeHandler(each)
        root.setLevel(level)


class HashingEmbedder(Embedder):
    """Hashes words and parts of words into a vector: no model, no meaning, no dependencies.

    Feature hashing: K. Weinberger et al., "Feature Hashing for Large Scale Multitask Learning",
    ICML 2009. It finds shared and similar words, not synonyms; use it for tests and first runs.
    """

    alpha = 0.01  # words lead: it orders what they leave equal, or do not find at all

    def __init__(self, dimension: int = 512, language: str = "en") -> None:
        """Make vectors of ``dimension``, 8 to 65,536."""
        given: Any = dimension
        if not isinstance(given, int) or not 8 <= given <= 65_536:
            raise ConfigurationError(f"dimension must be 8 to 65536, not {dimension!r}")
        self._dimension, self._language = dimension, language

    @property
    def model_id(self) -> str:
        return f"hashing-1:{self._dimension}:{self._language}"

    @property
    def dimension(self) -> int:
        return self._dimension

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        made = np.zeros((len(texts), self._dimension), np.float32)
        for row, text in zip(made, texts, strict=True):
            for word in stems(text, self._language):
                self._add(row, word, 1.0)
                framed = f"<{word}>"
                for start in range(len(framed) - 3):
                    self._add(row, framed[start : start + 4], 0.3)
            # repeated words count less and less
            np.copyto(row, np.sign(row) * np.sqrt(np.abs(row)))
        return made

    def _add(self, row: Any, feature: str, weight: float) -> None:
        code = zlib.crc32(feature.encode("utf-8", "replace"))
        row[(code >> 1) % self._dimension] += weight if code & 1 else -weight


class WordLlamaEmbedder(Embedder):
    """Static token embeddings of wordllama, 256 dimensions, offline, no torch (extra ``light``)."""

    alpha = 0.3

    def __init__(self, model: str = "l2_supercat_256") -> None:
        """Name the model; it is loaded at the first text."""
        if model != "l2_supercat_256":
            raise ConfigurationError(
                f"unknown model {model!r}; the wheel carries 'l2_supercat_256'"
            )
        self._model = model
        self._loaded: Any = None

    @property
    def model_id(self) -> str:
        return f"wordllama:{self._model}"

    @property
    def dimension(self) -> int:
        return 256

    def _load(self) -> Any:
        if self._loaded is None:
            with _logging_kept():
                library = require("wordllama", dist="semsearch", extra="light")
            folder = Path(str(library.__file__)).parent
            files = (
                folder / "weights" / f"{self._model}.safetensors",
                folder / "tokenizers" / "l2_supercat_tokenizer_config.json",
            )
            if missing := [file.name for file in files if not file.is_file()]:
                raise EmbeddingError(
                    f"wordllama is installed without {missing[0]!r}; reinstall it: "
                    "pip install --force-reinstall 'semsearch[light]'"
                )
            self._loaded = library.WordLlama.load(cache_dir=folder, disable_download=True)
        return self._loaded

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        # the library makes all texts of a call as long as the longest: a long one goes in pieces,
        # whose mean is its vector, and pieces go with others of their length
        pieces = [
            (row, text[start : start + _PIECE])
            for row, text in enumerate(texts)
            for start in range(0, len(text) or 1, _PIECE)
        ]
        pieces.sort(key=lambda each: len(each[1]))
        made = np.zeros((len(texts), self.dimension), np.float32)
        load = self._load()
        for start in range(0, len(pieces), _PIECES):
            part = pieces[start : start + _PIECES]
            vectors = load.embed([text for _, text in part], batch_size=_PIECES)
            for (row, text), vector in zip(part, vectors, strict=True):
                made[row] += (len(text) or 1) * vector
        lengths = np.linalg.norm(made, axis=1, keepdims=True)
        unit: Matrix = (made / np.where(lengths == 0, 1, lengths)).astype(np.float32)
        return unit


class CallableEmbedder(Embedder):
    """Any function from texts to vectors."""

    def __init__(
        self, function: Callable[[Sequence[str]], Any], *, model_id: str, dimension: int
    ) -> None:
        """Use ``function``; change ``model_id`` when its vectors mean something else."""
        self._function, self._model_id, self._dimension = function, model_id, dimension

    @property
    def model_id(self) -> str:
        return self._model_id

    @property
    def dimension(self) -> int:
        return self._dimension

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        made: Matrix = np.asarray(self._function(texts), np.float32)
        return made
