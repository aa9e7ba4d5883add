"""What adapter authors and applications test with (extra ``testing``).

``VectorStoreSuite`` is what every vector store passes, ``KeywordIndexSuite`` every keyword index,
``EmbedderSuite`` every embedder: subclass one, give its fixture, and skip nothing.
"""

from .._common.clock import FakeClock, settle
from .embedders import EmbedderSuite
from .fakes import DIMENSION, MODEL, FakeEmbedder, document
from .keywords import KeywordIndexSuite
from .stores import VectorStoreSuite

__all__ = [
    "DIMENSION",
    "MODEL",
    "EmbedderSuite",
    "FakeClock",
    "FakeEmbedder",
    "KeywordIndexSuite",
    "VectorStoreSuite",
    "document",
    "settle",
]
