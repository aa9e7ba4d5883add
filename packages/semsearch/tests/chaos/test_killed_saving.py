"""A process that writes the files beside an index is killed at any moment; nobody is misled."""

import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from semsearch import SearchService
from semsearch.adapters import bm25, sqlite_follower
from semsearch.testing import FakeEmbedder

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

CHILD = """
import asyncio, sys
from semsearch import SearchDocument, SearchService
from semsearch.adapters import bm25, sqlite_follower
from semsearch.testing import FakeEmbedder

bm25._WORTH = sqlite_follower._WORTH = 1
bm25._FEW = sqlite_follower._FEW = 1 << 30
first = int(sys.argv[2])

async def main():
    for n in range(first, first + 100000):
        async with SearchService.from_url(sys.argv[1], embedder=FakeEmbedder()) as service:
            docs = [
                SearchDocument(f"d{k}", f"text {n} word{k} tide", {"n": n})
                for k in range(n % 7, 300, 7)
            ]
            await service.index_batch(docs)
            await service.delete(f"d{n % 300}")
        print(n, flush=True)

asyncio.run(main())
"""


async def answers(service: SearchService, first: int) -> Any:
    return [
        [(hit.id, hit.content, hit.scores) for hit in await service.search(word, limit=1000)]
        for word in ("tide", "word7", f"text {first - 1}")
    ]


@pytest.mark.parametrize("seed", range(4))
async def test_killed_while_files_are_written(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, rng, first = f"sqlite:///{tmp_path}/index.db", random.Random(seed), 0
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, url, str(first)], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            for line in child.stdout:
                first = int(line) + 1
                if first % 5 == 0:  # somewhere in the next rounds, which take some 10 ms each
                    threading.Timer(rng.random() / 10, child.kill).start()
                    break
            child.stdout.read()
    monkeypatch.setattr(bm25, "_WORTH", 1)
    monkeypatch.setattr(sqlite_follower, "_WORTH", 1)
    async with SearchService.from_url(url, embedder=FakeEmbedder()) as service:
        quick = await answers(service, first)
        assert (await service.repair()).differences == 0
    for name in ("index.db-words", "index.db-vectors"):
        (tmp_path / name).unlink()
    async with SearchService.from_url(url, embedder=FakeEmbedder()) as service:
        assert await answers(service, first) == quick
    assert len(quick[0]) > 250
