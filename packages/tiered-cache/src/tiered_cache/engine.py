"""The rules of the cache: what may be served, what must be computed, what may be stored.

A value carries the versions that its tags had *before* it was computed, and is stored under a fence
that was read before, too: whatever changes meanwhile makes it a miss. L1 is served without asking
anybody while the backplane is alive; without its heartbeat only for as long as such a silence may
go unnoticed anyway.
"""

import copy
import random
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from ._common.clock import Clock
from .codec import Codec, Loaded
from .codec.envelope import Header
from .errors import CacheSerializationError
from .flights import Flight, Flights
from .models import MISSING, CacheContext, CacheOptions, seconds
from .ports import ALL, Entry, LocalTier, Message, Read, TagVersion, Write
from .settings import Settings
from .shared import SharedLevel

_FOREVER = 1e9


@dataclass(slots=True)
class Counters:
    """Plain integers; observers read them, nothing is paid on the path."""

    hits: int = 0
    misses: int = 0
    l1_hits: int = 0
    l2_hits: int = 0
    stale_served: int = 0
    factory_calls: int = 0
    factory_errors: int = 0
    expired: int = 0
    corrupt: int = 0
    unserializable: int = 0


@dataclass(slots=True)
class Job:
    """One key that is looked up or computed.

    Attributes:
        key: Which.
        options: How.
        kind: The declared type of the value, or None.
        stale: The expired entry that may stand in, or None.
        fence: The key's fence in L2 before the factory ran; None if it was not read.
        versions: The versions of the tags before the factory ran.
        flight_key: The name of the flight that works on it, if not the key itself.
        began: The number of changes of tags before it began, see ``Engine.changes``.
        since: The moment before anything was read; what was computed is as fresh as that.
        found: The tags of the value that L2 had.
    """

    key: str
    options: CacheOptions
    kind: Any = None
    stale: Entry | None = None
    fence: int | None = None
    versions: Mapping[str, int] | None = None
    flight_key: str = ""
    began: int = 0
    since: float | None = None
    found: Sequence[str] = ()

    @property
    def tags(self) -> list[str]:
        """The tags asked for, and that of every value."""
        return [ALL, *(self.options.tags or ())]


