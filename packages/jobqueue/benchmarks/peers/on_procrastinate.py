"""procrastinate. A killed worker's job stays where it is until a task of the user's retries it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import procrastinate
import stage


class OnProcrastinate(stage.Peer):
    """Tuned: more jobs at once, over as many connections as help."""

    def __init__(self, orders: stage.Orders) -> None:
        super().__init__(orders)
        options = {"max_size": 20} if orders.tuned else {}
        connector: Any = procrastinate.PsycopgConnector(conninfo=orders.url, **options)
        self.app = procrastinate.App(connector=connector)
        self.task: Any = self.app.task(name="noop")(stage.run_async)

    async def open(self) -> None:
        await self.app.open_async()

    async def close(self) -> None:
        await self.app.close_async()

    async def prepare(self) -> None:
        await self.app.schema_manager.apply_schema_async()

    async def enqueue(self, n: int) -> None:
        await self.task.defer_async(n=n)

    async def enqueue_many(self, numbers: Sequence[int]) -> None:
        await self.task.batch_defer_async(*[{"n": n} for n in numbers])

    def work(self) -> None:
        asyncio.run(self._work())

    async def _work(self) -> None:
        options: dict[str, Any] = {}
        if self.orders.tuned:
            options = {"concurrency": self.orders.concurrency}
        if not self.orders.keep:
            options["delete_jobs"] = "successful"
        async with self.app.open_async():
            await self.app.run_worker_async(**options)


if __name__ == "__main__":
    stage.main(OnProcrastinate)
