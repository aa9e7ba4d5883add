"""Cancelled, failing and closing in the middle: no job is lost, held for ever or forgotten."""

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from jobqueue import (
    BackendError,
    ConfigurationError,
    Job,
    JobContext,
    JobQueue,
    RetryJob,
    Worker,
)
from jobqueue.adapters.memory import MemoryBroker
from jobqueue.ports import Enqueued, Record, Step, WorkerCall
from jobqueue.testing import LEASE, FakeClock, claim, record
from process_handlers import raises


class Slow(MemoryBroker):
    """Does what it is asked, and answers when told to."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.done, self.answer = asyncio.Event(), asyncio.Event()
        self.failures = 0

    async def step(self, call: WorkerCall) -> Step:
        if call.outcomes and self.failures:
            self.failures -= 1
            raise BackendError("cut", retryable=True)
        made = await super().step(call)
        if made.claimed:
            self.done.set()
            await self.answer.wait()
        return made

    async def enqueue(self, records: Sequence[Record]) -> Sequence[Enqueued]:
        await asyncio.sleep(0.01)
        return await super().enqueue(records)


@pytest.mark.parametrize("how", ["run", "run_until_idle"])
async def test_cancelled_claim_gives_its_jobs_back(how: str) -> None:
    broker = Slow()
    async with JobQueue(broker=broker) as queue:
        job = await queue.enqueue("x", max_attempts=1)
        running = asyncio.create_task(getattr(Worker(queue), how)())
        await broker.done.wait()
        running.cancel()
        await asyncio.sleep(0)
        broker.answer.set()
        with pytest.raises(asyncio.CancelledError):
            await running
        found = await queue.get_job(job.id)
        assert found is not None
        assert (found.status, found.attempts) == ("pending", 0)


async def test_outcomes_are_sent_again() -> None:
    broker = Slow()
    broker.answer.set()
    async with JobQueue(broker=broker) as queue:
        runs: list[int] = []

        @queue.worker("x", max_attempts=1)
        async def handler(job: Job) -> int:
            runs.append(job.attempts)
            broker.failures = 2
            return 7

        job = await queue.enqueue("x")
        worker = Worker(queue)
        running = asyncio.create_task(worker.run())
        assert await queue.result(job.id, timeout=60) == 7
        worker.stop()
        await running
        assert runs == [1]


async def test_parents_that_the_broker_does_not_tell_cost_no_attempt() -> None:
    class Forgetful(MemoryBroker):
        faults = 2

        async def get(self, job_id: str) -> Record | None:
            if self.faults:
                self.faults -= 1
                raise BackendError("cut", retryable=True)
            return await super().get(job_id)

    async with JobQueue(broker=Forgetful()) as queue:

        @queue.worker("x", max_attempts=1)
        async def handler(job: Job, ctx: JobContext) -> list[str]:
            return [str(each.status) for each in ctx.parents]

        last = (await queue.chain(("x", {}), ("x", {})))[-1]
        await queue.run_until_idle()
        assert await queue.result(last) == ["completed"]


async def test_cancelled_twice_stops_the_heart() -> None:
    started, swallowed, free = asyncio.Event(), asyncio.Event(), asyncio.Event()
    async with JobQueue.from_url("memory://") as queue:

        @queue.worker("x")
        async def stubborn(job: Job) -> None:
            started.set()
            while not free.is_set():
                try:
                    await free.wait()
                except asyncio.CancelledError:
                    swallowed.set()

        await queue.enqueue("x")
        running = asyncio.create_task(Worker(queue, lease=0.3).run())
        await started.wait()
        running.cancel()
        await swallowed.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        async with asyncio.timeout(60):
            while any(each.name == "jobqueue-heartbeat" for each in threading.enumerate()):
                await asyncio.sleep(0.01)
        free.set()
        await asyncio.sleep(0.01)


async def test_heart_survives_what_a_broker_raises() -> None:
    class Odd(MemoryBroker):
        calls = 0

        def twin(self) -> "Odd":
            return self

        async def extend(self, call: WorkerCall) -> Sequence[str]:
            self.calls += 1
            if self.calls == 1:
                raise RuntimeError("no error of ours")
            return await super().extend(call)

    broker = Odd()
    async with JobQueue(broker=broker) as queue:
        worker = Worker(queue, lease=0.1)
        running = asyncio.create_task(worker.run())
        async with asyncio.timeout(60):
            while broker.calls < 3:
                await asyncio.sleep(0.01)
        worker.stop()
        await running


async def test_port_that_is_taken_leaves_no_cron_behind() -> None:
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    queue = JobQueue()
    queue.configure({"monitoring": {"metrics_port": port}})

    @queue.cron("* * * * *")
    async def handler(job: Job) -> None: ...

    with pytest.raises(ConfigurationError, match="metrics_port"):
        await Worker(queue).run()
    assert "jobqueue-cron" not in {each.get_name() for each in asyncio.all_tasks()}
    server.close()
    await queue.aclose()


async def test_closing_stores_what_waits_where_it_belongs() -> None:
    broker = Slow()
    queue = JobQueue(broker=broker)
    await queue.opened()
    calls = [asyncio.create_task(queue.enqueue("x", n)) for n in range(3)]
    await asyncio.sleep(0)
    await queue.aclose()
    assert [each.done() for each in calls] == [True] * 3 or await asyncio.gather(*calls)
    assert (await broker.stats(None)).pending == 3


async def test_enqueue_that_is_cancelled_disturbs_no_other() -> None:
    async with JobQueue(broker=Slow()) as queue:
        one, other = (asyncio.create_task(queue.enqueue("x", n)) for n in range(2))
        await asyncio.sleep(0.005)
        one.cancel()
        assert (await other).data == 1
        with pytest.raises(asyncio.CancelledError):
            await one


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


def _wrong(attempt: int) -> float:
    raise KeyError(attempt)


@pytest.mark.parametrize(
    "raised",
    [
        Unprintable(), RetryJob(delay="soon"), RetryJob(delay=float("inf")),  # type: ignore[arg-type]
        BaseExceptionGroup("g", [SystemExit(1)]), OSError("b"),
    ],
    ids=["unprintable", "text-delay", "endless", "group", "backoff"],
)  # fmt: skip
async def test_every_end_of_a_handler_is_an_outcome(queue: JobQueue, raised: BaseException) -> None:
    @queue.worker("x", backoff=_wrong)
    async def handler(job: Job) -> None:
        raise raised

    job = await queue.enqueue("x")
    await queue.run_until_idle()
    found = await queue.get_job(job.id)
    assert found is not None
    assert (found.status, found.attempts) == ("delayed", 1)


async def test_cron_of_a_long_name_has_an_id_for_each_tick(queue: JobQueue) -> None:
    ticks: list[str] = []

    @queue.cron("*/10 * * * * *", name="n" * 200)
    async def handler(job: Job) -> None:
        ticks.append(job.data["scheduled_at"])

    await queue.run_until_idle()
    await queue.run_until_idle(advance=60)
    assert len(set(ticks)) == 6


async def test_jobs_of_a_later_release_are_left_to_it(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    async with JobQueue.from_url(f"sqlite:///{tmp_path}/jobs.db") as queue:
        late = Record(id="late", name="x", queue="default", data=b"{}", version=99)
        mine = Record(id="mine", name="x", queue="default", data=b"{}")
        await queue.broker.enqueue([late, mine])
        step = await queue.broker.step(WorkerCall("w", 10.0, {"default": 5}))
        assert [each.id for each in step.claimed] == ["mine"]


async def test_retry_on_knows_what_a_process_raised(queue: JobQueue) -> None:
    queue.process("yes", raises, run_in="process", retry_on=[ValueError])
    queue.process("no", raises, run_in="process", retry_on=[OSError])
    jobs = [await queue.enqueue(name) for name in ("yes", "no")]
    await queue.run_until_idle()
    found = [await queue.get_job(job.id) for job in jobs]
    assert [each and each.status for each in found] == ["delayed", "failed"]


async def test_a_lease_begins_when_the_database_is_free(tmp_path: Path, clock: FakeClock) -> None:
    pytest.importorskip("sqlalchemy")
    from jobqueue.adapters.sql.sqlite import SQLiteBroker

    broker = SQLiteBroker(f"sqlite:///{tmp_path}/jobs.db", clock=clock)
    await broker.enqueue([record()])
    other = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    claiming = asyncio.create_task(claim(broker))
    await asyncio.sleep(0.1)  # it waits for the lock now, longer than its lease
    await clock.advance(3 * LEASE)
    other.execute("ROLLBACK")
    other.close()
    [job] = (await claiming).claimed
    assert job.attempts == 1
    assert not (await claim(broker, worker="other")).claimed
    await broker.aclose()
