"""Agreeing with other processes on who computes a key.

A lease saves work, no more: who loses it, or cannot ask for it, computes the value all the same.
"""

import asyncio
from concurrent.futures import Future
from typing import Any

from ..ports import Entry
from ..resilience import Lease, Limit, SharedLevel
from .jobs import Job
from .reading import Reading

_FIRST_LOOK = 0.02
_LAST_LOOK = 0.2


class Claiming(Reading):
    """Takes a lease before a factory runs; where another process has it, waits for its value."""

    async def claim(self, job: Job, flight: "Future[Any]") -> Lease | Entry | None:
        """Return the lease to compute ``job``, or what another process computed meanwhile.

        None means: compute it without a lease. A stale value that may stand in is not waited for:
        it is returned at once.
        """
        shared, limit = self.shared, self.settings.l2.lease_wait
        if shared is None or not shared.has_leases or job.fence is None or not self.uses_l2(job):
            return None
        begun, patience = self.clock.monotonic(), self.patience(job)
        until, pause = begun + limit, _FIRST_LOOK
        while True:
            lease = await self.acquire(shared, job.key, patience)
            if pause == _FIRST_LOOK:
                job.waited, patience = job.waited + self.clock.monotonic() - begun, None
            if lease is True:
                return None
            if lease is not False:
                has_waited = pause > _FIRST_LOOK
                return await self._looked_again(job, flight, lease, has_waited=has_waited)
            job.waits()
            if (stale := await self.stand_in(job, flight)) is not None:
                self.count.stale_served += 1
                self.rearm(job, stale, flight, _LAST_LOOK)
                return stale
            if self.clock.monotonic() >= until:
                return None
            # waiters of many processes do not look at the same moment
            await shared.wait_ready(job.key, pause * self.rng.uniform(0.75, 1.25))
            pause = min(_LAST_LOOK, pause * 2)
            job.since = None
            if (entry := await shared.together(lambda: self.look_up(job, flight))) is not None:
                self.count.l2_hits += 1
                self.count.shared_flights += 1
                return entry

    async def _looked_again(
        self, job: Job, flight: "Future[Any]", lease: Lease, *, has_waited: bool
    ) -> Lease | Entry:
        """Return what the holder before stored between our look and our lease, else the lease.

        Who asks for the lease right after it has looked would pay for nothing.
        """
        if not has_waited and self.clock.monotonic() - job.asked < _FIRST_LOOK:
            return lease
        job.since, entry = None, None
        try:
            entry = await self.look_up(job, flight)
        except BaseException:
            self.release_behind(lease)
            raise
        if entry is None:
            return lease
        self.release_behind(lease)
        self.count.l2_hits += 1
        self.count.shared_flights += 1
        return entry

    async def acquire(
        self, leases: SharedLevel, name: str, patience: float | None = None
    ) -> Lease | bool:
        """Ask for a lease; see :meth:`SharedLevel.acquire`. Without an answer in time: True.

        Who is cancelled while it is on its way leaves none that nobody returns.
        """
        asked = self.flights.spawn(leases.acquire(name), "cache-ask-lease")
        try:
            if patience is None:
                return await asyncio.shield(asked)
            async with Limit(patience):
                return await asyncio.shield(asked)
        except (asyncio.CancelledError, TimeoutError) as exc:
            self.flights.spawn(_returned(asked, leases), "cache-release")
            if isinstance(exc, TimeoutError):
                return True
            raise

    async def give_back(self, claim: Lease | Entry | None) -> None:
        """Undo a claim that nobody makes use of."""
        if isinstance(claim, Lease):
            await self.release(claim)

    def release_behind(self, lease: Lease) -> None:
        """Give a lease back without waiting until the others are told."""

        def spawn() -> None:
            self.flights.spawn(self.release(lease), "cache-release")

        home = None if lease.renewal is None else lease.renewal.get_loop()
        if home is None or home is asyncio.get_running_loop() or not home.is_running():
            spawn()
        else:
            # our own loop may end with its caller, who has the value
            home.call_soon_threadsafe(spawn)

    async def release(self, lease: Lease) -> None:
        """Give a lease back."""
        if self.shared is not None:
            await self.shared.release(lease)


async def _returned(asked: "asyncio.Task[Lease | bool]", leases: SharedLevel) -> None:
    if isinstance(lease := await asked, Lease):
        await leases.release(lease)
