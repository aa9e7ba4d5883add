"""Fixtures of all tests."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

pytest.register_assert_rewrite("notify.testing")

from notify import NotificationService  # noqa: E402  after the rewrite is registered
from notify.testing import Outbox  # noqa: E402

pytest_plugins = ["_common.plugin"]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "CONFIG", "STRICT"):
        monkeypatch.delenv(f"NOTIFY_{name}", raising=False)


@pytest.fixture
async def outbox() -> AsyncIterator[Outbox]:
    made = Outbox()
    async with made.service:
        yield made


@pytest.fixture(params=["memory", "sqlite"])
async def service(request, tmp_path: Path) -> AsyncIterator[NotificationService]:
    if request.param == "sqlite":
        pytest.importorskip("sqlalchemy")
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/n.db"
    async with NotificationService.from_url(url) as made:
        yield made


async def eventually(check: Callable[[], bool], seconds: float = 10.0) -> None:
    """Return once ``check`` is true; fail after ``seconds``."""
    async with asyncio.timeout(seconds):
        while not check():
            await asyncio.sleep(0.005)


@pytest.fixture(name="eventually")
def _eventually():
    return eventually
