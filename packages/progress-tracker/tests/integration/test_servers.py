"""The tracker on real servers: what the suites of the ports do not see."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from _common.server import Server
from progress_tracker import ConfigurationError, ProgressTracker

pytestmark = pytest.mark.integration
_NEEDS = {"postgres": "asyncpg", "mysql": "asyncmy", "redis": "redis"}


@pytest.fixture(params=list(_NEEDS))
async def url(request: pytest.FixtureRequest) -> str:
    pytest.importorskip("sqlalchemy")
    pytest.importorskip(_NEEDS[request.param])
    if request.param == "redis":
        prefix = request.getfixturevalue("redis_prefix")
        server: Server = request.getfixturevalue("redis_server")
        return f"{server.url}?prefix={prefix}"
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
async def pair(url: str) -> AsyncIterator[tuple[ProgressTracker, ProgressTracker]]:
    """Two trackers that know of each other by the server only."""
    async with ProgressTracker.from_url(url) as one, ProgressTracker.from_url(url) as other:
        await one.setup()
        yield one, other


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
async def test_a_server_without_tables_names_the_command(
    kind: str, request: pytest.FixtureRequest
) -> None:
    pytest.importorskip("sqlalchemy")
    pytest.importorskip(_NEEDS[kind])
    async with ProgressTracker.from_url(request.getfixturevalue(f"{kind}_url")) as tracker:
        with pytest.raises(ConfigurationError, match="progress-tracker schema upgrade"):
            await tracker.create(id="x")
        await tracker.setup()
        await tracker.create(id="x")
        async with tracker.track(parent_id="x") as part:
            part.update(50)
        assert (await tracker.get("x")).progress == 100


async def test_a_watcher_elsewhere_sees_every_kind_of_change(
    pair: tuple[ProgressTracker, ProgressTracker],
) -> None:
    """Writes, handles, children and a deletion ring in another process, without its safety poll."""
    one, other = pair
    await one.create(id="x")
    states = other.watch("x")
    async with asyncio.timeout(120):
        assert (await anext(states)).status == "pending"
        await one.update("x", 20)
        assert (await anext(states)).progress == 20
        async with one.track(parent_id="x") as part:
            part.update(50)
            while (await anext(states)).progress != 50:
                pass
        assert (await anext(states)).progress == 100
        await one.complete("x")
        assert [each.status async for each in states] == ["completed"]


async def test_a_deletion_ends_a_watch_elsewhere(
    pair: tuple[ProgressTracker, ProgressTracker],
) -> None:
    one, other = pair
    await one.create(id="x")
    states = other.watch("x")
    async with asyncio.timeout(120):
        await anext(states)
        await one.delete("x")
        with pytest.raises(LookupError):
            await anext(states)


async def test_the_read_cache_hears_of_other_processes(
    pair: tuple[ProgressTracker, ProgressTracker],
) -> None:
    one, other = pair
    await one.create(id="x")
    assert (await other.get("x")).progress == 0
    await one.update("x", 30)
    async with asyncio.timeout(120):
        while (await other.get("x")).progress != 30:
            await asyncio.sleep(0.01)
