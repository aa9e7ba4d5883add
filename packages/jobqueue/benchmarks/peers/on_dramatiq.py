"""dramatiq on Redis. Acknowledges after the run; results are an extra that most do without."""

import signal
import threading

import dramatiq
import stage
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend


class OnDramatiq(stage.Peer):
    """Tuned: one worker thread, the fastest for handlers that do nothing, and a deep prefetch."""

    def __init__(self, orders: stage.Orders) -> None:
        super().__init__(orders)
        self.broker = RedisBroker(url=orders.url)
        if orders.keep:
            self.broker.add_middleware(Results(backend=RedisBackend(url=orders.url)))
        dramatiq.set_broker(self.broker)
        keep = {"store_results": True} if orders.keep else {}
        self.actor = dramatiq.actor(_handler(keep=orders.keep), actor_name="noop", **keep)

    async def enqueue(self, n: int) -> None:
        self.actor.send(n)

    def work(self) -> None:
        done = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: done.set())
        if self.orders.tuned:
            worker = dramatiq.Worker(self.broker, worker_timeout=5, worker_threads=1)
            worker.queue_prefetch = 1000
        else:
            worker = dramatiq.Worker(self.broker)
        worker.start()
        done.wait()
        worker.stop(timeout=2000)


def _handler(*, keep: bool):
    """Return what runs; an actor that stores no result must return none."""
    if keep:
        return stage.run

    def noop(n: int) -> None:
        stage.run(n)

    return noop


if __name__ == "__main__":
    stage.main(OnDramatiq)
