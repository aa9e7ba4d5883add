"""A hybrid search as users call it, all but the embedding: words, vectors, fusion, highlights."""

import statistics
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace

from semsearch import Embedder, SearchDocument, SearchService, Settings
from semsearch.ports import Matrix
from semsearch.settings import CacheSettings

_TAGS = 10


class Given(Embedder):
    """Vectors around a thousand centres, as those of texts are; made before they are asked for."""

    model_id = "given"
    dimension = 384

    def __init__(self) -> None:
        """Draw the centres."""
        self._rng = np.random.default_rng(4)
        self._centres = self._rng.normal(size=(1000, self.dimension))

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        """Return a vector for each text, whatever it says."""
        which = self._rng.integers(0, len(self._centres), len(texts))
        noise = self._rng.normal(size=(len(texts), self.dimension))
        made: Matrix = (self._centres[which] + noise).astype(np.float32)
        return made


async def hybrid(scheme: str, texts: Sequence[str], asked: Sequence[str], rounds: int) -> Any:
    """Return the medians of each round in milliseconds: with and without a filter, and of the CPU.

    ``cpu`` is what the process computes for a query, whoever else is busy on the machine.
    """
    with tempfile.TemporaryDirectory() as folder:
        url = "memory://" if scheme == "memory" else f"sqlite:///{folder}/index.db"
        settings = replace(Settings.from_url(url), cache=CacheSettings(enabled=False))
        async with SearchService(settings, embedder=Given()) as service:
            await service.index_batch(
                [SearchDocument(str(n), text, {"tag": n % _TAGS}) for n, text in enumerate(texts)]
            )
            await _round(service, asked, None)  # the vectors of queries are remembered from here on
            made: dict[str, list[float]] = {"query": [], "cpu": [], "filtered": []}
            for _ in range(rounds):
                wall, cpu = await _round(service, asked, None)
                made["query"].append(wall)
                made["cpu"].append(cpu)
                made["filtered"].append((await _round(service, asked, {"tag": 3}))[0])
            return made


async def _round(service: SearchService, asked: Sequence[str], filters: Any) -> tuple[float, float]:
    """Return the medians of the clock and of the process's computing, in milliseconds."""
    wall, cpu = [], []
    for query in asked:
        begun, before = time.perf_counter(), time.process_time()
        await service.search(query, filters=filters)
        cpu.append((time.process_time() - before) * 1e3)
        wall.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(wall), statistics.median(cpu)
