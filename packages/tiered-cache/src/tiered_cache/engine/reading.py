"""Two-level reading: what L2 has of a key, and whether a stale value may stand in (fail-safe)."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from ..codec import Loaded
from ..keys import stored_key
from ..models import CacheOptions
from ..ports import ALL, LATEST, Entry, Read, TagVersion
from ..resilience import SharedLevel
from .base import TRIES
from .jobs import Job
from .storing import Storing, refresh_at

_LOOK = CacheOptions()
_AT_ONCE = 1000
"""Keys of one read: its time limit is for so many."""


class Reading(Storing):
    """Asks L2. What it says of fences and versions is noted before a factory runs."""

    async def look_up(self, job: Job, flight: "Future[Any]") -> Entry | None:
        """Read L2: return a fresh entry (now in L1 too), else note stale, fence and versions.

        It is read again where a gap in the messages made what was read meanwhile doubtful.
        """
        entry = None
        for _ in range(TRIES):
            doubts = self.tags.doubts
            entry = await self._looked_up(job, flight)
            if entry is not None or doubts == self.tags.doubts:
                break
        return entry

    async def _looked_up(self, job: Job, flight: "Future[Any]") -> Entry | None:
        job.asked = self.clock.monotonic()
        job.since = job.asked if job.since is None else job.since
        trusted = self.trusts_messages()
        found = await self.note_state(job, trusted=trusted)
        self._doubt_stale(job, found)
        if found is None or (data := found.values.get(job.key)) is None:
            return None
        loaded = await self._from_bytes(job, data, self._known(found, trusted=trusted))
        return None if loaded is None else self._taken(job, loaded, flight)

    def _known(self, found: Read, *, trusted: bool) -> Mapping[str, TagVersion]:
        return self.tags.versions if trusted else found.versions

    def _taken(self, job: Job, loaded: Loaded, flight: "Future[Any]") -> Entry | None:
        """Return what L2 had as a fresh entry (now in L1 too), else note it as stale."""
        now = self.clock.monotonic()
        entry = self._entry_of(job, loaded, now)
        if now < entry.expires and self.tags.is_current(entry):
            if self.local is not None:
                self.commit(job, entry, flight)
            return entry
        if job.stale is None and self.is_usable(entry):
            job.stale = entry
        return None

    async def look_up_value(self, key: str, kind: Any, lookup: Any) -> Entry | None:
        """Do what :meth:`look_up` does for a plain ``get``, which most often asks for no tags."""
        job = Job(key, _LOOK, kind, is_lookup=True)
        shared, doubts = self.shared, self.tags.doubts
        if shared is None or not self._needs_no_tags():
            return await self.look_up(job, lookup)
        # what messages told is as of the last sign of life, not of now
        job.since = min(self.clock.monotonic(), shared.last_alive)
        found = await shared.look(name := stored_key(key))
        if doubts != self.tags.doubts:  # see ask()
            return await self.look_up(job, lookup)
        if found is None or (data := found.values.get(name)) is None:
            return None
        entry = await self._sifted(job, data, lookup)
        if entry is None and doubts != self.tags.doubts:
            return await self.look_up(job, lookup)
        return entry

    def _needs_no_tags(self) -> bool:
        """Whether what messages told of tags will do for a value that L2 has."""
        return self._hears(self.clock.monotonic()) and not self.tags.is_unknown(ALL)

    async def _sifted(self, job: Job, data: bytes, lookup: Any) -> Entry | None:
        loaded = await self._from_bytes(job, data, self.tags.versions)
        return None if loaded is None else self._taken(job, loaded, lookup)

    async def value_in_l2(self, key: str, kind: Any, default: Any) -> Any:
        """Return what L2 has of ``key``, or ``default``, where there is no L1 that would keep it.

        Nothing is made for the value of a plain ``get`` that is fresh but the value itself.
        """
        shared, doubts = self.shared, self.tags.doubts
        if shared is None or not self._needs_no_tags():
            return self.given(await self.look_up_value(key, kind, None), default)
        found = await shared.look(name := stored_key(key))
        if doubts != self.tags.doubts:  # see ask()
            return self.given(await self.look_up_value(key, kind, None), default)
        if found is None or (data := found.values.get(name)) is None:
            return self.given(None, default)
        loaded = self.codec.loads(data, kind)
        if loaded is None or not self._is_plainly_fresh(loaded):
            job = Job(key, _LOOK, kind, is_lookup=True)
            return self.given(await self._sifted(job, data, None), default)
        self.count.l2_hits += 1
        return loaded.value

    def _is_plainly_fresh(self, loaded: Loaded) -> bool:
        """Whether nothing needs to be asked to say that a value is fresh: almost always."""
        header, tags = loaded.header, self.tags
        if tags.unsure or self.clock.time() >= header.expires or ALL not in header.tags:
            return False
        return tags.have(header.tags)

    def given(self, entry: Entry | None, default: Any) -> Any:
        """Return the value of what a plain ``get`` found in L2, or ``default``; counts it."""
        if entry is None:
            self.count.misses += 1
            return default
        self.count.l2_hits += 1
        return self.value_of(entry)

    async def look_up_values(self, lookups: Mapping[str, Any], kind: Any) -> dict[str, Entry]:
        """Do what :meth:`look_up_value` does for several keys, by one read."""
        entries: dict[str, Entry] = {}
        if self.shared is not None:
            keys = list(lookups)
            for start in range(0, len(keys), _AT_ONCE):
                jobs = [Job(key, _LOOK, kind, is_lookup=True) for key in keys[start:][:_AT_ONCE]]
                entries |= await self._look_up_jobs(self.shared, jobs, lookups)
        return entries

    async def _look_up_jobs(
        self, shared: SharedLevel, jobs: Sequence[Job], lookups: Mapping[str, Any]
    ) -> dict[str, Entry]:
        doubts, since = self.tags.doubts, min(self.clock.monotonic(), shared.last_alive)
        found = None
        if asks_no_tags := self._needs_no_tags():
            found = await shared.read([job.key for job in jobs], (), fences=False)
        if not asks_no_tags or doubts != self.tags.doubts:
            shared.gather_reads()
            each = await asyncio.gather(*(self.look_up(job, lookups[job.key]) for job in jobs))
            pairs = zip(jobs, each, strict=True)
            return {job.key: entry for job, entry in pairs if entry is not None}
        loaded: list[tuple[Job, Loaded]] = []
        values = {} if found is None else found.values
        for job in jobs:
            job.since, data = since, values.get(job.key)
            if data is not None and (value := self._loaded(job, data)) is not None:
                loaded.append((job, value))
        loaded = await self._with_known_tags(loaded)
        taken = ((job.key, self._taken(job, value, lookups[job.key])) for job, value in loaded)
        return {key: entry for key, entry in taken if entry is not None}

    async def _with_known_tags(self, loaded: list[tuple[Job, Loaded]]) -> list[tuple[Job, Loaded]]:
        """Ask for the versions that are not known; leave out whose tags stay unknown."""
        unknown = {tag for _, each in loaded for tag in self._unknown(each, self.tags.versions)}
        if unknown and await self.ask([], lambda: list(unknown)) is None:
            return [pair for pair in loaded if unknown.isdisjoint(pair[1].header.tags)]
        return loaded

    def look_up_nothing(self, job: Job) -> None:
        """Do what :meth:`look_up` does where L2 cannot be asked."""
        job.versions = self.tags.current(job.tags)
        self._doubt_stale(job, None)

    def _doubt_stale(self, job: Job, found: Read | None) -> None:
        """Forget the stale value of ``job`` if others may have deleted it, for all we hear."""
        if job.stale is None or self.is_trusted(job.stale, self.clock.monotonic()):
            return
        if not self._may_guess(job, found):
            job.stale = None

    async def note_state(self, job: Job, *, trusted: bool) -> Read | None:
        """Note fence and versions before the factory runs; return what L2 has, if it answers."""
        found = None
        if trusted and self.shared is not None and job.since is not None:
            # versions that messages told are as of the last sign of life, not of now
            job.since = min(job.since, self.shared.last_alive)
        if self.shared is not None and self.uses_l2(job):
            # a plain get computes nothing: it needs no bound for tags that are named later
            bound = () if job.is_lookup else (LATEST,)

            def asked() -> list[str]:
                unknown = (tag for tag in job.tags if not trusted or self.tags.is_unknown(tag))
                return [*unknown, *bound]

            begun = self.clock.monotonic()
            found = await self.ask([job.key], asked, fences=not job.is_lookup)
            job.waited += self.clock.monotonic() - begun
        if found is not None:
            job.fence = found.fences.get(job.key)
            latest = found.versions.get(LATEST)
            job.latest = None if latest is None else latest.version
        job.versions = self.tags.current(job.tags)
        self.keep_to_ourselves(job, job.tags)
        return found

    async def _from_bytes(
        self, job: Job, data: bytes, known: Mapping[str, TagVersion]
    ) -> Loaded | None:
        """Return what an envelope holds, having asked for tags whose version is not known."""
        if (loaded := self._loaded(job, data)) is None:
            return None
        unknown = self._unknown(loaded, known)
        if not unknown:
            return loaded
        found = await self.in_time(job, self.ask([], lambda: unknown), "cache-ask")
        return None if found is None else loaded

    def _loaded(self, job: Job, data: bytes) -> Loaded | None:
        loaded = self.codec.loads(data, job.kind)
        if loaded is None or ALL not in loaded.header.tags:
            self.count.corrupt += 1
            return None
        job.found = loaded.header.tags
        return loaded

    def _unknown(self, loaded: Loaded, known: Mapping[str, TagVersion]) -> Sequence[str]:
        tags, unsure = loaded.header.tags, self.tags.unsure
        if not unsure and tags.keys() <= known.keys():
            return ()
        return [tag for tag in tags if tag not in known or tag in unsure]

    def _entry_of(self, job: Job, loaded: Loaded, now: float) -> Entry:
        header, options = loaded.header, job.options
        # times in the envelope are of the wall clock; what is left of them counts here
        wall = self.clock.time()
        left = header.expires - wall
        return Entry(
            loaded.value,
            expires=now + min(left, self.settings.l1.ttl),
            stale_until=now + header.stale_until - wall,
            tags=header.tags,
            checked=now if job.since is None else job.since,
            refresh_at=refresh_at(now, left, options),
            copy=options.copy or header.copy,
            size=loaded.size,
        )

    # -- fail-safe ---------------------------------------------------------------------------

    async def stand_in(self, job: Job, flight: "Future[Any]") -> Entry | None:
        """Return what may stand in for the factory of ``job``, or None.

        Nothing does that was invalidated for good or deleted while the factory ran; in a process
        that hears nothing of the others, L2 is asked for that.
        """
        entry = job.stale
        if entry is not None and not self.is_trusted(entry, self.clock.monotonic()):
            entry = await self._confirmed(job, entry)
        return self._still_usable(job, flight, entry)

    def stand_in_at_once(self, job: Job, flight: "Future[Any]") -> Entry | None:
        """Do what :meth:`stand_in` does where L2 cannot be asked."""
        self._doubt_stale(job, None)
        return self._still_usable(job, flight, job.stale)

    def _still_usable(self, job: Job, flight: "Future[Any]", entry: Entry | None) -> Entry | None:
        if entry is None or not self.flights_of(job).is_current(job.key, flight):
            return None
        return entry if self.is_usable(entry) else None

    async def _confirmed(self, job: Job, entry: Entry) -> Entry | None:
        """Return what L2 still has of a stale entry that others may have deleted."""
        asked = self.ask([job.key], lambda: list(entry.tags))
        found = await self.in_time(job, asked, "cache-ask")
        if found is None:
            return entry if self._may_guess(job, None) else None
        if (data := found.values.get(job.key)) is None:
            return None
        loaded = await self._from_bytes(job, data, self._known(found, trusted=False))
        return None if loaded is None else self._entry_of(job, loaded, self.clock.monotonic())

    @staticmethod
    def _may_guess(job: Job, found: Read | None) -> bool:
        """Whether a stale value may stand in although nobody says that it was not deleted.

        With L2 and backplane away, it was not deleted by a process that shares our fate, and
        fail-safe (``max_stale``) is for such times. If L2 answers, its word counts.
        """
        return found is None and bool(job.options.max_stale)
