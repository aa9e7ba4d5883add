"""One instance over several event loops, threads and forks."""

import asyncio
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobqueue import JobQueue, sync

SERVERS = {"redis_url": "redis", "postgres_url": "asyncpg", "mysql_url": "asyncmy"}


@pytest.fixture(
    params=["memory", "sqlite", *(pytest.param(n, marks=pytest.mark.integration) for n in SERVERS)]
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "memory":
        return "memory://"
    if request.param == "sqlite":
        pytest.importorskip("sqlalchemy")
        return f"sqlite:///{tmp_path}/jobs.db"
    pytest.importorskip(SERVERS[request.param])
    found = str(request.getfixturevalue(request.param))
    if request.param == "redis_url":
        return f"{found}?prefix=loops"

    async def prepare() -> None:
        async with JobQueue.from_url(found) as queue:
            await queue.setup()

    asyncio.run(prepare())
    return found


def test_a_closed_loop_is_replaced(url: str) -> None:
    queue = JobQueue.from_url(url)
    first = asyncio.run(queue.enqueue("x", 1))
    found = asyncio.run(queue.get_job(first.id))
    assert found is not None
    assert found.data == 1
    asyncio.run(queue.aclose())


def test_calls_from_other_loops_are_forwarded(url: str) -> None:
    queue = JobQueue.from_url(url)

    async def main() -> None:
        await queue.enqueue("x", 0)
        others = [
            asyncio.to_thread(lambda n=n: asyncio.run(queue.enqueue("x", n))) for n in (1, 2, 3)
        ]
        await asyncio.gather(*others)
        assert (await queue.get_stats()).pending == 4
        await queue.aclose()

    asyncio.run(main())


def test_many_threads_use_the_sync_facade(url: str) -> None:
    with sync.JobQueue.from_url(url) as queue:
        threads = [
            threading.Thread(target=lambda: [queue.enqueue("x", n) for n in range(20)])
            for _ in range(4)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert queue.get_stats().pending == 80


def test_the_facade_shares_the_instance() -> None:
    queue = JobQueue.from_url("memory://")
    blocking = sync.JobQueue(queue)
    seen: list[object] = []

    @blocking.worker("x")
    async def handler(job: object) -> None:
        seen.append(job)

    job = blocking.enqueue("x", {"a": 1})
    assert asyncio.run(queue.get_job(job.id)) is not None
    blocking.run_until_idle()
    assert len(seen) == 1
    assert blocking.result(job.id) is None
    blocking.close()
    assert sync.queue.asynchronous is not queue


async def test_the_facade_refuses_a_running_loop() -> None:
    with pytest.raises(RuntimeError, match="await"):
        sync.JobQueue.from_url("memory://").get_stats()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_gets_clients_of_its_own(url: str) -> None:
    queue = JobQueue.from_url(url)
    asyncio.run(queue.enqueue("x", "parent"))
    if (pid := os.fork()) == 0:
        code = 1
        try:
            asyncio.run(queue.enqueue("x", "child"))
            code = 0 if asyncio.run(queue.get_stats()).pending == 2 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    shared = not url.startswith("memory")
    assert asyncio.run(queue.get_stats()).pending == (2 if shared else 1)
    asyncio.run(queue.aclose())


async def test_aclose_returns_to_unconfigured() -> None:
    queue = JobQueue()
    queue.configure("memory://")
    await queue.enqueue("x")
    await queue.aclose()
    await queue.aclose()
    queue.configure("memory://")
    assert (await queue.get_stats()).pending == 0
    await queue.aclose()
    named = JobQueue.from_url("memory://")
    await named.aclose()
    assert named.settings.broker.connection_string == "memory://"


def test_the_facade_does_all_that_the_queue_does() -> None:
    with sync.JobQueue.from_url("memory://") as queue:

        @queue.worker("x")
        async def handler(job: object) -> int:
            return 1

        @queue.cron("0 0 1 1 *", name="yearly")
        async def yearly(job: object) -> None: ...

        queue.setup()
        queue.process("y", handler)
        first = queue.enqueue("x", {}, id="one")
        later = queue.schedule("x", {}, datetime(2999, 1, 1, tzinfo=UTC))
        assert len(queue.enqueue_many([("y", {}), ("y", {})])) == 2
        queue.pause()
        queue.run_until_idle()
        assert queue.get_stats().pending == 3
        queue.resume()
        queue.run_until_idle()
        assert queue.wait(first.id, timeout=1).status == "completed"
        assert queue.cancel_job(later.id)
        assert queue.retry_job(later.id)
        assert queue.remove_job(later.id) is True
        assert queue.requeue_failed() == 0
        assert len(queue.get_jobs()) == 3
        assert queue.purge() == 3
        assert queue.get_job("one") is None


def test_a_call_cut_off_by_its_loop_does_not_hold_up_the_next_one(url: str) -> None:
    queue = JobQueue.from_url(url)

    async def leave() -> None:
        asyncio.get_running_loop().stop()
        await queue.enqueue("lost")

    loop = asyncio.new_event_loop()
    task = loop.create_task(leave())
    loop.run_forever()
    loop.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined]

    async def again() -> str:
        async with asyncio.timeout(60):
            return (await queue.enqueue("kept")).name

    assert asyncio.run(again()) == "kept"
    asyncio.run(queue.aclose())
