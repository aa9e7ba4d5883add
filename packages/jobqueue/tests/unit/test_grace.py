"""After an outage a worker leaves others time to renew their leases."""

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
