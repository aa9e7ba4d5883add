"""The queue of this package."""

import asyncio
import signal
import time
from collections.abc import Sequence
from typing import Any

import stage

from jobqueue import Job, JobQueue, Settings, Worker
from jobqueue.ports import Broker, Lease, Outcome, WorkerCall

_ROUNDS = 40
_CLAIM = 10


class OnJobQueue(stage.Peer):
    """Default: a worker as it comes (4 slots). Tuned: as many slots as the others have."""

    def __init__(self, orders: stage.Orders) -> None:
        super().__init__(orders)
        defaults: dict[str, Any] = {} if orders.keep else {"result_ttl": 0}
        self.queue = JobQueue(
            Settings.from_mapping(
                {"broker": {"connection_string": orders.url}, "defaults": defaults}
            )
        )
        self.queue.process("noop", _noop)

    async def close(self) -> None:
        await self.queue.aclose()

    async def prepare(self) -> None:
        await self.queue.setup()

    async def enqueue(self, n: int) -> None:
        await self.queue.enqueue("noop", {"n": n})

    async def enqueue_many(self, numbers: Sequence[int]) -> None:
        await self.queue.enqueue_many([("noop", {"n": n}) for n in numbers])

    async def kept(self) -> int | None:
        return (await self.queue.get_stats()).completed

    async def claim(self) -> float:
        await self.queue.opened()
        took = [await _claim(self.queue.broker) for _ in range(_ROUNDS)]
        return sorted(took)[_ROUNDS // 2] * 1e3

    def work(self) -> None:
        asyncio.run(self._work())

    async def _work(self) -> None:
        async with self.queue:
            if self.orders.url.startswith("memory:"):  # whose jobs nobody else could enqueue
                for start in range(0, self.orders.count, 1000):
                    await self.enqueue_many(range(start, min(self.orders.count, start + 1000)))
            slots = {"default": self.orders.concurrency} if self.orders.tuned else None
            worker = Worker(self.queue, slots)
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
            await worker.run()


async def _noop(job: Job) -> int:
    return await stage.run_async(job.data["n"])


async def _claim(broker: Broker) -> float:
    begun = time.perf_counter()
    step = await broker.step(WorkerCall("bench", 30.0, {"default": _CLAIM}))
    took = time.perf_counter() - begun
    if len(step.claimed) != _CLAIM:
        raise RuntimeError(f"claimed {len(step.claimed)} jobs, not {_CLAIM}")
    back = [Outcome(Lease(each.id, each.fence), "released") for each in step.claimed]
    await broker.step(WorkerCall("bench", 30.0, {}, back))
    return took


if __name__ == "__main__":
    stage.main(OnJobQueue)
