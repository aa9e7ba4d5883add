"""While jobs run, the next step is on its way, where there is enough to do for both."""

import asyncio
from typing import Any

import pytest

from jobqueue import Job, JobQueue, Worker
from jobqueue.adapters.memory import MemoryBroker
from jobqueue.ports import Step, WorkerCall


class Noting(MemoryBroker):
    """Notes its steps, in a list in which handlers note their runs."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.seen: list[str] = []
        self.worker: Worker | None = None

    async def step(self, call: WorkerCall) -> Step:
        self.seen.append("step")
        made = await super().step(call)
        if self.worker is not None and made.claimed:
            self.worker.stop()
        return made


async def worked(broker: Noting, jobs: int, slots: int) -> list[str]:
    """Return what happened until that many jobs were done, their ends included."""
    async with JobQueue(broker=broker) as queue:

        @queue.worker("x")
        async def handler(job: Job) -> None:
            broker.seen.append("run")

        made = await queue.enqueue_many([("x", {"n": n}) for n in range(jobs)])
        worker = Worker(queue, {"default": slots})
        running = asyncio.create_task(worker.run())
        for each in made:
            await queue.wait(each.id, 60)
        worker.stop()
        await running
    return broker.seen


async def test_the_next_step_is_sent_before_the_jobs_of_a_full_one_begin() -> None:
    seen = await worked(Noting(), jobs=40, slots=40)
    assert seen[:22] == ["step", "step", *["run"] * 20]
    assert seen.count("run") == 40


@pytest.mark.parametrize("jobs", [1, 19])
async def test_where_there_is_no_more_they_begin_at_once(jobs: int) -> None:
    seen = await worked(Noting(), jobs=jobs, slots=40)
    assert seen[: jobs + 1] == ["step", *["run"] * jobs]


async def test_few_slots_are_filled_by_one_step() -> None:
    seen = await worked(Noting(), jobs=4, slots=4)
    assert seen[:5] == ["step", *["run"] * 4]


async def test_what_waits_at_a_stop_is_done() -> None:
    broker = Noting()
    async with JobQueue(broker=broker) as queue:

        @queue.worker("x")
        async def handler(job: Job) -> None:
            broker.seen.append("run")

        made = await queue.enqueue_many([("x", {"n": n}) for n in range(40)])
        broker.worker = Worker(queue, {"default": 40})
        await broker.worker.run()
        stats = await queue.get_stats()
        first = await queue.get_job(made[0].id)
    assert (stats.completed, stats.pending, stats.processing) == (20, 20, 0)
    assert first is not None
    assert first.status == "completed"
