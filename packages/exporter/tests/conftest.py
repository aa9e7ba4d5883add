"""Fixtures of all tests."""

from collections.abc import AsyncIterator

import pytest

pytest.register_assert_rewrite("exporter.testing")

from exporter import ExportService  # noqa: E402  after the rewrite is registered
from exporter.testing import FakeClock  # noqa: E402

pytest_plugins = ["_common.plugin"]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "CONFIG", "STRICT"):
        monkeypatch.delenv(f"EXPORTER_{name}", raising=False)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def service(clock: FakeClock) -> AsyncIterator[ExportService]:
    """A service in memory on a clock that stands still."""
    async with ExportService.from_url("memory://", clock=clock) as made:
        yield made
