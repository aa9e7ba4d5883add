"""One instance over several event loops, threads and forks."""

import asyncio
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

import pytest

from progress_tracker import ProgressTracker, Settings, sync

_SERVERS = {"redis": "redis", "postgres": "asyncpg", "mysql": "asyncmy"}


@pytest.fixture(
    params=[
        "memory",
        "sqlite",
        *(pytest.param(each, marks=pytest.mark.integration) for each in _SERVERS),
    ]
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "memory":
        return "memory://"
    pytest.importorskip("sqlalchemy")
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/progress.db"
    pytest.importorskip(_SERVERS[request.param])
    found = str(request.getfixturevalue(f"{request.param}_url"))
    if request.param == "redis":
        return f"{found}?prefix={request.getfixturevalue('redis_prefix')}"

    async def setup() -> None:
        async with ProgressTracker.from_url(found) as tracker:
            await tracker.setup()

    # in a thread, for a loop may run in ours
    thread = threading.Thread(target=lambda: asyncio.run(setup()))
    thread.start()
    thread.join()
    return found


def test_a_closed_loop_is_replaced(url: str) -> None:
    tracker = ProgressTracker.from_url(url)
    asyncio.run(tracker.create(id="x"))
    asyncio.run(tracker.update("x", 10))

    async def use() -> float:
        async with tracker.track("y") as p:
            p.advance()
        states = tracker.watch("x")
        found = (await anext(states)).progress
        await states.aclose()
        return found

    assert asyncio.run(use()) == 10
    assert asyncio.run(use()) == 10
    asyncio.run(tracker.aclose())


def test_calls_from_other_loops_are_forwarded(url: str) -> None:
    tracker = ProgressTracker.from_url(url)

    async def main() -> None:
        await tracker.create(id="x", total=100)
        others = [asyncio.to_thread(lambda: asyncio.run(tracker.advance("x"))) for _ in range(4)]
        await asyncio.gather(*others)
        assert (await tracker.get("x")).current == 4
        await tracker.aclose()

    asyncio.run(main())


def test_callbacks_run_where_they_were_subscribed(url: str) -> None:
    tracker = ProgressTracker.from_url(url)
    seen: list[int] = []

    async def elsewhere(ready: threading.Event) -> None:
        done = asyncio.Event()

        def call(progress: object) -> None:
            seen.append(threading.get_ident())
            ready.set()
            if getattr(progress, "is_final", False):
                done.set()

        tracker.subscribe("x", call)
        await done.wait()
        seen.append(threading.get_ident())

    async def main() -> None:
        await tracker.create(id="x")
        ready = threading.Event()
        other = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(elsewhere(ready))))
        await asyncio.to_thread(ready.wait, 10)
        await tracker.complete("x")
        await other
        await tracker.aclose()

    asyncio.run(main())
    assert len(set(seen)) == 1
    assert threading.get_ident() not in seen


