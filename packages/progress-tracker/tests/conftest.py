"""Fixtures of all tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("progress_tracker.testing")

from progress_tracker import ProgressTracker, Settings  # noqa: E402  after the rewrite is registered
from progress_tracker.testing import FakeClock  # noqa: E402

pytest_plugins = ["_common.plugin", "redis_cluster"]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "CONFIG", "STRICT"):
        monkeypatch.delenv(f"PROGRESS_TRACKER_{name}", raising=False)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def tracker(clock: FakeClock) -> AsyncIterator[ProgressTracker]:
    """A tracker in memory on a clock that stands still."""
    async with ProgressTracker.from_url("memory://", clock=clock) as made:
        yield made


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "memory":
        return "memory://"
    pytest.importorskip("sqlalchemy")
    return f"sqlite:///{tmp_path}/progress.db"


@pytest.fixture
async def live(url: str) -> AsyncIterator[ProgressTracker]:
    """A tracker in real time, in memory and in a file."""
    settings = Settings.from_mapping(
        {"storage": {"connection_string": url}, "min_interval": 0.03, "lease": 1.0}
    )
    async with ProgressTracker(settings) as made:
        yield made
