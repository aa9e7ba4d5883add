"""Celery on Redis. Default: acknowledges before the run. Tuned: after it, so it may run again."""

from typing import Any

import stage
from celery import Celery


class OnCelery(stage.Peer):
    """Tuned: late acknowledgement, the fastest pool for handlers that do nothing, more prefetch."""

    def __init__(self, orders: stage.Orders) -> None:
        super().__init__(orders)
        backend = orders.url if orders.keep else None
        self.app = Celery("bench", broker=orders.url, backend=backend)
        self.app.conf.update(
            task_ignore_result=not orders.keep,
            worker_send_task_events=False,
            broker_connection_retry_on_startup=True,
        )
        options: dict[str, Any] = {}
        if orders.tuned:
            options = {"acks_late": True, "reject_on_worker_lost": True}
            self.app.conf.worker_prefetch_multiplier = 100
            # shortest that its makers call safe: longer than the longest job
            self.app.conf.broker_transport_options = {"visibility_timeout": 60}
        self.task = self.app.task(stage.run, name="noop", **options)

    async def enqueue(self, n: int) -> None:
        self.task.delay(n)

    def work(self) -> None:
        # one process in both: by default Celery starts one for each core
        pool = ["-P", "solo"] if self.orders.tuned else ["-c", "1"]
        command = ["worker", *pool, "--loglevel=WARNING", "--without-mingle", "--without-gossip"]
        self.app.worker_main(command)


if __name__ == "__main__":
    stage.main(OnCelery)
