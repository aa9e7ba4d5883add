"""What this process knows of the versions of tags, and when it came to know it.

A value is valid while its tags have the versions that it carries. Invalidating is therefore one
higher number, however many values there are. All of L1 is checked by one comparison on a hit: the
epoch grows with everything that is learnt, and an entry remembers the one at which it was valid.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from .._common.clock import Clock
from ..ports import LATEST, Entry, TagVersion
from .jobs import Live

_FEW = 20_000
_LATE = 10.0
"""Seconds after which nothing arrives any more that was sent before a bump of ours."""


class KnownTags:
    """Versions of tags. Numbers only grow; a tag that was forgotten counts as unknown."""

    def __init__(self, clock: Clock, live: Live, *, shared: bool) -> None:
        """Know nothing; ``shared``: the shared level decides about versions."""
        self._clock, self._live, self._shared = clock, live, shared
        live.epoch += 1
        self.versions: dict[str, TagVersion] = {}
        # how many invalidations were heard of, and which was the last one of each tag
        self.changes = 0
        self._changed: dict[str, int] = {}
        # the epoch at which the version of a tag was learnt
        self._learnt: dict[str, int] = {}
        # tags whose bump is under way: our guess must not hide what others bumped meanwhile
        self._guessed: dict[str, int] = {}
        self._heard: dict[str, TagVersion] = {}
        # what the level had told of such tags: what is higher than that is news, whatever we guess
        self._told: dict[str, int] = {}
        # tags whose bump waits for the shared level: no version that it has told is ours
        self.waiting: set[str] = set()
        # tags of which bumps may have been missed while one of ours was under way
        self._missed: set[str] = set()
        # the versions that our bumps got, and until when older news of them may arrive
        self._own: dict[str, tuple[int, float]] = {}
        # up to which number a tag had versions of this process alone, above those of the level
        self._void: dict[str, int] = {}
        # how often was forgotten what was known: what was asked before may be older than that
        self.doubts = 0
        # tags that got a version of our own because the shared level did not answer
        self.unsure: set[str] = set()
        self._limit = _FEW

    @property
    def epoch(self) -> int:
        """How much was learnt so far; an entry that was valid at this epoch still is."""
        return self._live.epoch

    def _turn(self) -> None:
        self._live.epoch += 1

    # -- questions ---------------------------------------------------------------------------

    def is_current(self, entry: Entry) -> bool:
        """Whether no tag of ``entry`` was invalidated, as far as this process knows."""
        if entry.epoch == self.epoch:
            return True
        epoch = self.epoch
        if not self.have(entry.tags):
            return False
        entry.epoch = epoch
        return True

    def have(self, tags: Mapping[str, int]) -> bool:
        """Whether ``tags`` have these versions, as far as this process knows."""
        for tag, version in tags.items():
            known = self.versions.get(tag)
            if known is None or known.version != version:
                return False
        return True

    def allow_stale(self, entry: Entry) -> bool:
        """Whether no tag of ``entry`` was invalidated for good: it may still stand in."""
        known = self.versions
        return all(tag in known for tag in entry.tags) and not self.is_dead(entry)

    def is_dead(self, entry: Entry) -> bool:
        """Whether a tag of ``entry`` was invalidated for good, for all we know."""
        for tag, version in entry.tags.items():
            known = self.versions.get(tag)
            if known is None or version == known.version:
                continue
            if version < known.hard or version <= self._void.get(tag, 0):
                return True
        return False

    def is_unknown(self, tag: str) -> bool:
        """Whether the shared level must be asked for the version of ``tag``."""
        return tag not in self.versions or tag in self.unsure

    def are_made_up(self, tags: Iterable[str]) -> bool:
        """Whether versions of ``tags`` are guesses, for want of an answer of the shared level."""
        if not (self._guessed or self.waiting or self.unsure):
            return False
        return any(tag in self.unsure or self._bumps(tag) for tag in tags)

    def changed_since(self, tags: Iterable[str], began: int) -> bool:
        """Whether an invalidation of ``tags`` was heard of after the first ``began`` changes."""
        return any(self._changed.get(tag, 0) > began for tag in tags)

    def stood_still(self, tags: Iterable[str], *, latest: int | None, epoch: int) -> bool:
        """Whether ``tags`` have the versions that they had when a job began.

        The shared level gives every bump a higher number than any before. A tag whose version is
        at most ``latest``, the highest of then, was not bumped since. If ``latest`` is None, only
        what was known before ``epoch`` is known to be unchanged; what nobody told us still will
        be when the shared level answers.
        """
        if not self._shared:
            return True
        if latest is None:
            return all(self._learnt.get(tag, 0) <= epoch for tag in tags)
        return all(self.versions[tag].version <= latest for tag in tags if tag in self.versions)

    def current(self, tags: Iterable[str]) -> dict[str, int]:
        """Return the versions of ``tags`` as this process knows them; unknown ones start now."""
        found: dict[str, int] = {}
        for tag in tags:
            if (known := self.versions.get(tag)) is None:
                # just before now: what others bump at this moment is another version
                seed = int(self._clock.time() * 1e6) - 1
                known = self.versions.setdefault(tag, TagVersion(seed, seed))
                if self._shared:
                    self.unsure.add(tag)
            found[tag] = known.version
        return found

    # -- news --------------------------------------------------------------------------------

    def learn(self, versions: Mapping[str, TagVersion]) -> None:
        """Take over what the shared level or another process says, where it is newer."""
        for tag, version in versions.items():
            if tag == LATEST or self._is_late(tag, version):
                continue
            if tag in self._guessed:
                self._heard[tag] = max(version, self._heard.get(tag, version))
            known = self.versions.get(tag)
            if (
                self._is_news(tag, version)
                or known is None
                or tag in self.unsure
                or version.version > known.version
            ):
                self.versions[tag] = self._heeded(tag, version)
                self.unsure.discard(tag)
                self._turn()
                self._learnt[tag] = self.epoch

    def _is_news(self, tag: str, version: TagVersion) -> bool:
        """Whether others bumped a tag whose bump of ours is under way, perhaps below our guess."""
        if not self._bumps(tag) or version.version <= self._told.get(tag, 0):
            return False
        self._told[tag] = version.version
        return True

    def _is_late(self, tag: str, version: TagVersion) -> bool:
        """Whether ``version`` was told before a bump of ours was made, for all we forgot since."""
        number, until = self._own.get(tag, (0, 0.0))
        return version.version < number and self._clock.monotonic() < until

    def note_change(self, tags: Sequence[str]) -> None:
        """Remember that ``tags`` were invalidated now, here or elsewhere."""
        self.changes += 1
        for tag in tags:
            self._changed[tag] = self.changes

    def outdate(self, tags: Sequence[str], *, soft: bool) -> None:
        """Invalidate tags in this process, at once, by a guess at their new versions."""
        self.note_change(tags)
        for tag in tags:
            old = self.versions.get(tag)
            if not self._bumps(tag):
                self._told[tag] = 0 if old is None or tag in self.unsure else old.version
            if self._shared:
                self._guessed[tag] = self._guessed.get(tag, 0) + 1
            self.unsure.discard(tag)
            version = max(int(self._clock.time() * 1e6), (old.version if old else 0) + 1)
            self.versions[tag] = TagVersion(version, old.hard if soft and old else version)
        self._turn()

    def settle(self, tags: Sequence[str], versions: Mapping[str, TagVersion]) -> None:
        """Take the shared level's versions in place of those that :meth:`outdate` guessed.

        ``versions`` is empty where the level did not answer: then the guesses stay.
        """
        for tag in tags:
            if left := self._guessed.pop(tag, 1) - 1:
                self._guessed[tag] = left
            if (version := versions.get(tag)) is None:
                self.waiting.add(tag)
            else:
                self._made(tag, version)
            if not left:
                self._heard.pop(tag, None)
        self._turn()

    def _made(self, tag: str, version: TagVersion) -> None:
        """Take the version that a bump of ours got."""
        self._own[tag] = version.version, self._clock.monotonic() + _LATE
        if tag in self._missed and not self._bumps(tag):
            # others may have bumped it after us: the shared level is asked
            self._missed.discard(tag)
            self._put_up_with(tag, version)
            self.versions.pop(tag, None)
            return
        # another process may have bumped it after us, and told us before we were answered
        newest = self._heeded(tag, max(version, self._heard.get(tag, version)))
        self._put_up_with(tag, newest)
        self.versions[tag] = newest
        self._learnt[tag] = self.epoch + 1

    def _put_up_with(self, tag: str, version: TagVersion) -> None:
        """Note that ``version`` takes the place of a higher one that we made up.

        The level's clock is behind ours: its later versions do not tell what carries ours from
        what came after it.
        """
        if (known := self.versions.get(tag)) is not None and known.version > version.version:
            self._void[tag] = known.version

    def _heeded(self, tag: str, version: TagVersion) -> TagVersion:
        """Return what ``version`` of the shared level means while other bumps are under way.

        Values that carry it are older than those bumps, whose versions the level has yet to give:
        ours stays above it, and what was invalidated for good stays so.
        """
        known = self.versions.get(tag)
        if known is None or tag in self.unsure or not self._bumps(tag):
            return version
        # above every number that values may carry which were computed before
        number = max(known.version, version.version) + 1
        is_hard = known.hard == known.version or version.hard == version.version
        return TagVersion(number, number if is_hard else max(known.hard, version.hard))

    def _bumps(self, tag: str) -> bool:
        return tag in self.waiting or tag in self._guessed

    def on_replayed(self, versions: Mapping[str, TagVersion], still: AbstractSet[str]) -> None:
        """Take the versions that bumps got which had waited; those of ``still`` wait anew."""
        self.waiting -= versions.keys() - still
        for tag, version in versions.items():
            self._made(tag, version)
        if not still:
            # they were too many, and all was invalidated in their place
            for tag in self.waiting:
                self.versions.pop(tag, None)
            self.waiting.clear()
        self._turn()

    # -- forgetting --------------------------------------------------------------------------

    def forget(self) -> None:
        """Doubt everything: messages may have been missed. What we bump ourselves still holds."""
        self.doubts += 1
        self._told.clear()
        bumped = {*self.waiting, *self._guessed}
        self._missed |= bumped
        self.versions = {tag: self.versions[tag] for tag in bumped & self.versions.keys()}
        self.unsure.clear()
        self._turn()

    @property
    def are_many(self) -> bool:
        """Whether so many tags are known that those without values should be forgotten."""
        counts = (len(self.versions), len(self._changed), len(self._learnt), len(self._own))
        return max(*counts, len(self._void)) > self._limit

    def forget_unused(self, used: Collection[str], changes: int) -> None:
        """Forget all tags but ``used``, and all changes but those after the first ``changes``.

        Numbers are dropped one by one: another thread may be adding some.
        """
        self.doubts += 1
        now = self._clock.monotonic()
        for tag in [tag for tag, (_, until) in list(self._own.items()) if until <= now]:
            self._own.pop(tag, None)
        keep = {*used, *self._guessed, *self.waiting}
        for tag in [tag for tag in list(self.versions) if tag not in keep]:
            self.versions.pop(tag, None)
            self.unsure.discard(tag)
        for names in (self._learnt, self._void, self._told):
            for tag in [tag for tag in list(names) if tag not in keep]:
                names.pop(tag, None)
        for tag in [tag for tag, last in list(self._changed.items()) if last <= changes]:
            self._changed.pop(tag, None)
        self._turn()
        self._limit = max(_FEW, 2 * len(keep), 2 * len(self._own))
