"""rq. Default: a process for each job. A killed worker's job ends in the failed registry."""

from collections.abc import Sequence
from typing import Any

import stage
from redis import Redis
from rq import Queue, SimpleWorker, Worker


class OnRq(stage.Peer):
    """Tuned: jobs run in the worker's own process."""

    def __init__(self, orders: stage.Orders) -> None:
        super().__init__(orders)
        self.redis = Redis.from_url(orders.url)
        self.queue = Queue(connection=self.redis)
        self.keep: dict[str, Any] = {} if orders.keep else {"result_ttl": 0}

    async def enqueue(self, n: int) -> None:
        self.queue.enqueue("stage.run", n, **self.keep)

    async def enqueue_many(self, numbers: Sequence[int]) -> None:
        prepared = [Queue.prepare_data("stage.run", (n,), **self.keep) for n in numbers]
        self.queue.enqueue_many(prepared)

    def work(self) -> None:
        kind = SimpleWorker if self.orders.tuned else Worker
        kind([self.queue], connection=self.redis).work(logging_level="WARNING")


if __name__ == "__main__":
    stage.main(OnRq)
