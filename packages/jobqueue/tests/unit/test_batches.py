"""What goes to the broker at once: bounded, and nobody's fault but its own."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from jobqueue import ConfigurationError, Job, JobQueue, PayloadError
from jobqueue.adapters.memory import MemoryBroker
from jobqueue.batches import LARGEST, batches
from jobqueue.ports import Enqueued, Record
from jobqueue.testing import FakeClock, record


class Counting(MemoryBroker):
    """Notes what comes together, and refuses data of ``refused``."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self.calls: list[list[int]] = []
        self.refused = b""

    async def enqueue(self, records: Sequence[Record]) -> Sequence[Enqueued]:
        self.calls.append([len(record.data) for record in records])
        await asyncio.sleep(0)
        if self.refused and any(self.refused in record.data for record in records):
            raise PayloadError("the server refuses it")
        return await super().enqueue(records)


async def test_a_call_to_the_broker_is_bounded_by_bytes(clock: FakeClock) -> None:
    """A thousand jobs of 1 MiB would be a statement of a gigabyte, which servers refuse."""
    broker = Counting(clock)
    queue = JobQueue(broker=broker, clock=clock)
    large = "x" * 1_000_000
    made = await queue.enqueue_many([("x", large)] * 40)
    together = await asyncio.gather(*(queue.enqueue("x", large) for _ in range(40)))
    assert len({job.id for job in (*made, *together)}) == 80
    assert sum(map(len, broker.calls)) == 80
    assert max(sum(each) for each in broker.calls) <= LARGEST
    assert len(broker.calls) <= 8
    broker.calls.clear()
    await queue.enqueue_many([("x", n) for n in range(2500)])
    assert [len(each) for each in broker.calls] == [1000, 1000, 500]


def test_one_that_is_larger_goes_alone() -> None:
    sizes = (5, LARGEST + 1, LARGEST + 1, 5, LARGEST - 5, 1)
    parts = batches([record(data=b"x" * size) for size in sizes])
    assert [[len(each.data) for each in part] for part in parts] == [
        [5], [LARGEST + 1], [LARGEST + 1], [5, LARGEST - 5], [1],
    ]  # fmt: skip


async def test_what_the_server_refuses_is_no_matter_of_others(clock: FakeClock) -> None:
    """Callers that share a round trip do not share its fault."""
    broker = Counting(clock)
    broker.refused = b"giant"
    queue = JobQueue(broker=broker, clock=clock)
    data = ["a", "b", "giant", "c"]
    calls = [queue.enqueue("x", each) for each in data]
    made = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in made] == [Job, Job, PayloadError, Job]
    assert (await queue.get_stats()).pending == 3


@pytest.mark.parametrize("jobs", [None, 5, "x", b"x", {"x": 1}, [None], [("x",)], ["ab"]])
async def test_what_is_no_list_of_jobs(queue: JobQueue, jobs: Any) -> None:
    with pytest.raises(ConfigurationError, match="job"):
        await queue.enqueue_many(jobs)
