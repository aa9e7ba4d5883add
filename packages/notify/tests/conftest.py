"""Fixtures of all tests."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("notify.testing")

from notify import NotificationService  # noqa: E402  after the rewrite is registered
from notify.testing import Outbox, settle  # noqa: E402

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


def apart(step: Coroutine[Any, Any, None]) -> None:
    """Run ``step`` on a loop of its own, without touching that of the test that runs."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(step)
        loop.run_until_complete(settle())  # what was closed says good-bye
    finally:
        loop.close()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a SQLite file with the tables, made once: tests take copies."""
    pytest.importorskip("sqlalchemy")
    path = tmp_path_factory.mktemp("empty") / "n.db"

    async def make() -> None:
        async with NotificationService.from_url(f"sqlite:///{path}") as service:
            await service.setup()

    apart(make())
    return path


@pytest.fixture
def sqlite_url(empty_database: Path, tmp_path: Path) -> str:
    """Return the URL of a database of this test's own; no test here turns off the power."""
    shutil.copy(empty_database, tmp_path / "n.db")
    return f"sqlite:///{tmp_path}/n.db?synchronous=OFF"


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest) -> str:
    """Return the URL of each embedded store."""
    if request.param == "memory":
        return "memory://"
    found: str = request.getfixturevalue("sqlite_url")
    return found


@pytest.fixture
async def service(url: str) -> AsyncIterator[NotificationService]:
    async with NotificationService.from_url(url) as made:
        yield made


async def eventually(check: Callable[[], bool], seconds: float = 60.0) -> None:
    """Return once ``check`` is true; fail after ``seconds``."""
    async with asyncio.timeout(seconds):
        while not check():
            await asyncio.sleep(0.005)


@pytest.fixture(scope="session", name="apart")
def _apart():
    return apart


@pytest.fixture(name="eventually")
def _eventually():
    return eventually
