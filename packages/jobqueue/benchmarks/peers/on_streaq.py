"""streaq. At least once: the idle jobs of a worker are taken back after a minute."""

from collections.abc import Sequence
from typing import Any

import stage
import streaq


class OnStreaq(stage.Peer):
    """Tuned: more jobs at once and more fetched ahead."""

    def __init__(self, orders: stage.Orders) -> None:
        super().__init__(orders)
        tuned = {"concurrency": orders.concurrency, "prefetch": orders.concurrency}
        options: dict[str, Any] = tuned if orders.tuned else {}
        self.worker = streaq.Worker(redis_url=orders.url, **options)
        ttl = 300 if orders.keep else 0
        self.task: Any = self.worker.task(name="noop", ttl=ttl, silent=True)(stage.run_async)

    async def open(self) -> None:
        await self.worker.__aenter__()

    async def close(self) -> None:
        await self.worker.__aexit__(None, None, None)

    async def enqueue(self, n: int) -> None:
        await self.task.enqueue(n)

    async def enqueue_many(self, numbers: Sequence[int]) -> None:
        await self.worker.enqueue_many([self.task.enqueue(n) for n in numbers])

    def work(self) -> None:
        self.worker.run_sync()


if __name__ == "__main__":
    stage.main(OnStreaq)
