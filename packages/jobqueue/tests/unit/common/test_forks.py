"""Forks in the middle of other threads' statements."""

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobqueue._common.forks import ForkGate
from jobqueue._common.sqlite import SqliteLane

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


@pytest.fixture
def busy_file(tmp_path: Path) -> Iterator[Path]:
    """A database into which a thread writes all the time."""
    file, stop = tmp_path / "busy.db", threading.Event()
    ready = threading.Event()

    async def write() -> None:
        lane = SqliteLane(str(file), synchronous="OFF", busy_timeout=5.0)
        await lane.fetch("CREATE TABLE t (x)", ())
        while not stop.is_set():
            await lane.batch([("INSERT INTO t VALUES (?)", (1,))] * 20)
            ready.set()
        await lane.aclose()

    thread = threading.Thread(target=lambda: asyncio.run(write()))
    thread.start()
    ready.wait(10)
    yield file
    stop.set()
    thread.join(10)


@pytest.mark.filterwarnings(MULTI_THREADED)
def test_a_child_can_use_sqlite_whatever_the_parent_did(busy_file: Path) -> None:
    for _ in range(FORKS):
        if (pid := os.fork()) == 0:
            code = 1
            try:
                link = sqlite3.connect(busy_file, timeout=10)
                link.execute("INSERT INTO t VALUES (2)")
                link.commit()
                code = 0
            finally:
                os._exit(code)
        assert ended(pid, 15)


@pytest.mark.filterwarnings(MULTI_THREADED)
def test_a_fork_waits_and_new_calls_wait_for_it() -> None:
    gate, entered, leave, left = ForkGate(), threading.Event(), threading.Event(), []

    def call() -> None:
        with gate.inside():
            entered.set()
            leave.wait(10)
            left.append(time.monotonic())

    thread = threading.Thread(target=call)
    thread.start()
    entered.wait(10)
    threading.Timer(0.2, leave.set).start()
    if (pid := os.fork()) == 0:
        os._exit(0 if left and not gate._inside else 1)
    assert ended(pid, 10)
    thread.join(10)
    with gate.inside():
        pass
