"""Watchers that come late, on connections that are cut and servers that are killed.

The safety poll is set to minutes: what a watcher missed while it was cut off must come from its
attaching again, not from looking now and then.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

import pytest

from _common.postgres_server import POSTGRES, run_postgres
from _common.proxy import Proxy
from _common.redis_server import REDIS, run_redis
from _common.server import Server
from _common.services import demanded, locate_program
from progress_tracker import BackendError, Progress, ProgressTracker, Settings

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


async def _watch(tracker: ProgressTracker, id: str, seen: list[Progress]) -> None:
    """Watch to the end of an epoch, again from where it broke off as a client does."""
    while not (seen and seen[-1].is_final):
        since = seen[-1].position if seen else None
        try:
            async for state in tracker.watch(id, since):
                seen.append(state)  # noqa: PERF401  what was seen before an error stays
        except BackendError:
            # the store could not be reached when the watch began
            await asyncio.sleep(0.01)


def _check(seen: list[Progress], last: Progress) -> None:
    positions = [each.position for each in seen]
    assert positions == sorted(set(positions)), "rising, never twice"
    assert [each.is_final for each in seen].count(True) == 1
    assert seen[-1].position == last.position, "the newest state arrived"


async def _work(tracker: ProgressTracker, id: str, rng: random.Random) -> None:
    for _ in range(rng.randint(5, 25)):
        await tracker.advance(id)
        await asyncio.sleep(rng.uniform(0, 0.004))
    await tracker.complete(id)


async def test_cut_connections_lose_nothing(place: Place) -> None:
    """Hundreds of watchers that attach at random moments, while every connection is cut."""
    rng = random.Random(5)
    for trial in range(25):
        ids = [f"x{trial}-{n}" for n in range(5)]
        seen: dict[str, list[list[Progress]]] = {id: [[] for _ in range(4)] for id in ids}
        for id in ids:
            await place.writer.create(id=id, total=30)

        async def late(id: str, states: list[Progress], delay: float) -> None:
            await asyncio.sleep(delay)
            await _watch(place.watcher, id, states)

        async def cutting() -> None:
            for _ in range(3):
                await asyncio.sleep(rng.uniform(0, 0.05))
                await asyncio.to_thread(place.proxy.cut)

        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            for id in ids:
                group.create_task(_work(place.writer, id, rng))
                for states in seen[id]:
                    group.create_task(late(id, states, rng.uniform(0, 0.12)))
            group.create_task(cutting())
        for id in ids:
            last = await place.writer.get(id)
            for states in seen[id]:
                _check(states, last)


async def test_a_killed_server_comes_back(place: Place) -> None:
    """Watchers go on by themselves, and hear what was written since, also a second epoch's end."""
    await place.writer.create(id="x", total=100)
    seen: list[Progress] = []
    watching = asyncio.create_task(_watch(place.watcher, "x", seen))
    await place.writer.advance("x")
    async with asyncio.timeout(30):
        while not seen or seen[-1].current != 1:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(place.server.kill)
        await place.writer.advance("x")  # kept, for the store is down
        await asyncio.to_thread(place.server.restart)
        await place.writer.complete("x")
        await watching
    last = await place.writer.get("x")
    _check(seen, last)
    assert last.current == 2, "what was said while the store was down counts"
    await place.writer.restart("x")
    again: list[Progress] = []
    watching = asyncio.create_task(_watch(place.watcher, "x", again))
    async with asyncio.timeout(30):
        while not again:
            await asyncio.sleep(0.01)
        await place.writer.fail("x", "no")
        await watching
    _check(again, await place.writer.get("x"))
    assert {each.epoch for each in again} == {2}


async def test_a_dead_line_is_noticed(place: Place) -> None:
    """A connection that swallows everything is given up, and what it swallowed is read again."""
    await place.writer.create(id="x", total=10)
    seen: list[Progress] = []
    watching = asyncio.create_task(_watch(place.watcher, "x", seen))
    async with asyncio.timeout(60):
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
    _check(seen, await place.writer.get("x"))
