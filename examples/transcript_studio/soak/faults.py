"""What goes wrong in a soak, one thing every few seconds, chosen by the seed."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from studio_process import Studio

from _common.proxy import Proxy
from _common.server import Server


@dataclass(slots=True)
class Faults:
    """Kills workers, restarts servers and cuts sockets.

    One worker and one web process are spared, so that there are two that live through all the rest
    and whose memory can be judged.

    Attributes:
        done: How often each was injected.
    """

    studio: Studio
    proxies: list[Proxy]
    redis: Server
    postgres: Server
    rabbitmq: Server
    rng: random.Random
    done: Counter[str] = field(default_factory=Counter)

    async def inject(self, pause: tuple[float, float]) -> None:
        """Inject faults until cancelled, with pauses of so many seconds between them."""
        kinds: list[tuple[str, int, Callable[[], Awaitable[None]]]] = [
            ("worker killed", 6, self._kill_worker),
            ("worker frozen past its lease", 2, self._freeze_worker),
            ("sockets cut", 6, self._cut),
            ("network away", 2, self._away),
            ("web process restarted", 2, self._restart_web),
            ("Redis restarted", 2, lambda: asyncio.to_thread(self.redis.restart)),
            ("PostgreSQL restarted", 2, lambda: asyncio.to_thread(self.postgres.restart)),
            ("PostgreSQL killed", 1, lambda: self._kill(self.postgres)),
            ("RabbitMQ killed", 1, lambda: self._kill(self.rabbitmq)),
        ]
        weights = [weight for _, weight, _ in kinds]
        while True:
            await asyncio.sleep(self.rng.uniform(*pause))
            [(name, _, act)] = self.rng.choices(kinds, weights)
            work = asyncio.ensure_future(act())
            try:
                await asyncio.shield(work)
            finally:
                await work  # also when the time is over: nothing is left dead
            self.done[name] += 1

    async def _kill_worker(self) -> None:
        self.studio.kill(self.rng.choice(self.studio.workers[1:]).pid)
        await asyncio.sleep(self.rng.uniform(0.1, 2))
        self.studio.replace_dead_workers()

    async def _freeze_worker(self) -> None:
        pid = self.rng.choice(self.studio.workers).pid
        self.studio.freeze(pid)
        await asyncio.sleep(15)
        self.studio.wake(pid)

    async def _cut(self) -> None:
        self.rng.choice(self.proxies).cut()

    async def _away(self) -> None:
        proxy = self.rng.choice(self.proxies)
        proxy.mode = "refuse"
        proxy.cut()
        await asyncio.sleep(self.rng.uniform(0.5, 3))
        proxy.mode = "pass"

    async def _restart_web(self) -> None:
        web = self.rng.choice(self.studio.webs[1:])
        await web.stop()
        await web.start()

    async def _kill(self, server: Server) -> None:
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(self.rng.uniform(0.1, 2))
        await asyncio.to_thread(server.restart)
