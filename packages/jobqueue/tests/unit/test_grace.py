"""After an outage a worker leaves others time to renew their leases."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

from jobqueue import BackendError, Job, JobQueue, Worker
from jobqueue.adapters.memory import MemoryBroker
from jobqueue.ports import Step, WorkerCall
from jobqueue.testing import LEASE, FakeClock, claim, record
from jobqueue.worker.grace import Grace


class Away(MemoryBroker):
    """A broker that is out of reach when a test says so."""

    fault: BackendError | None = None

    async def step(self, call: WorkerCall) -> Step:
        if self.fault is not None:
            raise self.fault
        return await super().step(call)


@pytest.mark.parametrize(("retryable", "waits"), [(True, True), (False, False)])
async def test_leases_of_others_get_one_more(
    clock: FakeClock, *, retryable: bool, waits: bool
) -> None:
    broker, ran = Away(clock=clock), list[str]()
    async with JobQueue(broker=broker, clock=clock) as queue:

        @queue.worker("job")
        async def job(job: Job) -> None:
            ran.append(job.id)

        await broker.enqueue([record()])
        await claim(broker, worker="cut off")
        await clock.advance(LEASE + 1)
        worker = Worker(queue, lease=LEASE)
        broker.fault = BackendError("away", retryable=retryable)
        with pytest.raises(BackendError):
            await worker.run_until_idle()
        broker.fault = None
        await worker.run_until_idle()
        assert bool(ran) == (not waits)
        await clock.advance(LEASE)
        await worker.run_until_idle()
        assert len(ran) == 1


def test_what_counts_as_an_outage(clock: FakeClock) -> None:
    def is_over(*faults: Any) -> bool:
        grace = Grace(clock, 10.0)
        for each in faults:
            grace.note(each)
        return grace.is_over

    away: Sequence[BaseException] = [TimeoutError(), BackendError("x", retryable=True)]
    assert is_over()
    assert [is_over(each) for each in away] == [False, False]
    assert is_over(BackendError("refused", retryable=False))


def test_the_time_of_others_begins_when_the_broker_is_back(clock: FakeClock) -> None:
    """However long ago the last call failed: until now nobody could renew."""
    grace = Grace(clock, 10.0)
    grace.note(TimeoutError())
    clock.shift(30.0)
    assert not grace.is_over
    grace.answered()
    clock.shift(9.0)
    grace.answered()
    assert not grace.is_over
    clock.shift(1.0)
    assert grace.is_over


class Deaf(MemoryBroker):
    """Renews leases, but takes in no end of a job while a test says so."""

    deaf = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.renewed: list[str] = []

    def twin(self) -> "Deaf":
        return self

    async def step(self, call: WorkerCall) -> Step:
        if self.deaf:
            raise BackendError("away", retryable=True)
        return await super().step(call)

    async def extend(self, call: WorkerCall) -> Sequence[str]:
        if self.deaf:
            self.renewed += [lease.id for lease in call.held]
        return await super().extend(call)


async def test_an_end_that_is_not_taken_in_yet_keeps_its_lease() -> None:
    """Else somebody would find the job abandoned, and run it again, before we can say it."""
    broker = Deaf()
    async with JobQueue(broker=broker) as queue:

        @queue.worker("job")
        async def job(job: Job) -> int:
            broker.deaf = True
            return 7

        made = await queue.enqueue("job")
        worker = Worker(queue, lease=0.3)
        running = asyncio.create_task(worker.run())
        async with asyncio.timeout(60):
            while made.id not in broker.renewed or worker.in_flight:
                await asyncio.sleep(0.01)
            broker.renewed.clear()
            while made.id not in broker.renewed:
                await asyncio.sleep(0.01)
        broker.deaf = False
        assert await queue.result(made.id, timeout=60) == 7
        worker.stop()
        await running


async def test_a_worker_is_back_within_a_third_of_its_lease() -> None:
    """However long the broker was away: others wait for one lease, no longer."""
    slept: list[float] = []

    class Hasty(FakeClock):
        async def sleep(self, seconds: float) -> None:
            slept.append(seconds)

    async with JobQueue(broker=MemoryBroker(), clock=Hasty()) as queue:
        worker = Worker(queue, lease=3.0, rng=random.Random(1))
        for _ in range(100):
            await worker._pause(BackendError("away", retryable=True))
    assert 0.9 < max(slept) <= 1.0
    assert min(slept) >= 0.05
