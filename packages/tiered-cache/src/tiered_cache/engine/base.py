"""The state of one cache, which every part of the engine works on."""

import asyncio
import copy
import random
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from .._common.clock import Clock
from ..codec import Codec
from ..models import MISSING, CacheContext, seconds
from ..ports import Entry, LocalTier, Read
from ..resilience import Limit, SharedLevel
from ..settings import Settings
from ..single_flight import Flights, Lookups
from .jobs import Counters, Job, Live
from .tags import KnownTags

T = TypeVar("T")
TRIES = 3
_LITTLE = 0.1
"""Share of the time limit of L2 that is no loss, and that is left for a last call."""


class State:
    """Tiers, versions of tags, running factories and counters."""

    def __init__(
        self,
        settings: Settings,
        local: LocalTier | None,
        shared: SharedLevel | None,
        codec: Codec,
        *,
        live: Live,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        """Work on ``local`` and ``shared``; either may be None."""
        self.live = live
        self.settings, self.local, self.shared, self.codec = settings, local, shared, codec
        self.clock, self.rng = clock, rng
        self.tags = KnownTags(clock, live, shared=shared is not None)
        self.flights, self.lookups = Flights(), Lookups()
        self.count = Counters()

    def flights_of(self, job: Job) -> Flights | Lookups:
        """Return those among which ``job`` is."""
        return self.lookups if job.is_lookup else self.flights

    def trusts_messages(self) -> bool:
        """Whether changes of other processes reach this one."""
        return self._hears(self.clock.monotonic())

    def _hears(self, now: float) -> bool:
        if now < self.live.trusted_until:
            return True
        self.live.trusted_until = self._trusted_until()
        return now < self.live.trusted_until

    def _trusted_until(self) -> float:
        if self.shared is None:
            return float("inf")
        return self.shared.last_alive + self.settings.suspect_after

    async def ask(
        self, keys: Sequence[str], tags: Callable[[], Sequence[str]], *, fences: bool = True
    ) -> Read | None:
        """Read L2 and learn what it says of ``tags()``; None without an answer.

        It is asked again where the versions of tags were forgotten meanwhile: the answer may be
        older than what was missed.
        """
        if self.shared is None:
            return None
        found = None
        for _ in range(TRIES):
            doubts = self.tags.doubts
            found = await self.shared.read(keys, tags(), fences=fences)
            if found is None or doubts == self.tags.doubts:
                self.tags.learn({} if found is None else found.versions)
                break
        return found

    def patience(self, job: Job) -> float | None:
        """Return how many seconds ``job`` may wait for its next call of L2; None: as for the first.

        One operation makes several calls. Each has the whole time limit where the ones before took
        next to nothing, as they do; where L2 is slow, all of them together have it.
        """
        limit = self.settings.l2.patience
        if job.waited < limit * _LITTLE:
            return None
        return max(limit - job.waited, limit * _LITTLE)

    async def in_time(self, job: Job, work: Coroutine[Any, Any, T], name: str) -> T | None:
        """Return what a later call of L2 for ``job`` answers.

        Where L2 is too slow for that, the call goes on behind, and None is returned: no answer.
        """
        begun, limit = self.clock.monotonic(), self.patience(job)
        try:
            if limit is None:
                return await work
            task = self.flights.spawn(work, name)
            task.add_done_callback(_seen)
            async with Limit(limit):
                return await asyncio.shield(task)
        except TimeoutError:
            return None
        finally:
            job.waited += self.clock.monotonic() - begun

    def uses_l2(self, job: Job) -> bool:
        """Whether the value of ``job`` may be in L2."""
        return self.shared is not None and not job.options.skip_l2

    def drop(self, keys: Iterable[str]) -> None:
        """Forget keys in this process: running factories may no longer store them."""
        for key in keys:
            self.flights.forget(key)
            self.lookups.forget(key)
            if self.local is not None and self.local.delete(key):
                self.count.invalidated += 1

    @staticmethod
    def value_of(entry: Entry) -> Any:
        """Return the value for a caller."""
        return copy.deepcopy(entry.value) if entry.copy else entry.value

    def hit(self, entry: Entry, job: Job | None = None) -> Any:
        """Return the value of a fresh entry of L1 for a caller; a sliding ttl starts anew."""
        self.live.l1_hits += 1
        if job is not None:
            if job.options.copy and not entry.copy:  # who stored it did not care
                entry.copy = True
                entry.arm()
            self.alias(entry, job)
        if entry.ttl:
            now = self.clock.monotonic()
            entry.stale_until += now + entry.ttl - entry.expires
            entry.expires = now + entry.ttl
        return self.value_of(entry)

    def alias(self, entry: Entry, job: Job) -> None:
        """Let the decorated function of ``job`` find ``entry`` by its arguments from now on."""
        if job.alias is not None and self.local is not None and self.local.marks_use:
            entry.alias(*job.alias)

    def context(self, job: Job) -> CacheContext:
        """Return what the factory is given."""
        stale = MISSING if job.stale is None else self.value_of(job.stale)
        return CacheContext(
            job.key, seconds(job.options.ttl), list(job.options.tags or ()), stale=stale
        )


def _seen(task: "asyncio.Task[Any]") -> None:
    """Look at the end of a task for which nobody may wait any more."""
    if not task.cancelled():
        task.exception()
