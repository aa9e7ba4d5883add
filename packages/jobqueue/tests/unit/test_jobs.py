"""Asking about jobs and steering them."""

import asyncio
from datetime import timedelta

import pytest

from jobqueue import (
    ConfigurationError,
    Job,
    JobCancelled,
    JobFilters,
    JobNotFound,
    JobQueue,
    JobStatus,
)
from jobqueue.adapters.memory import MemoryBroker
from jobqueue.ports import Record
from jobqueue.testing import FakeClock


async def test_dead_letters_come_back(queue: JobQueue) -> None:
    broken = True

    @queue.worker("x", max_attempts=1)
    async def handler(job: Job) -> None:
        if broken:
            raise ValueError("no")

    ids = [(await queue.enqueue("x")).id for _ in range(3)]
    await queue.run_until_idle()
    failed = await queue.get_jobs(JobFilters(status=JobStatus.FAILED))
    assert {job.id for job in failed} == set(ids)
    assert all((job.error or "").startswith("ValueError: no\n") for job in failed)
    assert failed[0].failed_at is not None
    broken = False
    assert await queue.requeue_failed("other") == 0
    assert await queue.retry_job(ids[0])
    assert await queue.requeue_failed("x") == 2
    await queue.run_until_idle()
    assert (await queue.get_stats()).completed == 3


async def test_cancelled_jobs_do_not_run(queue: JobQueue) -> None:
    job = await queue.enqueue("x")
    assert await queue.cancel_job(job.id)
    assert not await queue.cancel_job(job.id)
    assert not await queue.cancel_job("unknown")
    await queue.run_until_idle()
    with pytest.raises(JobCancelled):
        await queue.result(job.id)


async def test_waiting(queue: JobQueue) -> None:
    job = await queue.enqueue("x")
    with pytest.raises(TimeoutError):
        await queue.wait(job.id, timeout=0.02)
    with pytest.raises(JobNotFound):
        await queue.result("unknown")


async def test_waiting_for_no_time_looks_once() -> None:
    class Remote(MemoryBroker):
        async def get(self, job_id: str) -> Record | None:
            await asyncio.sleep(0.001)
            return await super().get(job_id)

    async with JobQueue(broker=Remote()) as queue:
        done, waits = await queue.enqueue("x", delay=0), await queue.enqueue("x", delay=60)

        @queue.worker("x")
        async def handler(job: Job) -> int:
            return 7

        await queue.run_until_idle()
        assert await queue.result(done, timeout=0) == 7
        with pytest.raises(TimeoutError, match="is delayed after 0 s"):
            await queue.wait(waits, timeout=0)
        assert [job.result for job in await queue.wait_all([done, done], timeout=0)] == [7, 7]


async def test_pause_and_resume(queue: JobQueue) -> None:
    @queue.worker("x")
    async def handler(job: Job) -> None: ...

    await queue.pause()
    job = await queue.enqueue("x")
    await queue.run_until_idle()
    assert (await queue.get_stats()).pending == 1
    await queue.resume()
    await queue.run_until_idle()
    assert (await queue.wait(job.id)).status == "completed"


async def test_remove_and_purge(queue: JobQueue, clock: FakeClock) -> None:
    @queue.worker("x")
    async def handler(job: Job) -> None: ...

    job, other = await queue.enqueue("x"), await queue.enqueue("x", delay=999)
    await queue.run_until_idle()
    assert await queue.remove_job(other.id)
    assert not await queue.remove_job(other.id)
    assert await queue.purge(older_than=5) == 0
    await clock.advance(10)
    assert await queue.purge(older_than=timedelta(seconds=5)) == 1
    assert await queue.get_job(job.id) is None
    with pytest.raises(ConfigurationError, match="pending"):
        await queue.purge(JobStatus.PENDING)


async def test_ages_are_by_the_brokers_clock(clock: FakeClock) -> None:
    """The clock of whoever purges may be years off."""
    async with JobQueue(broker=MemoryBroker(clock=clock)) as queue:
        await queue.cancel_job(await queue.enqueue("x"))
        assert await queue.purge(older_than=5) == 0
        await clock.advance(6)
        assert await queue.purge(older_than=5) == 1


async def test_listing_checks_its_arguments(queue: JobQueue) -> None:
    await queue.enqueue_many([("x", i) for i in range(5)])
    page = await queue.get_jobs(limit=3)
    rest = await queue.get_jobs(limit=3, cursor=page.next_cursor)
    assert [job.data for job in [*page, *rest]] == [4, 3, 2, 1, 0]
    assert rest.next_cursor is None
    for bad in ({"limit": 0}, {"limit": 1001}, {"cursor": "' OR 1=1"}):
        with pytest.raises(ConfigurationError):
            await queue.get_jobs(**bad)  # type: ignore[arg-type]
