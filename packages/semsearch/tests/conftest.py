"""Fixtures of all tests."""

from collections.abc import AsyncIterator

import pytest

pytest.register_assert_rewrite("semsearch.testing")

from semsearch import SearchService  # noqa: E402  after the rewrite is registered
from semsearch.testing import FakeClock, FakeEmbedder  # noqa: E402

pytest_plugins = ["_common.plugin"]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "CONFIG", "STRICT"):
        monkeypatch.delenv(f"SEMSEARCH_{name}", raising=False)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def embedder() -> FakeEmbedder:
    return FakeEmbedder()


@pytest.fixture
async def search(clock: FakeClock, embedder: FakeEmbedder) -> AsyncIterator[SearchService]:
    """A search in memory with counted embeddings."""
    async with SearchService.from_url("memory://", embedder=embedder, clock=clock) as made:
        yield made
