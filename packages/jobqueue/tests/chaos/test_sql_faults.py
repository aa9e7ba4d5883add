"""SQL brokers while servers die, connections break and others write nonsense."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from _common.mariadb_server import execute_mysql, fresh_mysql_database
from _common.postgres_server import fresh_database
from _common.processes import wait_until
from _common.proxy import Proxy
from _common.server import Server
from faults import (
    BUSY,
    OWNED,
    PATIENCE,
    PICKLE,
    YAML,
    Jumping,
    has_ended,
    listed,
    until,
    until_it_works,
)
from jobqueue._common.sql_mysql import AsyncmyLane
from jobqueue.adapters.sql.sqlite import SQLiteBroker
from jobqueue.errors import BackendError, PayloadError, QueueFull
from jobqueue.ports import Broker, Lease, Limit, Outcome, WorkerCall
from jobqueue.registry import broker_from_url
from jobqueue.testing import LEASE, FakeClock, claim, finish, record

pytest.importorskip("sqlalchemy")
pytestmark = pytest.mark.chaos
TIMEOUT = 1.5  # of calls that shall not be answered; others have time


class Place(NamedTuple):
    """A server of our own, a database on it, and a proxy before it."""

    server: Server
    url: str
    proxy: Proxy
    make: Callable[..., Broker]


def through(url: str, port: int | None, options: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}", query=options).geturl()


@asynccontextmanager
async def placed(server: Server, fresh: Any) -> AsyncIterator[Place]:
    """Brokers can be made before the proxy, and past it."""
    brokers: list[Broker] = []
    assert server.port is not None
    with ExitStack() as stack:
        url = stack.enter_context(fresh(server))
        proxy = stack.enter_context(Proxy(server.port))

        def make(*, direct: bool = False, clock: Any = None, options: str = "") -> Broker:
            port = server.port if direct else proxy.port
            options = options or f"timeout={PATIENCE}"
            made = broker_from_url(through(url, port, options), clock=clock or Jumping())
            brokers.append(made)
            return made

        await make(direct=True).setup()
        yield Place(server, url, proxy, make)
        proxy.mode = "pass"
        for broker in brokers:
            await broker.aclose()
        if server.daemon is not None and server.pid is None:
            server.restart()


@pytest.fixture(params=["own_postgres", "own_mysql"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    fresh = fresh_database if request.param == "own_postgres" else fresh_mysql_database
    async with placed(request.getfixturevalue(request.param), fresh) as made:
        yield made


async def test_a_killed_server_loses_nothing(place: Place) -> None:
    broker = place.make()
    jobs = [record() for _ in range(20)]
    await broker.enqueue(jobs)
    running = (await claim(broker, 5)).claimed
    place.server.kill()
    with pytest.raises(BackendError) as caught:
        await broker.step(WorkerCall("w1", LEASE, {"default": 5}))
    assert caught.value.retryable
    place.server.restart()
    outcomes = [Outcome(Lease(each.id, each.fence), "completed") for each in running]
    call = WorkerCall("w1", LEASE, {}, outcomes)
    step = await until_it_works(lambda: broker.step(call))
    assert not step.refused
    rest = await until_it_works(lambda: claim(broker))
    assert {each.id for each in [*running, *rest.claimed]} == {each.id for each in jobs}


def lose(place: Place, monkeypatch: pytest.MonkeyPatch, mode: Any) -> Callable[[], bool]:
    """Lose the next request that commits, or its answer; return what says that it has come."""
    before: list[int] = []

    def begin() -> None:
        before.append(place.proxy.requests)
        place.proxy.mode = mode

    async def losing(lane: AsyncmyLane, *, commit: bool) -> None:
        monkeypatch.setattr(AsyncmyLane, "end", end)
        begin()
        await end(lane, commit=commit)

    if "postgresql" in place.url:
        begin()  # the statement is its own transaction
    else:
        end = AsyncmyLane.end
        monkeypatch.setattr(AsyncmyLane, "end", losing)
    return lambda: bool(before) and place.proxy.requests > before[0]


@pytest.mark.parametrize("mode", ["drop_requests", "drop_replies"])
async def test_an_enqueue_cut_off_makes_one_job(
    place: Place, monkeypatch: pytest.MonkeyPatch, mode: Any
) -> None:
    """Before the COMMIT, and after it with the answer lost."""
    broker, witness = place.make(), place.make(direct=True)
    await broker.enqueue([record("first")])
    made = record("second")
    swallowed = lose(place, monkeypatch, mode)
    sending = asyncio.create_task(broker.enqueue([made]))
    await until(swallowed)
    if mode == "drop_replies":
        await until(lambda: witness.get(made.id))
    stored = await witness.get(made.id)
    assert (stored is not None) == (mode == "drop_replies")  # nobody has heard of it
    place.proxy.mode = "pass"
    place.proxy.cut()
    [enqueued] = await sending  # by another connection
    assert enqueued.record.id == made.id
    assert [each.name for each in await listed(witness)] == ["second", "first"]


@pytest.mark.parametrize("mode", ["drop_requests", "drop_replies"])
async def test_an_outcome_cut_off_counts_once(
    place: Place, monkeypatch: pytest.MonkeyPatch, mode: Any
) -> None:
    broker, witness = place.make(), place.make(direct=True)
    await broker.enqueue([record(), record()])
    first, job = (await claim(broker)).claimed
    await finish(broker, first)  # the statement is known: what is lost is its execution
    swallowed = lose(place, monkeypatch, mode)
    sending = asyncio.create_task(finish(broker, job, result=b"1"))
    await until(swallowed)
    applied = mode == "drop_replies"
    if applied:
        await until(lambda: has_ended(witness, job.id))
    stored = await witness.get(job.id)
    assert stored is not None
    assert (stored.status == "completed") == applied
    place.proxy.mode = "pass"
    place.proxy.cut()
    with pytest.raises(BackendError) as caught:
        await sending
    assert caught.value.retryable
    step = await until_it_works(lambda: finish(broker, job, result=b"2"))
    assert step.refused == ([job.id] if applied else [])
    found = await witness.get(job.id)
    assert found is not None
    assert (found.status, found.result) == ("completed", b"1" if applied else b"2")


@pytest.mark.slow
async def test_a_server_that_never_answers_holds_up_no_call(place: Place) -> None:
    broker, other = place.make(options=f"timeout={TIMEOUT}"), place.make(direct=True)
    await other.enqueue([record()])
    [job] = (await claim(other)).claimed
    await until_it_works(lambda: broker.get(job.id))  # has a connection
    await until_it_works(lambda: broker.wait(0.0))  # hears what was rung so far
    held = [Lease(job.id, job.fence)]
    calls: list[Callable[[], Any]] = [
        lambda: broker.enqueue([record()]),
        lambda: claim(broker),
        lambda: broker.extend(WorkerCall("w1", LEASE, held=held)),
        lambda: broker.get(job.id),
        lambda: broker.stats(None),
        lambda: broker.wait(60.0),
        lambda: broker.remove([job.id]),
    ]
    place.proxy.mode = "blackhole"
    begun = time.monotonic()
    for group in (calls[:3], calls[3:]):  # a group has a connection for each
        for fault in await asyncio.gather(*(call() for call in group), return_exceptions=True):
            assert isinstance(fault, BackendError)
            assert fault.retryable
    assert time.monotonic() - begun < 2 * (2 * TIMEOUT + 1) + BUSY
    place.proxy.mode = "pass"
    place.proxy.cut()
    assert not (await until_it_works(lambda: finish(broker, job))).refused


async def test_terminated_sessions_are_replaced(place: Place) -> None:
    broker, admin = place.make(), place.make(direct=True)
    await asyncio.gather(*(broker.enqueue([record()]) for _ in range(4)))
    if "postgresql" in place.url:
        ask = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await admin._db.fetch(ask)  # type: ignore[attr-defined]
    else:
        place.proxy.cut()
    [made] = await broker.enqueue([record("after")])
    assert made.reason == "created"
    assert len(await listed(broker)) == 5


@pytest.mark.parametrize("place", ["own_postgres"], indirect=True)
async def test_a_listener_that_was_ended_costs_no_step(place: Place) -> None:
    """What a step has claimed is handed out, whatever became of the connection that listens."""
    broker, admin = place.make(), place.make(direct=True)
    await broker.enqueue([record() for _ in range(5)])
    await broker.wait(0.0)  # hears what was rung so far
    await broker.wait(0.0)
    ask = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
    assert await admin._db.fetch(ask) == [(True,)]  # type: ignore[attr-defined]
    for _ in range(5):
        assert len((await claim(broker, 1)).claimed) == 1
    assert not (await claim(broker, 1)).claimed
    await broker.wait(0.0)  # hears of the end
    waiting = asyncio.create_task(broker.wait(30.0))
    await admin.enqueue([record()])
    async with asyncio.timeout(PATIENCE):
        await waiting  # by a new one, or by a look


@pytest.mark.parametrize("place", ["own_postgres"], indirect=True)
async def test_several_workers_share_a_listener(place: Place) -> None:
    """Some wait while others are busy, all with one broker."""
    broker = place.make(direct=True)
    await broker.enqueue([record() for _ in range(40)])

    async def busy() -> int:
        done = 0
        while jobs := (await claim(broker, 1)).claimed:
            done += len(jobs)
        return done

    async def idle() -> None:
        for _ in range(10):
            await broker.wait(0.01)

    *counts, _, _ = await asyncio.gather(busy(), busy(), idle(), idle())
    assert sum(counts) == 40  # type: ignore[arg-type]


async def test_an_exhausted_pool_says_so(place: Place) -> None:
    broker = place.make(options="timeout=0.5&pool=1")
    job = record()
    await until_it_works(lambda: broker.enqueue([job]))
    database = broker._db  # type: ignore[attr-defined]
    await database._pool.gate.acquire()
    with pytest.raises(BackendError, match=r"all 1 connections were in use for 0\.5 s"):
        await broker.get("x")
    database._pool.gate.release()
    assert await until_it_works(lambda: broker.get(job.id)) is not None


FREEZE = """
import asyncio, os, signal, sys
from jobqueue.adapters.sql import stepping
from jobqueue.ports import Limit, WorkerCall
from jobqueue.registry import broker_from_url
from jobqueue._common.clock import SystemClock

