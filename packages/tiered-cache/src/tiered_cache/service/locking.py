"""``cache.lock``: at most one does some work, as a rule."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from ..keys import check_key
from ..models import Seconds, check_seconds, seconds
from ..resilience import Lease
from .base import Base

_FIRST_LOOK = 0.02
_LAST_LOOK = 0.2


class Locking(Base):
    """``lock``."""

    @contextlib.asynccontextmanager
    async def lock(self, key: str, *, wait: Seconds = 30.0) -> AsyncGenerator[bool, None]:
        """Hold the lock of ``key`` in all processes: the one that keeps stampedes away.

        It saves work and guarantees nothing: who loses contact with the shared level loses the
        lock without being stopped. For what must not happen twice use a database.

        Args:
            key: A non-empty str; locks and cached values do not meet.
            wait: Seconds after which the block runs without the lock.

        Returns:
            An asynchronous context manager, which gives whether the lock is held.

        Raises:
            ConfigurationError: ``wait`` is no number of seconds.
        """
        check_seconds("wait", wait, zero=True)
        limit = seconds(wait) or 0.0
        engine = await self.opened()
        name, leases = f"lock:{check_key(key)}", engine.shared or self.own_leases
        until, pause = self.clock.monotonic() + limit, _FIRST_LOOK
        while True:
            lease = await engine.acquire(leases, name)
            left = until - self.clock.monotonic()
            if lease is not False or left <= 0:
                break
            spread = self._rng.uniform(0.75, 1.25)
            await leases.wait_ready(name, min(left, pause * spread))
            pause = min(_LAST_LOOK, pause * 2)
        try:
            yield isinstance(lease, Lease)
        finally:
            if isinstance(lease, Lease):
                await asyncio.shield(engine.flights.spawn(leases.release(lease), "cache-release"))
