"""pgqueuer. At least once by heartbeat; finished jobs move to its log."""

import asyncio
import signal
from collections.abc import Sequence
from typing import Any

import asyncpg
import stage
from pgqueuer import PgQueuer
from pgqueuer.models import Job


class OnPgqueuer(stage.Peer):
    """Tuned: a hundred jobs a batch, over a pool of connections."""

    async def open(self) -> None:
        self.link: Any = await asyncpg.connect(self.orders.url)
        self.queuer = PgQueuer.from_asyncpg_connection(self.link)

    async def close(self) -> None:
        await self.link.close()

    async def prepare(self) -> None:
        await self.queuer.qm.queries.install()

    async def enqueue(self, n: int) -> None:
        await self.queuer.qm.queries.enqueue("noop", b"%d" % n)

    async def enqueue_many(self, numbers: Sequence[int]) -> None:
        count = len(numbers)
        payloads = [b"%d" % n for n in numbers]
        await self.queuer.qm.queries.enqueue(["noop"] * count, payloads, [0] * count)

    def work(self) -> None:
        asyncio.run(self._work())

    async def _work(self) -> None:
        link: Any = await self._connected()
        make: Any = PgQueuer.from_asyncpg_connection
        if self.orders.tuned:
            make = PgQueuer.from_asyncpg_pool
        queuer = make(link)

        @queuer.entrypoint("noop")
        async def noop(job: Job) -> None:
            await stage.run_async(int(job.payload or b"0"))

        stop = queuer.shutdown.set
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
        await queuer.run(**({"batch_size": self.orders.concurrency} if self.orders.tuned else {}))
        await link.close()

    async def _connected(self) -> Any:
        if self.orders.tuned:
            return await asyncpg.create_pool(self.orders.url, min_size=2, max_size=4)
        return await asyncpg.connect(self.orders.url)


if __name__ == "__main__":
    stage.main(OnPgqueuer)
