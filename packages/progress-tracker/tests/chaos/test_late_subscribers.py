"""Watchers whose server is killed, or whose line is dead without being closed.

The safety poll is set to minutes: what a watcher missed while it was cut off must come from its
attaching again, not from looking now and then.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

import pytest

from _common.postgres_server import POSTGRES, run_postgres
from _common.proxy import Proxy
from _common.redis_server import REDIS, run_redis
from _common.server import Server
from _common.services import demanded, locate_program
from late_watching import check, watch_to_the_end
from progress_tracker import Progress, ProgressTracker, Settings

pytestmark = [pytest.mark.slow, pytest.mark.chaos]
NEEDS = {"redis": "redis", "postgres": "asyncpg"}
ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")


@contextlib.contextmanager
def _server(kind: str) -> Iterator[Server]:
    pytest.importorskip(NEEDS[kind])
    if kind == "redis":
        with demanded(REDIS), run_redis(locate_program(REDIS), *ALWAYS) as server:
            yield server
        return
    with demanded(POSTGRES), run_postgres(locate_program(POSTGRES)) as server:
        yield server


class Place(NamedTuple):
    """A server of our own, a proxy before it, and who writes and watches there."""

    server: Server
    proxy: Proxy
    writer: ProgressTracker
    watcher: ProgressTracker


def _tracker(url: str) -> ProgressTracker:
    return ProgressTracker(
        Settings.from_mapping(
            {
                "storage": {"connection_string": url},
                "realtime": {"safety_poll": 600},
                "retry_budget": 20,
            }
        )
    )


@pytest.fixture(params=list(NEEDS))
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    with _server(request.param) as server, Proxy(server.port or 0) as proxy:
        cut_off = server.url.replace(f":{server.port}", f":{proxy.port}")
        async with _tracker(server.url) as writer, _tracker(f"{cut_off}?timeout=1") as watcher:
            await writer.setup()
            yield Place(server, proxy, writer, watcher)


async def test_a_killed_server_comes_back(place: Place) -> None:
    """Watchers go on by themselves, and hear what was written since, also a second epoch's end."""
    await place.writer.create(id="x", total=100)
    seen: list[Progress] = []
    watching = asyncio.create_task(watch_to_the_end(place.watcher, "x", seen))
    await place.writer.advance("x")
    async with asyncio.timeout(120):
        while not seen or seen[-1].current != 1:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(place.server.kill)
        await place.writer.advance("x")  # kept, for the store is down
        await asyncio.to_thread(place.server.restart)
        await place.writer.complete("x")
        await watching
    last = await place.writer.get("x")
    check(seen, last)
    assert last.current == 2, "what was said while the store was down counts"
    await place.writer.restart("x")
    again: list[Progress] = []
    watching = asyncio.create_task(watch_to_the_end(place.watcher, "x", again))
    async with asyncio.timeout(120):
        while not again:
            await asyncio.sleep(0.01)
        await place.writer.fail("x", "no")
        await watching
    check(again, await place.writer.get("x"))
    assert {each.epoch for each in again} == {2}


async def test_a_dead_line_is_noticed(place: Place) -> None:
    """A connection that swallows everything is given up, and what it swallowed is read again."""
    await place.writer.create(id="x", total=10)
    seen: list[Progress] = []
    watching = asyncio.create_task(watch_to_the_end(place.watcher, "x", seen))
    async with asyncio.timeout(120):
        while not seen:
            await asyncio.sleep(0.01)
        place.proxy.mode = "blackhole"
        before = place.proxy.accepted
        await place.writer.complete("x")
        while place.proxy.accepted == before:  # until somebody gives a connection up
            await asyncio.sleep(0.01)
        assert not seen[-1].is_final
        place.proxy.mode = "pass"
        await watching
    check(seen, await place.writer.get("x"))
