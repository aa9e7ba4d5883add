"""Handles and calls while a real server is away, and calls that are broken off: nothing leaks."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import pytest

from _common.mariadb_server import fresh_mysql_database
from _common.postgres_server import fresh_database
from _common.proxy import Proxy
from _common.server import Server
from helpers import is_now, until
from progress_tracker import ProgressTracker, Settings
from progress_tracker.rules.percent import of_children, units_of

pytest.importorskip("sqlalchemy")
pytestmark = [pytest.mark.slow, pytest.mark.chaos]
_NEEDS = {"redis": "redis", "postgres": "asyncpg", "mysql": "asyncmy"}


class Place(NamedTuple):
    """A server behind a proxy; ``url`` leads through it, ``direct`` does not."""

    kind: str
    proxy: Proxy
    url: str
    direct: str


@pytest.fixture(params=list(_NEEDS))
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    kind = str(request.param)
    pytest.importorskip(_NEEDS[kind])
    server: Server = request.getfixturevalue(f"{kind}_server")
    direct = str(request.getfixturevalue(f"{kind}_url"))
    options = "?timeout=2"
    if kind == "redis":
        options += f"&prefix={request.getfixturevalue('redis_prefix')}"
    with Proxy(server.port or 0) as proxy:
        through = direct.replace(f":{server.port}", f":{proxy.port}")
        yield Place(kind, proxy, f"{through}{options}", f"{direct}{options}")


def _tracker(url: str) -> ProgressTracker:
    return ProgressTracker(
        Settings.from_mapping(
            {
                "storage": {"connection_string": url},
                "min_interval": 0.02,
                "retry_budget": 20,
                "realtime": {"safety_poll": 0.3},
            }
        )
    )


@pytest.fixture
async def tracker(place: Place) -> AsyncIterator[ProgressTracker]:
    async with _tracker(place.direct) as direct:
        await direct.setup()
    async with _tracker(place.url) as made:
        yield made


async def test_work_goes_on_while_the_store_is_away(
    place: Place, tracker: ProgressTracker, caplog: pytest.LogCaptureFixture
) -> None:
    """Handles keep the newest state, ends wait: all of it is stored when the server is back."""
    caplog.set_level(logging.WARNING)
    async with _tracker(place.direct) as witness:
        await tracker.create(id="plain", total=100)
        async with tracker.track("x", stages=["a", "b"], total=1000) as p:
            p.stage("a")
            p.advance(10)
            await until(lambda: is_now(witness, "x", current=10))
            place.proxy.mode = "refuse"
            await asyncio.to_thread(place.proxy.cut)
            for n in range(200):
                p.advance(1)
                if n % 50 == 0:
                    await tracker.advance("plain")
                await asyncio.sleep(0.002)
            p.stage("b", message="on the way")
            p.advance(5)
            await until(lambda: "progress.store_down" in caplog.messages)
            errors = tracker.get_stats().store_errors
            await until(lambda: tracker.get_stats().store_errors > errors + 1)
            found = await witness.get("x")
            assert (found.current, found.stage) == (10, "a"), "nothing came through"
            place.proxy.mode = "pass"
            await until(lambda: is_now(witness, "x", current=5, stage="b", message="on the way"))
            await until(lambda: is_now(witness, "plain", current=4))
        await until(lambda: is_now(witness, "x", status="completed"))
        found = await witness.get("x")
        assert [each.current for each in found.stages or ()] == [210, 5]
        assert "progress.update_lost" not in caplog.messages


async def test_an_end_waits_for_the_store(place: Place, tracker: ProgressTracker) -> None:
    """``complete`` tries again within its budget; the end of a block is written once."""
    async with _tracker(place.direct) as witness:
        await tracker.create(id="x")
        async with tracker.track("y"):
            place.proxy.mode = "refuse"
            await asyncio.to_thread(place.proxy.cut)
            ending = asyncio.create_task(tracker.complete("x", {"ok": 1}))
            await until(lambda: tracker.get_stats().store_errors > 0)
            assert (await witness.get("x")).status == "pending"
            place.proxy.mode = "pass"
            await ending
        for id in ("x", "y"):
            await until(lambda id=id: is_now(witness, id, status="completed", epoch=1))


async def _connections(place: Place) -> int:
    """Ask the server how many connections it has, ours to ask included."""
    if place.kind == "redis":
        import redis

        with redis.Redis.from_url(place.direct.partition("?")[0]) as client:
            return len(client.client_list())
    if place.kind == "postgres":
        import asyncpg

        link: Any = await asyncpg.connect(place.direct.partition("?")[0])
        try:
            count: int = await link.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
            )
        finally:
            await link.close()
        return count
    import asyncmy

    port = int(place.direct.partition("127.0.0.1:")[2].partition("/")[0])
    link = await asyncmy.connect(host="127.0.0.1", port=port, user="root")
    try:
        cursor = link.cursor()
        await cursor.execute("SHOW PROCESSLIST")
        return len(await cursor.fetchall())
    finally:
        await link.ensure_closed()


def _ours(*, listening: bool = False) -> list[str]:
    """Return our tasks; those that listen to a backplane run until the tracker is closed."""
    names = [each.get_name() for each in asyncio.all_tasks()]
    ears = ("progress.redis_bell", "progress.postgres_bell", "progress.polling")
    return [each for each in names if "progress." in each and (listening or each not in ears)]


async def test_calls_broken_off_leave_old_or_new_and_nothing_running(
    place: Place, tracker: ProgressTracker
) -> None:
    """Cancelled after each number of requests, and some turns of the loop later."""
    await tracker.create(id="p")
    before = await _connections(place)
    for turn in range(90):
        id, requests = f"x{turn}", place.proxy.requests + turn // 3

        async def work(id: str = id) -> None:
            await tracker.create(id=id, parent_id="p")
            async for _ in tracker.watch(id):
                break
            await tracker.update(id, 50)
            async with tracker.track(id) as p:
                p.update(70)
            await tracker.restart(id)
            await tracker.delete(id)

        task = asyncio.create_task(work())
        while place.proxy.requests < requests and not task.done():
            await asyncio.sleep(0)
        for _ in range(turn % 3 * 5):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        # what was sent before may arrive after: in the end all of it fits
        await until(lambda: _is_exact(tracker))
    await until(lambda: tracker.get_stats().watchers == 0)
    await until(lambda: not _ours())
    # two trackers' lanes for the loop and for the handles, and one that listens
    await until(lambda: _few(place, before + 10))
    await tracker.aclose()
    gc.collect()
    await until(lambda: _few(place, before))
    assert not _ours(listening=True)


async def _is_exact(tracker: ProgressTracker) -> bool:
    page = await tracker.list_progress(parent_id="p", limit=1000)
    found = await tracker.store.get_many([*(each.id for each in page), "p"])
    top = found["p"]
    children = [each for each in found.values() if each.parent_id == "p"]
    sums = units_of(top.status, top.state, top.kids)
    return top.kids == of_children(children) and top.units == sums


async def _few(place: Place, limit: int) -> bool:
    return await _connections(place) <= limit


async def test_watchers_that_come_and_go_leave_nothing(
    place: Place, tracker: ProgressTracker
) -> None:
    """Trackers opened and closed in the middle of everything, with cuts in between."""
    before = await _connections(place)
    for turn in range(8):
        async with _tracker(place.url) as one:
            await one.create(id=f"x{turn}")
            tasks = [asyncio.create_task(_first(one, f"x{turn}")) for _ in range(20)]
            await asyncio.sleep(0)
            if turn % 2:
                await asyncio.to_thread(place.proxy.cut)
            for task in tasks[::2]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    await until(lambda: not _ours())
    await until(lambda: _few(place, before))
    assert tracker.get_stats().watchers == 0


async def _first(tracker: ProgressTracker, id: str) -> None:
    async for _ in tracker.watch(id):
        return


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
async def test_a_server_that_is_back_is_asked_at_once(
    request: pytest.FixtureRequest, kind: str
) -> None:
    """Connections that it has closed are not lent: reads after a restart need no second try."""
    pytest.importorskip(_NEEDS[kind])
    server: Server = request.getfixturevalue(f"own_{kind}")
    fresh = {"postgres": fresh_database, "mysql": fresh_mysql_database}[kind]
    with fresh(server) as url:
        async with _tracker(url) as tracker:
            await tracker.setup()
            await tracker.create(id="x", total=3)
            await asyncio.gather(*(tracker.list_progress() for _ in range(4)))
            await asyncio.to_thread(server.restart)
            assert [each.id for each in await tracker.list_progress()] == ["x"]
