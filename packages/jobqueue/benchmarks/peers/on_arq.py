"""arq. At least once: a killed worker's job comes back after its timeout."""

import asyncio
from typing import Any

import stage
from arq import Worker, create_pool, func
from arq.connections import RedisSettings


async def noop(context: dict[str, Any], n: int) -> int:
    return await stage.run_async(n)


class OnArq(stage.Peer):
    """Tuned: a short poll, and more jobs at once."""

    @property
    def settings(self) -> RedisSettings:
        return RedisSettings.from_dsn(self.orders.url)

    async def open(self) -> None:
        self.pool = await create_pool(self.settings)

    async def close(self) -> None:
        await self.pool.aclose()

    async def enqueue(self, n: int) -> None:
        await self.pool.enqueue_job("noop", n)

    def work(self) -> None:
        keep: dict[str, Any] = {} if self.orders.keep else {"keep_result": 0}
        tuned: dict[str, Any] = {"max_jobs": self.orders.concurrency, "poll_delay": 0.01}
        options = keep | (tuned if self.orders.tuned else {})
        asyncio.set_event_loop(asyncio.new_event_loop())
        Worker([func(noop, name="noop")], redis_settings=self.settings, **options).run()


if __name__ == "__main__":
    stage.main(OnArq)