def test_many_threads_use_the_facade(url: str) -> None:
    with sync.ProgressTracker.from_url(url) as tracker:
        tracker.create(id="x", total=100)
        threads = [
            threading.Thread(target=lambda: [tracker.advance("x") for _ in range(10)])
            for _ in range(4)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert tracker.get("x").current == 40


def test_the_facade_shares_the_instance() -> None:
    tracker = ProgressTracker.from_url("memory://")
    blocking = sync.ProgressTracker(tracker)
    seen: list[float] = []
    blocking.create(id="x", stages=["a", "b"])
    stop = blocking.subscribe("x", lambda progress: seen.append(progress.progress))
    blocking.update("x", 50, "a")
    blocking.skip_stage("x", "b")
    blocking.request_cancel("x")
    blocking.cancel("x")
    assert [each.status for each in blocking.watch("x")] == ["cancelled"]
    blocking.restart("x")
    blocking.fail("x", "no")
    blocking.create(id="y")
    blocking.advance("y")
    blocking.complete("y", 5)
    assert asyncio.run(tracker.get("y")).result == 5
    assert len(blocking.list_progress()) == 2
    assert blocking.sweep().deleted == 0
    with blocking.track("z") as p:
        p.advance(3)

    @blocking.tracked(id=lambda: "w")
    def work() -> int:
        return 4

    @blocking.tracked
    def more() -> int:
        return 5

    assert (work(), more()) == (4, 5)
    assert blocking.get("w").status == "completed"
    assert blocking.delete("x")
    assert blocking.get_stats().operations == 5
    assert blocking.schema_sql() == ""
    blocking.setup()
    stop()
    blocking.close()
    assert seen[0] == 0
    assert blocking.settings.storage.connection_string == "memory://"
    blocking.close()
    assert sync.tracker.asynchronous is not tracker


async def test_the_facade_refuses_a_running_loop() -> None:
    with pytest.raises(RuntimeError, match="await"):
        sync.ProgressTracker.from_url("memory://").get("x")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_gets_clients_of_its_own(url: str) -> None:
    tracker = ProgressTracker.from_url(url)
    asyncio.run(tracker.create(id="parent"))
    open_handle = tracker.track("open")
    open_handle.__enter__()
    if (pid := os.fork()) == 0:
        code = 1
        try:
            open_handle.advance(5)
            with tracker.track("child") as p:
                p.advance(2)
            found = asyncio.run(tracker.get("child"))
            code = 0 if (found.status, found.current) == ("completed", 2) else 2
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    open_handle.advance(1)
    open_handle.__exit__(None, None, None)
    found = asyncio.run(tracker.get("open"))
    assert (found.current, found.status) == (1, "completed"), "the child's calls are not stored"
    ids = {each.id for each in asyncio.run(tracker.list_progress())}
    assert ("child" in ids) == (url != "memory://")
    asyncio.run(tracker.aclose())


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forks_while_the_background_writes(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    stored = {"connection_string": f"sqlite:///{tmp_path}/progress.db"}
    tracker = ProgressTracker(Settings.from_mapping({"storage": stored, "min_interval": 0.001}))
    with tracker.track() as busy:
        for _ in range(12):
            for _ in range(20_000):
                busy.advance()
            if (pid := os.fork()) == 0:
                code = 1
                try:
                    with tracker.track() as p:
                        p.advance()
                    code = 0
                finally:
                    os._exit(code)
            deadline = time.monotonic() + 20
            while (ended := os.waitpid(pid, os.WNOHANG))[0] == 0:
                busy.advance()
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
            assert ended[1] == 0
    asyncio.run(tracker.aclose())


async def test_aclose_returns_to_unconfigured() -> None:
    tracker = ProgressTracker()
    tracker.configure("memory://")
    await tracker.create(id="x")
    await tracker.aclose()
    await tracker.aclose()
    tracker.configure("memory://")
    await tracker.create(id="x")
    await tracker.aclose()
    named = ProgressTracker.from_url("memory://")
    await named.aclose()
    assert named.settings.storage.connection_string == "memory://"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forks_while_children_begin(tmp_path: Path) -> None:
    # beginning a child is a transaction of several statements: a fork between two of them would
    # copy SQLite's lock, and nobody could ever give it back in the new process
    pytest.importorskip("sqlalchemy")
    tracker = ProgressTracker.from_url(f"sqlite:///{tmp_path}/progress.db")
    stop = threading.Event()

    def work() -> None:
        with tracker.track() as parent:
            while not stop.is_set():
                with parent.child():
                    pass

    worker = threading.Thread(target=work)
    worker.start()
    ended: list[int] = []
    for _ in range(12):
        time.sleep(0.01)
        if (pid := os.fork()) == 0:
            code = 1
            try:
                with tracker.track() as p:
                    p.advance()
                code = 0
            finally:
                os._exit(code)
        ended.append(os.waitpid(pid, 0)[1])
    stop.set()
    worker.join()
    assert ended == [0] * 12
    asyncio.run(tracker.aclose())
