"""Storing: into both levels, and only what no change since has made old."""

import copy
import sys
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from ..codec.envelope import Header
from ..errors import CacheSerializationError
from ..models import CacheOptions
from ..models import seconds as seconds_of
from ..ports import FENCE_LIFE, Entry, Write
from ..single_flight import Flight
from .freshness import Freshness
from .jobs import Job


class Storing(Freshness):
    """A computed value is stored under the fence and the versions from before its factory."""

    async def store(self, job: Job, value: Any, flight: Flight) -> None:
        """Put a value into both tiers, unless its key was changed since ``flight`` began."""
        life = self._life(value, job.options)
        entry = self._new_entry(value, life, job)
        if self.uses_l2(job):
            data = self._to_bytes(job, value, life, entry, explicit=False)
            if not await self._write(job, data, life):
                return
        if self.commit(job, entry, flight) or self.shared is None:
            return
        if self.flights.met_pattern(flight):
            # it did not match anything in L2 yet. Of all other changes L2 knows: to delete it for
            # those would make each process drop what the others compute
            await self.shared.delete([job.key])

    async def store_many(self, items: Sequence[tuple[Job, Any]]) -> None:
        """Put several values into both tiers, in one go; they replace what is there."""
        made: list[tuple[Job, Entry]] = []
        writes: list[Write] = []
        late: set[str] = set()
        for job, value in items:
            life = self._life(value, job.options)
            entry = self._new_entry(value, life, job)
            if self.uses_l2(job):
                data = self._to_bytes(job, value, life, entry, explicit=True)
                keep = life + (seconds_of(job.options.max_stale) or 0.0)
                writes += [] if data is None else [Write(job.key, data, keep)]
            made.append((job, entry))
        if writes and self.shared is not None and (done := await self.shared.write(writes)):
            late = {each.key for each, kept in zip(writes, done, strict=True) if not kept}
        for job, entry in made:
            # again: who looked while L2 was written may have found the value before
            self.drop([job.key])
            if job.key not in late:  # else another process changed it since
                self._keep(job, entry)

    def store_locally(self, job: Job, value: Any, flight: "Future[Any]") -> None:
        """Put a computed value into L1 alone, where L2 cannot be waited for."""
        self.commit(job, self._new_entry(value, self._life(value, job.options), job), flight)

    def commit(self, job: Job, entry: Entry, flight: "Future[Any]") -> bool:
        """Put ``entry`` into L1 unless its key was changed since ``flight`` began."""
        keep = lambda: self._keep(job, entry)  # noqa: E731  one use
        return self.flights_of(job).commit(job.key, flight, keep)

    def _keep(self, job: Job, entry: Entry) -> None:
        if self.local is not None and not job.options.skip_l1:
            self.local.set(job.key, entry)
            self.alias(entry, job)

    def rearm(self, job: Job, entry: Entry, flight: "Future[Any]", seconds: float = 1.0) -> None:
        """Let a stale entry stand in for some seconds: not every caller tries the factory."""
        now = self.clock.monotonic()
        # a new entry: the old one has left L1, or leaves it now
        again = Entry(
            entry.value,
            expires=min(now + seconds, entry.stale_until),
            stale_until=entry.stale_until,
            tags=self.tags.current(list(entry.tags)),
            checked=self._known_at(job, entry, now),
            copy=entry.copy,
            size=entry.size,
        )
        self.commit(job, again, flight)

    def _known_at(self, job: Job, entry: Entry, now: float) -> float:
        """Return up to when no other process deleted ``entry``, for all we hear.

        Standing in earns no trust: it would stand in for itself without end. Only where nobody can
        be asked, and fail-safe (``max_stale``) is for such times, is it taken as good for a while.
        """
        if self.shared is None:
            return now
        if job.options.max_stale and not self.is_trusted(entry, now):
            return now
        return max(entry.checked, min(now, self.shared.last_alive))

    def keep_to_ourselves(self, job: Job, tags: Sequence[str]) -> None:
        """Let the value of ``job`` stay in L1 if versions of ``tags`` are made up by this process.

        Nobody else could tell whether it is older than what they know.
        """
        if self.tags.are_made_up(tags):
            job.fence = None

    async def _write(self, job: Job, data: bytes | None, life: float) -> bool:
        """Write L2; return False where it says that the value is outdated already."""
        if self.shared is None or data is None or not self._is_fenced(job):
            return True
        keep = life + (seconds_of(job.options.max_stale) or 0.0)
        write = self.shared.write([Write(job.key, data, keep, job.fence)])
        done = await self.in_time(job, write, "cache-write")
        return done is None or done[0]

    def _is_fenced(self, job: Job) -> bool:
        """Whether L2 can tell that a computed value is old: the fence read is still kept."""
        if job.fence is None or job.since is None:
            return False
        return self.clock.monotonic() - job.since < FENCE_LIFE

    def _life(self, value: Any, options: CacheOptions) -> float:
        life = seconds_of(options.negative_ttl) if value is None else None
        life = life or seconds_of(options.ttl) or self.settings.l2.default_ttl
        return life * (1 - self.rng.random() * (options.jitter or 0.0))

    def _new_entry(self, value: Any, life: float, job: Job) -> Entry:
        now, options = self.clock.monotonic(), job.options
        served = min(life, self.settings.l1.ttl) if self.uses_l2(job) else life
        return Entry(
            copy.deepcopy(value) if options.copy else value,
            expires=now + served,
            stale_until=now + life + (seconds_of(options.max_stale) or 0.0),
            tags=job.versions or self.tags.current(job.tags),
            # what a factory computed is as old as its beginning
            checked=now if job.since is None else job.since,
            refresh_at=refresh_at(now, life, options),
            ttl=served if options.sliding else 0.0,
            copy=options.copy,
            size=weigh(value),
        )

    def _to_bytes(
        self, job: Job, value: Any, life: float, entry: Entry, *, explicit: bool
    ) -> bytes | None:
        wall = self.clock.time()
        keep = wall + life + (seconds_of(job.options.max_stale) or 0.0)
        header = Header(wall, wall + life, keep, dict(entry.tags), job.options.copy)
        try:
            data = self.codec.dumps(value, job.kind, header, compress=job.options.compress)
        except CacheSerializationError:
            if explicit:
                raise
            self.count.unserializable += 1
            # nobody else has it: L1 may serve it for its whole life
            entry.expires = self.clock.monotonic() + life
            return None
        entry.size = len(data)
        return data


def refresh_at(now: float, life: float, options: CacheOptions) -> float:
    """Return when a hit starts the factory behind; infinity for never."""
    return now + life * options.eager_refresh if options.eager_refresh else float("inf")


def weigh(value: Any, depth: int = 4) -> int:
    """Return about how many bytes ``value`` takes; deep parts are counted by their containers."""
    size = sys.getsizeof(value, 64)
    if depth == 0:
        return size
    if isinstance(value, dict):
        return size + sum(weigh(k, 0) + weigh(v, depth - 1) for k, v in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return size + sum(weigh(item, depth - 1) for item in value)
    if (inner := getattr(value, "__dict__", None)) is not None and isinstance(inner, dict):
        return size + weigh(inner, depth - 1)
    return size
