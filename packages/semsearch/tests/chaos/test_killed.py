"""A process that indexes is killed; the next one goes on where it stopped."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from semsearch import SearchDocument, SearchService
from semsearch.testing import FakeEmbedder

pytestmark = [pytest.mark.chaos, pytest.mark.slow]
DOCS = [SearchDocument(f"d{n}", f"text {n} word{n} tide", {"n": n}) for n in range(1000)]

CHILD = """
import asyncio, sys
from semsearch import SearchDocument, SearchService
from semsearch.testing import FakeEmbedder

docs = [SearchDocument(f"d{n}", f"text {n} word{n} tide", {"n": n}) for n in range(1000)]

async def main():
    async with SearchService.from_url(sys.argv[1], embedder=FakeEmbedder()) as service:
        await service.index_batch(docs, on_progress=lambda done: print(done, flush=True))

asyncio.run(main())
"""


class Counted(FakeEmbedder):
    """Counts the texts that it is given."""

    given = 0

    def embed_documents(self, texts: Sequence[str]):
        self.given += len(texts)
        return super().embed_documents(texts)


@pytest.mark.parametrize("after", [100, 400, 700])
async def test_killed_in_the_middle_and_resumed(tmp_path: Path, after: int) -> None:
    url = f"sqlite:///{tmp_path}/index.db"
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, url], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) >= after:
                child.kill()
                break
    embedder = Counted()
    async with SearchService.from_url(url, embedder=embedder) as service:
        there = await service.count()
        assert after <= there <= 1000
        assert there % 100 == 0, "a batch was written in part"
        report = await service.index_batch(DOCS)
        assert len(report.unchanged) == there
        assert embedder.given == 1000 - there
        assert await service.count() == 1000
        # both sides have all of them, and no other
        words = await service.search("tide", limit=1000, threshold=1.0, highlight=False)
        near = await service.search("x", limit=1000, threshold=0.0, hybrid=False, highlight=False)
        names = {each.id for each in DOCS}
        assert {hit.id for hit in words if "bm25" in hit.scores} == names
        assert {hit.id for hit in near} == names
        for n in (0, 99, 100, 555, 999):
            assert (await service.search(f"word{n}", limit=1))[0].id == f"d{n}"
