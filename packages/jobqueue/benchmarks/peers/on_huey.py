"""huey on Redis. A job leaves the queue before it runs: a crash loses it."""

from typing import Any

import stage
from huey import RedisHuey


class OnHuey(stage.Peer):
    """Default: one thread. Tuned: the same without scheduler, and no longer waits when idle."""

    def __init__(self, orders: stage.Orders) -> None:
        super().__init__(orders)
        self.huey = RedisHuey("bench", url=orders.url, results=orders.keep)
        self.task: Any = self.huey.task(name="noop")(stage.run)

    async def enqueue(self, n: int) -> None:
        self.task(n)

    def work(self) -> None:
        tuned = {"periodic": False, "check_worker_health": False, "max_delay": 0.1}
        self.huey.create_consumer(**(tuned if self.orders.tuned else {})).run()


if __name__ == "__main__":
    stage.main(OnHuey)
