"""Forks in the middle of other threads' statements."""

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobqueue._common import forks
from jobqueue._common.forks import ForkGate
from jobqueue._common.sqlite import CHANGES, SqliteLane
from jobqueue._common.sqlite_session import Session

FORKS = 40
MULTI_THREADED = "ignore:This process .* is multi-threaded:DeprecationWarning"


def ended(pid: int, seconds: float) -> bool:
    """Reap ``pid``; kill it when it takes longer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.005)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return False


def in_child(work: Callable[[], object]) -> bool:
    """Whether ``work`` succeeds in a forked process."""
    if (pid := os.fork()) == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return ended(pid, 60)


@pytest.fixture
def busy_file(tmp_path: Path) -> Iterator[Path]:
    """A database into which a thread writes all the time."""
    file, stop = tmp_path / "busy.db", threading.Event()
    ready = threading.Event()

    async def write() -> None:
        lane = SqliteLane(str(file), synchronous="OFF", busy_timeout=60.0)
        await lane.fetch("CREATE TABLE t (x)", ())
        while not stop.is_set():
            await lane.batch(lambda: [("INSERT INTO t VALUES (?)", (1,))] * 20)
            ready.set()
        await lane.aclose()

    thread = threading.Thread(target=lambda: asyncio.run(write()))
    thread.start()
    assert ready.wait(60)
    yield file
    stop.set()
    thread.join(60)


@pytest.mark.filterwarnings(MULTI_THREADED)
def test_a_child_can_use_sqlite_whatever_the_parent_did(busy_file: Path) -> None:
    def write() -> None:
        link = sqlite3.connect(busy_file, timeout=60)
        link.execute("INSERT INTO t VALUES (2)")
        link.commit()

    for _ in range(FORKS):
        assert in_child(write)


@pytest.mark.filterwarnings(MULTI_THREADED)
def test_a_child_does_not_lose_what_it_writes_when_the_parent_closes(tmp_path: Path) -> None:
    # with a connection open at the fork, the child believes to hold the parent's locks: the
    # parent then deletes the write-ahead log under its hands
    file, (ready, tell), (closed, go) = tmp_path / "x.db", os.pipe(), os.pipe()
    lane = SqliteLane(str(file), synchronous="OFF", busy_timeout=60.0)
    asyncio.run(lane.fetch("CREATE TABLE t (x)", ()))

    def child() -> None:
        link = sqlite3.connect(file, isolation_level=None, timeout=60)
        link.execute("INSERT INTO t VALUES (1)")
        os.write(tell, b"x")
        os.read(closed, 1)
        link.execute("INSERT INTO t VALUES (2)")

    if (pid := os.fork()) == 0:
        try:
            child()
        finally:
            os._exit(0)
    os.read(ready, 1)
    assert asyncio.run(lane.fetch("SELECT count(*) FROM t", ())) == [(1,)]
    asyncio.run(lane.aclose())
    os.write(go, b"x")
    assert ended(pid, 60)
    for end in (ready, tell, closed, go):
        os.close(end)
    assert asyncio.run(lane.fetch("SELECT count(*) FROM t", ())) == [(2,)]
    asyncio.run(lane.aclose())


@pytest.mark.filterwarnings(MULTI_THREADED)
def test_forks_wait_for_transactions_of_several_calls(tmp_path: Path) -> None:
    file, stop, ready = tmp_path / "x.db", threading.Event(), threading.Event()

    async def write() -> None:
        lane = SqliteLane(str(file), synchronous="OFF", busy_timeout=60.0)
        await lane.fetch("CREATE TABLE t (x)", ())
        while not stop.is_set():
            await lane.begin()
            await lane.fetch("INSERT INTO t VALUES (1)", ())
            await lane.end(commit=True)
            ready.set()
        await lane.aclose()

    async def insert() -> None:
        lane = SqliteLane(str(file), synchronous="OFF", busy_timeout=60.0)
        await lane.fetch("INSERT INTO t VALUES (2)", ())
        await lane.aclose()

    thread = threading.Thread(target=lambda: asyncio.run(write()))
    thread.start()
    assert ready.wait(60)
    assert [in_child(lambda: asyncio.run(insert())) for _ in range(FORKS)] == [True] * FORKS
    stop.set()
    thread.join(60)


@pytest.mark.filterwarnings(MULTI_THREADED)
async def test_a_child_of_an_open_transaction_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forks, "_PATIENCE", 0.01)
    lane = SqliteLane(str(tmp_path / "x.db"), synchronous="OFF", busy_timeout=60.0)

    def child() -> None:
        with pytest.raises(sqlite3.OperationalError, match="forked in the middle of a transact"):
            Session(lane._session.path, "OFF", 1.0).run(lambda link: link)

    await lane.begin()
    assert in_child(child)
    await lane.fetch("CREATE TABLE t (x)", ())
    await lane.end(commit=True)
    assert in_child(lambda: Session(lane._session.path, "OFF", 1.0).run(lambda link: link))
    await lane.aclose()


async def test_changes_are_seen_over_a_fork(tmp_path: Path) -> None:
    one, two = (
        SqliteLane(str(tmp_path / "x.db"), synchronous="OFF", busy_timeout=60.0) for _ in range(2)
    )
    await one.fetch("CREATE TABLE t (x)", ())
    seen = await one.fetch(CHANGES, ())
    assert await one.fetch(CHANGES, ()) == seen
    await one.fetch("INSERT INTO t VALUES (1)", ())
    assert await one.fetch(CHANGES, ()) == seen  # our own
    await two.fetch("INSERT INTO t VALUES (1)", ())
    assert await one.fetch(CHANGES, ()) != seen
    seen = await one.fetch(CHANGES, ())
    one._session.part()  # what a fork does
    assert await one.fetch(CHANGES, ()) != seen
    await one.aclose()
    await two.aclose()


@pytest.mark.filterwarnings(MULTI_THREADED)
def test_a_fork_waits_and_new_calls_wait_for_it() -> None:
    gate, entered, leave, left = ForkGate(), threading.Event(), threading.Event(), []

    def call() -> None:
        with gate.inside():
            entered.set()
            leave.wait(60)
            left.append(time.monotonic())

    thread = threading.Thread(target=call)
    thread.start()
    assert entered.wait(60)
    threading.Timer(0.2, leave.set).start()
    if (pid := os.fork()) == 0:
        os._exit(0 if left and not gate._inside else 1)
    assert ended(pid, 60)
    thread.join(60)
    with gate.inside():
        pass
