"""Versions of tags in memcached, each an item; it may evict any of them, or lose all.

``LATEST`` is the highest version so far. A tag without item is begun at it, which makes a miss of
every value that carries an older one. All versions follow the clock, so that a server that was
emptied gives higher ones than before. Where a clock is behind, whoever knows better lifts them.
"""

from collections.abc import Callable, Mapping, Sequence

from ..._common.clock import Clock
from ...errors import BackendError
from ...ports import LATEST, TagVersion
from .connections import Held, Items, Put

_ATTEMPTS = 20


class Versions:
    """Reads and raises versions by a connection that its caller holds."""

    def __init__(self, name: Callable[[str], bytes], clock: Clock) -> None:
        """Keep them in items that ``name`` names."""
        self._name, self._clock = name, clock
        self._latest_name = name(LATEST)
        self.seen = 0
        """The highest version that the server has shown."""
        # versions below are of a server that was emptied and began behind what was seen before
        self._floor = 0

    def names(self, tags: Sequence[str]) -> list[bytes]:
        """Return which items tell of ``tags``."""
        return [self._latest_name, *map(self._name, tags)] if tags else []

    def _now(self) -> int:
        return int(self._clock.time() * 1e6)

    # -- reading -----------------------------------------------------------------------------

    async def of(
        self, held: Held, tags: Sequence[str], items: Items, seen: int
    ) -> dict[str, TagVersion]:
        """Return the versions of ``tags``, begun where they are lost.

        Args:
            held: The connection.
            tags: Which, ``LATEST`` perhaps among them.
            items: Those of :meth:`names`, and their tokens.
            seen: What :attr:`seen` was before they were asked for.
        """
        found, tokens = items
        if not tags:
            return {}
        latest = await self._latest(held, found.get(self._latest_name), seen)
        known = {tag: self._version(found.get(self._name(tag))) for tag in tags if tag != LATEST}
        if lost := [tag for tag, version in known.items() if version is None]:
            begun, latest = await self._begun(held, lost, tokens, latest)
            known |= begun
        known[LATEST] = TagVersion(latest, latest)
        return {tag: version for tag in tags if (version := known[tag]) is not None}

    async def _latest(self, held: Held, raw: bytes | None, seen: int) -> int:
        """Return the highest version so far, given the item that was found."""
        for _ in range(_ATTEMPTS):
            if raw is not None and (latest := _number(raw)) >= seen:
                self.seen = max(self.seen, latest)
                return latest
            if raw is not None:
                self._floor = max(self._floor, seen + 1)
            wanted = max(self._now(), seen + 1)
            found, tokens = await held.gets([self._latest_name])
            if (raw := found.get(self._latest_name)) is None or _number(raw) < seen:
                token = tokens.get(self._latest_name)
                await held.put([Put(self._latest_name, b"%d" % wanted, 0, token)])
                found, _ = await held.gets([self._latest_name])
                raw = found.get(self._latest_name)
        raise BackendError("memcached loses its versions all the time", retryable=True)

    def _version(self, raw: bytes | None) -> TagVersion | None:
        """Return what an item says; None where that is of no use."""
        if raw is None:
            return None
        version, _, hard = raw.partition(b":")
        found = TagVersion(_number(version), _number(hard))
        return None if found.version < self._floor else found

    async def _begun(
        self, held: Held, tags: Sequence[str], tokens: Mapping[bytes, int], latest: int
    ) -> tuple[dict[str, TagVersion], int]:
        """Begin tags at the highest version; return theirs, and the highest.

        It is looked at again afterwards: the server may have been emptied meanwhile, and what was
        begun would be of before.
        """
        names, left = self.names(tags), [self._name(tag) for tag in tags]
        for _ in range(_ATTEMPTS):
            text = _text(TagVersion(latest, latest))
            await held.put([Put(name, text, 0, tokens.get(name)) for name in left])
            found, tokens = await held.gets(names)
            now = await self._latest(held, found.get(self._latest_name), latest)
            known = {tag: self._version(found.get(self._name(tag))) for tag in tags}
            there = {tag: version for tag, version in known.items() if version is not None}
            if now == latest and len(there) == len(tags):
                return there, latest
            left = [
                name
                for tag, name in zip(tags, names[1:], strict=True)
                if known[tag] is None or found[name] == text
            ]
            latest = now
        raise BackendError("memcached: tags change all the time", retryable=True)

    # -- raising -----------------------------------------------------------------------------

    async def bump(self, held: Held, tags: Sequence[str], *, soft: bool) -> dict[str, TagVersion]:
        """Give each tag a higher version than any before."""
        first = await self.reserve(held, len(tags))
        wanted = {tag: first + at for at, tag in enumerate(tags)}
        return await self.lift(held, wanted, soft=soft)

    async def reserve(self, held: Held, count: int) -> int:
        """Return the first of ``count`` versions that nobody else gets."""
        for _ in range(_ATTEMPTS):
            seen = self.seen
            found, tokens = await held.gets([self._latest_name])
            latest = await self._latest(held, found.get(self._latest_name), seen)
            top = max(self._now(), latest + count)
            # no token is 0: what was begun only now is counted on from
            put = Put(self._latest_name, b"%d" % top, 0, tokens.get(self._latest_name, 0))
            if not (await held.put([put]))[0]:
                # somebody else raised it, also to the clock: from there it is counted on
                counted = await held.add_to(self._latest_name, count)
                if counted is None:
                    continue
                top = counted
            self.seen = max(self.seen, top)
            return top - count + 1
        raise BackendError("memcached loses its versions all the time", retryable=True)

    async def lift(
        self, held: Held, wanted: Mapping[str, int], *, soft: bool
    ) -> dict[str, TagVersion]:
        """Raise tags to versions that were reserved for them, unless others raised them higher."""
        made: dict[str, TagVersion] = {}
        left = list(wanted)
        for _ in range(_ATTEMPTS):
            names = {tag: self._name(tag) for tag in left}
            found, tokens = await held.gets(list(names.values()))
            puts: list[Put] = []
            for tag, name in names.items():
                version = wanted[tag]
                # what was lost may have been invalidated for good
                old = self._version(found.get(name)) or TagVersion(version - 1, version - 1)
                hard = old.hard if soft else max(old.hard, version)
                made[tag] = TagVersion(max(old.version, version), hard)
                puts.append(Put(name, _text(made[tag]), 0, tokens.get(name)))
            done = await held.put(puts)
            left = [tag for tag, stored in zip(left, done, strict=True) if not stored]
            if not left:
                return made
        raise BackendError("memcached: a tag changes all the time", retryable=True)


def _text(version: TagVersion) -> bytes:
    return b"%d:%d" % version


def _number(raw: bytes) -> int:
    # memcached pads a number that became shorter
    if not (text := raw.strip()).isdigit():
        raise BackendError("memcached: an item is no version of ours")
    return int(text)
