"""Late watchers on every store with every backplane, cut off and with servers that are killed.

The safety poll is set to minutes: it helps nobody here. Memory with memory is in
`tests/property/test_watching.py`, in virtual time.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from _common.mariadb_server import MYSQL, fresh_mysql_database, run_mariadb
from _common.postgres_server import POSTGRES, run_postgres
from _common.proxy import Proxy
from _common.redis_server import REDIS, run_redis
from _common.server import Server
from _common.services import demanded, locate_program
from late_watching import check, watch_to_the_end, work
from progress_tracker import Progress, ProgressTracker, Settings
from progress_tracker.adapters.polling import PollingBackplane
from progress_tracker.ports import ProgressStore
from progress_tracker.watching.topics import Topic, Topics

pytest.importorskip("sqlalchemy")
pytestmark = [pytest.mark.slow, pytest.mark.chaos]
NEEDS = {
    "redis": "redis", "postgres": "asyncpg", "mysql": "asyncmy", "mongo": "mongomock",
    "sqlite": "sqlalchemy", "polling": "sqlalchemy",
}  # fmt: skip
PAIRINGS = [
    (store, backplane)
    for store in ("sqlite", "postgres", "mysql", "redis", "mongo")
    for backplane in ("polling", "redis", "postgres")
]
TRIALS, OPERATIONS, WATCHERS = 7, 4, 10


@dataclass
class Behind:
    """A server of this file's own, and the proxy that its watchers go through."""

    server: Server
    proxy: Proxy
    direct: str

    @property
    def through(self) -> str:
        return self.direct.replace(f":{self.server.port}", f":{self.proxy.port}")


@dataclass
class Servers:
    """The servers that somebody asked for, and the stack that ends them."""

    stack: contextlib.ExitStack
    known: dict[str, Behind] = field(default_factory=dict)

    def __getitem__(self, kind: str) -> Behind:
        if kind not in self.known:
            pytest.importorskip(NEEDS[kind])
            enter = self.stack.enter_context
            if kind == "redis":
                kept = ("--appendonly", "yes", "--appendfsync", "always")
                with demanded(REDIS):
                    server = enter(run_redis(locate_program(REDIS), *kept))
                url = server.url
            elif kind == "postgres":
                with demanded(POSTGRES):
                    server = enter(run_postgres(locate_program(POSTGRES)))
                url = server.url
            else:
                with demanded(MYSQL):
                    server = enter(run_mariadb(locate_program(MYSQL)))
                url = enter(fresh_mysql_database(server))
            self.known[kind] = Behind(server, enter(Proxy(server.port or 0)), url)
        return self.known[kind]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with contextlib.ExitStack() as stack:
        yield Servers(stack)


@dataclass
class Pair:
    """A writer beside the servers, and watchers behind proxies."""

    store: str
    backplane: str
    servers: list[Behind]
    make: Callable[..., ProgressTracker]
    writer: ProgressTracker
    watcher: ProgressTracker


@pytest.fixture(params=PAIRINGS, ids="-".join)
async def pair(
    request: pytest.FixtureRequest, servers: Servers, tmp_path: Path, redis_prefix: str
) -> AsyncIterator[Pair]:
    store, backplane = request.param
    pytest.importorskip(NEEDS[store])
    table, stand_in = f"t{redis_prefix[5:-1]}", _stand_in() if store == "mongo" else None
    used = [servers[kind] for kind in dict.fromkeys((store, backplane)) if kind in _SERVED]

    def make(*, direct: bool) -> ProgressTracker:
        def url(kind: str) -> str:
            behind = servers[kind]
            return behind.direct if direct else f"{behind.through}?timeout=30"

        places = {"sqlite": f"sqlite:///{tmp_path}/p.db", "mongo": "mongodb://x/y"}
        settings = {
            "storage": {
                "connection_string": places.get(store) or url(store),
                "table": table,
            },
            "realtime": {
                "backplane": url(backplane) if backplane in _SERVED else f"{backplane}://?interval=0.02",
                "safety_poll": 600,
            },
            "retry_budget": 30,
        }  # fmt: skip
        given = {} if stand_in is None else {"store": stand_in(table)}
        return ProgressTracker(Settings.from_mapping(settings), **given)

    async with make(direct=True) as writer, make(direct=False) as watcher:
        await writer.setup()
        yield Pair(store, backplane, used, make, writer, watcher)


