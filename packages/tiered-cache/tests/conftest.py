"""Fixtures of all tests."""

from collections.abc import AsyncIterator

import pytest

pytest.register_assert_rewrite("tiered_cache.testing")

from clusters import Cluster  # noqa: E402  as below
from memcached_server import memcached_server, memcached_url  # noqa: E402, F401  fixtures
from tiered_cache import CacheProvider  # noqa: E402  after the rewrite is registered
from tiered_cache.testing import FakeClock, settle  # noqa: E402

pytest_plugins = ["_common.plugin"]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "CONFIG", "STRICT"):
        monkeypatch.delenv(f"TIERED_CACHE_{name}", raising=False)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def cache(clock: FakeClock) -> AsyncIterator[CacheProvider]:
    """A cache of L1 alone on a clock that stands still."""
    async with CacheProvider.from_url("memory://", clock=clock) as made:
        yield made


@pytest.fixture
async def cluster(clock: FakeClock) -> AsyncIterator[Cluster]:
    """Two processes' caches that hear each other."""
    made = Cluster(clock)
    await made.a.get("x")
    await made.b.get("x")
    await settle()
    yield made
    await made.a.aclose()
    await made.b.aclose()