class Engine:
    """The state of one cache and its rules. Safe for threads; L2 is asked on the home loop."""

    def __init__(
        self,
        settings: Settings,
        local: LocalTier | None,
        shared: SharedLevel | None,
        codec: Codec,
        *,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        """Work on ``local`` and ``shared``; either may be None."""
        self.settings, self.local, self.shared, self.codec = settings, local, shared, codec
        self.clock, self._rng = clock, rng
        self.flights = Flights()
        self.count = Counters()
        self.epoch = 1
        self.versions: dict[str, TagVersion] = {}
        # how many invalidations were heard of, and which was the last one of each tag
        self.changes = 0
        self.changed: dict[str, int] = {}
        # tags whose bump is under way: our guess must not hide what others bumped meanwhile
        self._guessed: dict[str, int] = {}
        # tags that got a version of our own because the shared level did not answer
        self._unsure: set[str] = set()
        self._heard: dict[str, TagVersion] = {}

    # -- who flies with whom -----------------------------------------------------------------

    def board(self, job: Job) -> tuple[Flight, bool]:
        """Return the flight that ``job`` may share, and whether it leads it.

        A flight that began before one of its tags was invalidated is not joined any more.
        """
        job.began, job.since = self.changes, self.clock.monotonic()
        while True:
            flight, leads = self.flights.board(job.key, job)
            if leads or not (self.is_outdated(flight, job.began) or self._is_doubtful(flight)):
                return flight, leads
            self.flights.forget_flight(job.key, flight)

    def is_outdated(self, flight: Flight, until: int) -> bool:
        """Whether a tag of the flight was invalidated between its begin and change ``until``.

        Only the last change of a tag is known: where it came after ``until``, an earlier one may
        have come before, and the answer is yes.
        """
        job: Job | None = flight.job
        if job is None or until <= job.began:
            return False
        return any(self.changed.get(tag, 0) > job.began for tag in (*job.tags, *job.found))

    def _is_doubtful(self, flight: Flight) -> bool:
        """Whether messages may have been missed for longer than that may go unnoticed."""
        job: Job | None = flight.job
        if self.shared is None or job is None or job.since is None:
            return False
        now, patience = self.clock.monotonic(), self.settings.suspect_after
        return now - job.since >= patience and not self.shared.is_trusted(now, patience)

    def _note_change(self, tags: Sequence[str]) -> None:
        self.changes += 1
        for tag in tags:
            self.changed[tag] = self.changes

    def stand_in(self, job: Job, flight: "Future[Any]") -> Entry | None:
        """Return the stale entry of ``job``, unless it was invalidated while the factory ran."""
        entry = job.stale
        if entry is None or not self.flights.is_current(job.key, flight):
            return None
        return entry if self._may_stand_in(entry) else None

    # -- what may be served ------------------------------------------------------------------

    def fresh(self, key: str) -> Entry | None:
        """Return the entry of L1 that may be served without asking anybody; counts no hit."""
        entry = None if self.local is None else self.local.get(key)
        if entry is None:
            return None
        now = self.clock.monotonic()
        if now >= entry.expires or not self.is_current(entry) or not self._is_trusted(entry, now):
            return None
        return entry

    def is_current(self, entry: Entry) -> bool:
        """Whether no tag of ``entry`` was invalidated, as far as this process knows."""
        if entry.epoch == self.epoch:
            return True
        epoch = self.epoch
        for tag, version in entry.tags.items():
            known = self.versions.get(tag)
            if known is None or known.version != version:
                return False
        entry.epoch = epoch
        return True

    def _is_trusted(self, entry: Entry, now: float) -> bool:
        if self.shared is None:
            return True
        patience = self.settings.suspect_after
        return self.shared.is_trusted(now, patience) or now - entry.checked < patience

    def stale(self, key: str) -> Entry | None:
        """Return the entry of L1 that may stand in for a failing or slow factory."""
        entry = None if self.local is None else self.local.get(key)
        return entry if entry is not None and self._may_stand_in(entry) else None

    def _may_stand_in(self, entry: Entry) -> bool:
        if self.clock.monotonic() >= entry.stale_until:
            return False
        for tag, version in entry.tags.items():
            known = self.versions.get(tag)
            if known is None or version < known.hard:
                return False
        return True

    def value_of(self, entry: Entry) -> Any:
        """Return the value for a caller."""
        if entry.ttl:
            entry.expires = self.clock.monotonic() + entry.ttl
        return copy.deepcopy(entry.value) if entry.copy else entry.value

    # -- L2 ----------------------------------------------------------------------------------

    async def look_up(self, job: Job, flight: "Future[Any]") -> Entry | None:
        """Read L2: return a fresh entry (now in L1 too), else note stale, fence and versions."""
        job.since = self.clock.monotonic() if job.since is None else job.since
        if self.shared is None or job.options.skip_l2:
            job.versions = self.local_versions(job.tags)
            return None
        trusted = self.shared.is_trusted(self.clock.monotonic(), self.settings.suspect_after)
        asked = [tag for tag in job.tags if not trusted or self.is_unknown(tag)]
        found = await self.shared.read([job.key], asked)
        if found is None:
            job.versions = self.local_versions(job.tags)
            return None
        self.learn(found.versions)
        job.fence = found.fences.get(job.key)
        job.versions = self.local_versions(job.tags)
        entry = await self._from_bytes(job, found, trusted=trusted)
        if entry is None:
            return None
        if self.clock.monotonic() >= entry.expires or not self.is_current(entry):
            job.stale = job.stale or self._if_usable(entry)
            return None
        self._commit(job, entry, flight)
        return entry

    async def _from_bytes(self, job: Job, found: Read, *, trusted: bool) -> Entry | None:
        if (data := found.values.get(job.key)) is None or self.shared is None:
            return None
        loaded = self.codec.loads(data, job.kind)
        if loaded is None:
            self.count.corrupt += 1
            return None
        known = self.versions if trusted else found.versions
        if unknown := [
            tag for tag in loaded.header.tags if tag not in known or tag in self._unsure
        ]:
            more = await self.shared.read([], unknown)
            if more is None:
                return None
            self.learn(more.versions)
        job.found = list(loaded.header.tags)
        return self._entry_of(job, loaded)

    def _entry_of(self, job: Job, loaded: Loaded) -> Entry:
        now, header = self.clock.monotonic(), loaded.header
        # times in the envelope are of the wall clock; what is left of them counts here
        wall = self.clock.time()
        options = job.options
        return Entry(
            loaded.value,
            expires=now + min(header.expires - wall, self.settings.l1.ttl),
            stale_until=now + header.stale_until - wall,
            tags=header.tags,
            checked=now if job.since is None else job.since,
            refresh_at=self._refresh_at(now, header.expires - wall, options),
            copy=options.copy,
            size=loaded.size,
        )

    def _if_usable(self, entry: Entry) -> Entry | None:
        if self.clock.monotonic() >= entry.stale_until:
            return None
        hard = all(
            version >= self.versions[tag].hard
            for tag, version in entry.tags.items()
            if tag in self.versions
        )
        return entry if hard else None

    def learn(self, versions: Mapping[str, TagVersion]) -> None:
        """Take over tag versions that are newer than ours."""
        for tag, version in versions.items():
            if tag in self._guessed:
                self._heard[tag] = max(version, self._heard.get(tag, version))
            known = self.versions.get(tag)
            if known is None or tag in self._unsure or version.version > known.version:
                self._unsure.discard(tag)
                self.versions[tag] = version
                self.epoch += 1

    def is_unknown(self, tag: str) -> bool:
        """Whether the shared level must be asked for the version of ``tag``."""
        return tag not in self.versions or tag in self._unsure

    def local_versions(self, tags: Sequence[str]) -> dict[str, int]:
        """Return the versions of ``tags`` as this process knows them; unknown ones start now."""
        found: dict[str, int] = {}
        for tag in tags:
            if (known := self.versions.get(tag)) is None:
                seed = int(self.clock.time() * 1e6)
                known = self.versions.setdefault(tag, TagVersion(seed, seed))
                if self.shared is not None:
                    self._unsure.add(tag)
            found[tag] = known.version
        return found

    # -- storing -----------------------------------------------------------------------------

    async def store(self, job: Job, value: Any, flight: "Future[Any] | None") -> None:
        """Put a value into both tiers, unless its key was changed since ``flight`` began."""
        options = job.options
        life = self._life(value, options)
        entry = self._new_entry(value, life, job)
        if self.shared is not None and not options.skip_l2:
            data = self._to_bytes(job, value, life, entry, explicit=flight is None)
            if not await self._write(job, data, life, flight):
                return
        if flight is None:
            # again: who looked while L2 was written may have found the value before
            self.drop([job.key])
            self._keep(job, entry)
        elif not self._commit(job, entry, flight) and self.shared is not None:
            # changed here while L2 was written, perhaps by a pattern that it did not match yet
            await self.shared.delete([job.key])

    def _commit(self, job: Job, entry: Entry, flight: "Future[Any]") -> bool:
        name = job.flight_key or job.key
        return self.flights.commit(name, flight, lambda: self._keep(job, entry))

    async def _write(
        self, job: Job, data: bytes | None, life: float, flight: "Future[Any] | None"
    ) -> bool:
        """Write L2; return False where it says that the value is outdated already."""
        # a computed value without a fence must not go to L2: it may be old
        if self.shared is None or data is None or (flight is not None and job.fence is None):
            return True
        keep = life + (seconds(job.options.max_stale) or 0.0)
        fence = None if flight is None else job.fence
        done = await self.shared.write([Write(job.key, data, keep, fence)])
        return done is None or done[0]

    def _life(self, value: Any, options: CacheOptions) -> float:
        life = seconds(options.negative_ttl) if value is None else None
        life = life or seconds(options.ttl) or self.settings.l2.default_ttl
        return life * (1 - self._rng.random() * (options.jitter or 0.0))

    def _new_entry(self, value: Any, life: float, job: Job) -> Entry:
        now, options = self.clock.monotonic(), job.options
        local_only = self.shared is None or options.skip_l2
        served = life if local_only else min(life, self.settings.l1.ttl)
        return Entry(
            copy.deepcopy(value) if options.copy else value,
            expires=now + served,
            stale_until=now + life + (seconds(options.max_stale) or 0.0),
            tags=job.versions or self.local_versions(job.tags),
            # what a factory computed is as old as its beginning
            checked=now if job.since is None else job.since,
            refresh_at=self._refresh_at(now, life, options),
            ttl=served if options.sliding else 0.0,
            copy=options.copy,
            size=weigh(value),
        )

    def _refresh_at(self, now: float, life: float, options: CacheOptions) -> float:
        return now + life * options.eager_refresh if options.eager_refresh else float("inf")

    def _to_bytes(
        self, job: Job, value: Any, life: float, entry: Entry, *, explicit: bool
    ) -> bytes | None:
        wall = self.clock.time()
        keep = wall + life + (seconds(job.options.max_stale) or 0.0)
        header = Header(wall, wall + life, keep, dict(entry.tags))
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

    def _keep(self, job: Job, entry: Entry) -> None:
        if self.local is not None and not job.options.skip_l1:
            self.local.set(job.key, entry)

    def rearm(self, job: Job, entry: Entry, flight: "Future[Any]") -> None:
        """Let a stale entry stand in for a while, so that not every caller tries the factory."""
        entry.expires = min(self.clock.monotonic() + 1.0, entry.stale_until)
        entry.tags = self.local_versions(list(entry.tags))
        entry.checked = self.clock.monotonic()
        self._commit(job, entry, flight)

    # -- changes -----------------------------------------------------------------------------

    def drop(self, keys: Sequence[str]) -> None:
        """Forget keys in this process: running factories may no longer store them."""
        for key in keys:
            self.flights.forget(key)
            self.flights.forget(get_flight(key))
            if self.local is not None:
                self.local.delete(key)

    def outdate(self, tags: Sequence[str], *, soft: bool) -> None:
        """Invalidate tags in this process, at once."""
        self._note_change(tags)
        for tag in tags:
            if self.shared is not None:
                self._guessed[tag] = self._guessed.get(tag, 0) + 1
            old = self.versions.get(tag)
            self._unsure.discard(tag)
            version = max(int(self.clock.time() * 1e6), (old.version if old else 0) + 1)
            self.versions[tag] = TagVersion(version, old.hard if soft and old else version)
        self.epoch += 1

    def settle_versions(self, tags: Sequence[str], versions: Mapping[str, TagVersion]) -> None:
        """Take the shared level's versions in place of those that :meth:`outdate` guessed.

        ``versions`` is empty where the level did not answer: then the guesses stay.
        """
        for tag in tags:
            if (version := versions.get(tag)) is not None:
                # another process may have bumped it after us, and told us before we were answered
                self.versions[tag] = max(version, self._heard.get(tag, version))
            left = self._guessed.pop(tag, 1) - 1
            if left:
                self._guessed[tag] = left
            else:
                self._heard.pop(tag, None)
        self.epoch += 1

    def on_replayed(self, versions: Mapping[str, TagVersion]) -> None:
        """Take the versions that invalidations got which had waited for the shared level."""
        for tag, version in versions.items():
            if tag not in self._guessed:
                self.versions[tag] = version
        self.epoch += 1

    def on_message(self, message: Message) -> None:
        """Apply what another process changed."""
        if ALL in message.keys:
            self.on_gap()
            return
        self.drop(message.keys)
        self._note_change(list(message.tags))
        self.learn(message.tags)

    def on_gap(self) -> None:
        """Doubt everything that messages may have changed: L1 starts anew."""
        self.flights.forget_where(lambda _: True)
        self.versions.clear()
        self._unsure.clear()
        self.epoch += 1
        if self.local is not None:
            self.local.clear()

    def context(self, job: Job) -> CacheContext:
        """Return what the factory is given."""
        stale = MISSING if job.stale is None else self.value_of(job.stale)
        return CacheContext(
            job.key, seconds(job.options.ttl), list(job.options.tags or ()), stale=stale
        )


def get_flight(key: str) -> str:
    """Return the name under which plain ``get`` calls of ``key`` share a flight."""
    return f"\0{key}"


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
