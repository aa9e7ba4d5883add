"""Fixtures of all tests."""

from collections.abc import AsyncIterator

import pytest

pytest.register_assert_rewrite("jobqueue.testing")

from jobqueue import JobQueue  # noqa: E402  after the rewrite is registered
from jobqueue.testing import FakeClock  # noqa: E402

pytest_plugins = ["_common.plugin", "messaging"]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "CONFIG", "STRICT"):
        monkeypatch.delenv(f"JOBQUEUE_{name}", raising=False)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def queue(clock: FakeClock) -> AsyncIterator[JobQueue]:
    """A queue in memory on a clock that stands still."""
    async with JobQueue.from_url("memory://", clock=clock) as made:
        yield made