async def main():
    broker = broker_from_url(sys.argv[1], clock=SystemClock())
    call = WorkerCall("frozen", 10.0, {"default": 2}, limits={"job": Limit(concurrency=100)})

    def plan():
        step = yield from stepping.step(broker.words, broker._time, call)
        print(*[each.id for each in step.claimed], flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
        return step

    await broker._db.run(plan)

asyncio.run(main())
"""


@pytest.fixture
def frozen(place: Place) -> Iterator[Callable[[], list[str]]]:
    """Start a client that freezes within its transaction; return the jobs that it has locked."""
    with ExitStack() as stack:

        def start() -> list[str]:
            words = [sys.executable, "-c", FREEZE, through(place.url, place.server.port, "")]
            process = stack.enter_context(subprocess.Popen(words, stdout=subprocess.PIPE))
            stack.callback(os.kill, process.pid, signal.SIGKILL)
            assert process.stdout is not None
            locked = process.stdout.readline().decode().split()
            state = Path(f"/proc/{process.pid}/stat")
            wait_until(lambda: " T " in state.read_text(), timeout=PATIENCE, what="it is frozen")
            return locked

        yield start


async def test_a_frozen_client_keeps_only_its_own_rows(
    place: Place, frozen: Callable[[], list[str]]
) -> None:
    broker = place.make(direct=True)
    jobs = [record() for _ in range(10)] + [record("free") for _ in range(10)]
    await broker.enqueue(jobs)
    locked = frozen()
    assert len(locked) == 2
    taken = (await claim(broker)).claimed
    assert len(taken) == 18
    assert not {each.id for each in taken} & set(locked)
    assert (await broker.enqueue([record("new")]))[0].reason == "created"
    for job in taken:
        assert not (await finish(broker, job)).refused


async def test_a_workers_wrong_clock_changes_nothing(place: Place) -> None:
    clock = Jumping()
    broker, healthy = place.make(clock=clock), place.make()
    await broker.enqueue([record("running"), record("later", delay=3600.0)])
    [job] = (await claim(healthy, worker="healthy")).claimed
    for ahead in (2 * 86_400.0, -3600.0):
        clock.ahead = ahead
        assert not (await claim(broker)).claimed
        [made] = await broker.enqueue([record("now")])
        assert made.record.created_at == pytest.approx(time.time(), abs=60)
        [now] = (await claim(broker)).claimed
        assert not (await finish(broker, now)).refused
    assert not (await finish(healthy, job, worker="healthy")).refused


@pytest.mark.slow
async def test_fifty_megabytes(place: Place) -> None:
    if "mysql" in place.url:
        # a busy machine may take longer over it than the 30 seconds that the server waits for bytes
        for name, value in (("max_allowed_packet", 268_435_456), ("net_read_timeout", 600)):
            execute_mysql(place.server.url, f"SET GLOBAL {name} = {value}")
    broker = place.make()
    data = b'"' + os.urandom(25_000_000).hex().encode() + b'"'
    await broker.enqueue([record(data=data)])
    [job] = (await claim(broker)).claimed
    assert job.data == data
    assert not (await finish(broker, job, result=data)).refused
    found = await broker.get(job.id)
    assert found is not None
    assert found.result == data


@pytest.mark.parametrize("own_mysql", [("--max-allowed-packet=1M",)], indirect=True)
async def test_a_payload_over_the_packet_is_refused(own_mysql: Server) -> None:
    with fresh_mysql_database(own_mysql) as url:
        broker = broker_from_url(f"{url}?timeout={PATIENCE}", clock=Jumping())
        await broker.setup()
        with pytest.raises(PayloadError):
            await broker.enqueue([record(data=b"x" * 3_000_000)])
        assert (await broker.enqueue([record()]))[0].reason == "created"
        await broker.aclose()


async def test_a_full_disk_drains(tmp_path: Path, clock: FakeClock) -> None:
    broker = SQLiteBroker(f"sqlite:///{tmp_path}/jobs.db", clock=clock)
    await broker.enqueue([record("first", data=b"x" * 4000) for _ in range(50)])
    [[pages]] = await broker._db.fetch("PRAGMA page_count")
    await broker._db.fetch(f"PRAGMA max_page_count = {int(pages) + 6}")
    with pytest.raises(QueueFull) as caught:
        await broker.enqueue([record("too many", data=b"x" * 4000) for _ in range(50)])
    assert caught.value.retryable
    names = {each.name for each in await listed(broker)}
    assert names == {"first"}  # all or none
    count = 0
    while jobs := (await claim(broker, 10)).claimed:
        for job in jobs:
            assert not (await finish(broker, job)).refused
            count += 1
    assert count == 50
    assert await broker.remove([each.id for each in await listed(broker)]) == 50
    assert (await broker.enqueue([record(data=b"x" * 4000)]))[0].reason == "created"
    await broker.aclose()


HOSTILE = {
    "data": PICKLE,
    "result": YAML,
    "headers": '{"a": ',
    "depends_on": "cos\nsystem\n",
    "on_parent_failure": "explode",
    "backoff": "!!python/object:x",
    "error": "a" * 100_000,
    "status": "undead",
    "attempts": "many",
    "created_at": "yesterday",
    "version": 99,
}


@pytest.fixture(params=["sqlite", "postgres_url", "mysql_url"])
async def any_broker(
    request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock
) -> AsyncIterator[Any]:
    url = f"sqlite:///{tmp_path}/jobs.db"
    if request.param != "sqlite":
        url = request.getfixturevalue(request.param)
    broker = broker_from_url(url, clock=clock)
    await broker.setup()
    yield broker
    await broker.aclose()


@pytest.mark.parametrize("column", sorted(HOSTILE))
async def test_hostile_values_break_nothing(any_broker: Any, column: str) -> None:
    """A claim goes on, a listing too, and what was written stays as it is."""
    await any_broker.enqueue([record("bad", id="bad"), record("well")])
    value = HOSTILE[column]
    try:
        await any_broker._db.fetch(
            f"UPDATE jobqueue_jobs SET {column} = :value WHERE id = 'bad'",
            {"value": value},
        )
    except Exception:
        pytest.skip("the server refuses it")
    names = {each.name for each in (await claim(any_broker)).claimed}
    assert "well" in names
    assert {each.name for each in await listed(any_broker)} >= {"well"}
    try:
        found = await any_broker.get("bad")
    except BackendError as exc:
        found = exc
    assert "bad" in str(found)
    [[stored]] = await any_broker._db.fetch(
        f"SELECT {'data' if column != 'data' else column} FROM jobqueue_jobs WHERE id = 'bad'"
    )
    assert stored == (value if column == "data" else b"{}")
    assert not OWNED.exists()


async def test_a_record_that_cannot_be_read_fails_with_its_bytes(any_broker: Any) -> None:
    await any_broker.enqueue([record("bad", id="bad", data=b"raw"), record("well")])
    await any_broker._db.fetch("UPDATE jobqueue_jobs SET depends_on = '[1' WHERE id = 'bad'")
    assert [each.name for each in (await claim(any_broker)).claimed] == ["well"]
    rows = await any_broker._db.fetch("SELECT status, data, error FROM jobqueue_jobs ORDER BY seq")
    assert (rows[0][0], rows[0][1]) == ("failed", b"raw")
    assert rows[0][2].startswith("UnreadableRecord")


async def test_a_later_releases_record_is_left_alone(any_broker: Any) -> None:
    await any_broker.enqueue([record("new", id="new"), record("well")])
    await any_broker._db.fetch("UPDATE jobqueue_jobs SET version = 9 WHERE id = 'new'")
    assert [each.name for each in (await claim(any_broker)).claimed] == ["well"]
    assert [each.name for each in await listed(any_broker)] == ["well"]
    with pytest.raises(BackendError, match="format 9"):
        await any_broker.get("new")
    limit = {"new": Limit(concurrency=1)}
    step = await any_broker.step(WorkerCall("w", LEASE, {"default": 5}, limits=limit))
    assert not step.claimed
    assert (await any_broker.stats(None)).pending == 1
