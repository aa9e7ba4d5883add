"""saq on Redis. At least once: stuck jobs are swept each minute."""

import asyncio
from typing import Any

import stage
from redis.asyncio import BlockingConnectionPool, Redis
from saq import Queue, Worker
from saq.queue.redis import RedisQueue


async def noop(context: dict[str, Any], *, n: int) -> int:
    return await stage.run_async(n)


class OnSaq(stage.Peer):
    """Tuned: more jobs at once, with a pool that has room for them."""

    def _queue(self) -> Any:
        if not self.orders.tuned:
            return Queue.from_url(self.orders.url)
        room = 2 * self.orders.concurrency
        pool = BlockingConnectionPool.from_url(self.orders.url, max_connections=room, timeout=60)
        return RedisQueue(Redis(connection_pool=pool), max_concurrent_ops=self.orders.concurrency)

    async def open(self) -> None:
        self.queue = self._queue()
        await self.queue.connect()

    async def close(self) -> None:
        await self.queue.disconnect()

    async def enqueue(self, n: int) -> None:
        await self.queue.enqueue("noop", n=n, retries=3, ttl=600 if self.orders.keep else -1)

    def work(self) -> None:
        asyncio.run(self._work())

    async def _work(self) -> None:
        options = {"concurrency": self.orders.concurrency} if self.orders.tuned else {}
        await Worker(self._queue(), functions=[noop], **options).start()


if __name__ == "__main__":
    stage.main(OnSaq)
