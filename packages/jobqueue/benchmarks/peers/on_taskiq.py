"""taskiq on Redis streams. At least once: idle messages are claimed after ten minutes."""

import asyncio
from typing import Any

import stage
from taskiq.api import run_receiver_task
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker


class OnTaskiq(stage.Peer):
    """Tuned: hundred fetched ahead, a pool for as many, parameters not validated."""

    def __init__(self, orders: stage.Orders) -> None:
        super().__init__(orders)
        room = {"max_connection_pool_size": 2 * orders.concurrency} if orders.tuned else {}
        # from the start of the stream: jobs wait there before the first worker comes
        broker: Any = RedisStreamBroker(orders.url, consumer_id="0", **room)
        if orders.keep:
            results: Any = RedisAsyncResultBackend(orders.url, result_ex_time=600, **room)
            broker = broker.with_result_backend(results)
        self.broker = broker
        self.task = broker.register_task(stage.run_async, task_name="noop")

    async def open(self) -> None:
        await self.broker.startup()

    async def close(self) -> None:
        await self.broker.shutdown()

    async def enqueue(self, n: int) -> None:
        await self.task.kiq(n)

    def work(self) -> None:
        asyncio.run(self._work())

    async def _work(self) -> None:
        options: dict[str, Any] = {}
        if self.orders.tuned:
            most = self.orders.concurrency
            options = {"max_async_tasks": most, "max_prefetch": most, "validate_params": False}
        await run_receiver_task(self.broker, run_startup=True, **options)


if __name__ == "__main__":
    stage.main(OnTaskiq)