_SERVED = {"redis", "postgres", "mysql"}


def _stand_in() -> Callable[[str], ProgressStore]:
    from _common.mongo_stand_in import StandIn
    from progress_tracker.adapters.mongo import MongoStore

    server = StandIn()
    return lambda table: MongoStore("mongodb://x/y", collection=table, client=server.connect)


async def test_random_interleavings_lose_nothing(pair: Pair) -> None:
    """Watchers come at any moment, all connections are cut, once every server is killed."""
    rng = random.Random(f"{pair.store} {pair.backplane}")
    for trial in range(TRIALS):
        ids = [f"x{trial}-{n}" for n in range(OPERATIONS)]
        seen: dict[str, list[list[Progress]]] = {id: [[] for _ in range(WATCHERS)] for id in ids}
        for id in ids:
            await pair.writer.create(id=id, total=30)

        async def late(id: str, states: list[Progress], delay: float) -> None:
            await asyncio.sleep(delay)
            await watch_to_the_end(pair.watcher, id, states)

        async def cutting(killing: bool) -> None:
            for _ in range(3):
                await asyncio.sleep(rng.uniform(0, 0.04))
                for each in pair.servers:
                    await asyncio.to_thread(each.proxy.cut)
            for each in pair.servers if killing else ():
                await asyncio.to_thread(each.server.kill)
                await asyncio.to_thread(each.server.restart)

        async with asyncio.timeout(120), asyncio.TaskGroup() as group:
            for id in ids:
                group.create_task(work(pair.writer, id, rng))
                for states in seen[id]:
                    group.create_task(late(id, states, rng.uniform(0, 0.12)))
            group.create_task(cutting(trial == TRIALS // 2))
        for id in ids:
            last = await pair.writer.get(id)
            for states in seen[id]:
                check(states, last)


@pytest.mark.parametrize("order", ["attach, read", "read, attach"])
async def test_the_order_matters(pair: Pair, order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end comes between the two steps of a beginning: only the right order sees it."""
    between, go_on = asyncio.Event(), asyncio.Event()
    start, refresh, look = Topics.start, Topics._refresh, PollingBackplane._look

    async def gap() -> None:
        if not between.is_set():
            between.set()
            await go_on.wait()

    async def attach_first(topics: Topics) -> None:
        await start(topics)
        await gap()

    async def attach_later(topics: Topics) -> None:
        if between.is_set():
            await start(topics)

    async def read_first(topics: Topics, topic: Topic) -> None:
        await refresh(topics, topic)
        await gap()
        await start(topics)

    async def look_from_now_on(polling: PollingBackplane, ids: Any) -> list[str]:
        """As most do: what is there at the first look is no news. Ours rings for it."""
        known = {id for id in ids if id in polling._seen}
        return [id for id in await look(polling, ids) if id in known]

    # a watcher that does not listen yet looks once a second: that helps nobody either
    monkeypatch.setattr(Topics, "_until_look", lambda *_: 600.0)
    if order == "attach, read":
        monkeypatch.setattr(Topics, "start", attach_first)
    else:
        monkeypatch.setattr(Topics, "start", attach_later)
        monkeypatch.setattr(Topics, "_refresh", read_first)
        monkeypatch.setattr(PollingBackplane, "_look", look_from_now_on)
    for id in "xy":
        await pair.writer.create(id=id)
    seen: dict[str, list[Progress]] = {"x": [], "y": []}
    async with asyncio.timeout(120):
        watching = asyncio.create_task(watch_to_the_end(pair.watcher, "x", seen["x"]))
        await between.wait()
        await pair.writer.complete("x")
        go_on.set()
        # what was told before is heard before
        later = asyncio.create_task(watch_to_the_end(pair.watcher, "y", seen["y"]))
        while not seen["y"]:
            await asyncio.sleep(0.01)
        await pair.writer.update("y", 50)
        while seen["y"][-1].progress != 50:
            await asyncio.sleep(0.01)
        if order == "attach, read":
            await watching
            check(seen["x"], await pair.writer.get("x"))
        else:
            assert not watching.done()
            assert [each.status for each in seen["x"]] == ["pending"]
    for task in (watching, later):
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
