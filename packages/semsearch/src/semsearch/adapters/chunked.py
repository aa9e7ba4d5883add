"""Parts of long documents beside them, in any store: found as their documents, never as themselves.

A part is a record of its own in the store below, with an id that no document can have, the metadata
of its document (so that filters pass both or none) and one name more, by which counts and facets
leave it out. Which parts there are is learnt by following the changes, as the words are.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from ..filters import Filter
from ..models import Facet
from ..ports import (
    Capabilities,
    Changes,
    Nearest,
    Position,
    Scored,
    Span,
    Stored,
    Vector,
    VectorStore,
)
from ..text.apart import apart
from .best import cosines
from .parts import MARK, OF, Found, Parts, Read, part_id, records_of, split

_WHOLE = Filter("$exists", name=OF, value=False)
_RECORD = 25
"""How long one record takes, in characters of a text; and one vector."""
_READ = 1000
"""Records that are asked for at a time: stores in memory give them at once."""


class ChunkedStore(VectorStore):
    """A store whose documents may have parts.

    A document with parts has the mean of its own cosine and of its best part's. Which documents are
    nearest is exact where the store below is.
    """

    def __init__(self, inner: VectorStore) -> None:
        """Keep documents and parts in ``inner``."""
        self.inner = inner
        self.capabilities: Capabilities = inner.capabilities  # type: ignore[misc]  # those of the store below
        self._parts: Parts = {}
        self._turn = asyncio.Lock()
        self._changed: set[str] = set()

    async def open(self, model_id: str, dimension: int, *, create: bool) -> None:
        await self.inner.open(model_id, dimension, create=create)

    async def refresh(self, since: Position = None) -> Changes:
        async with self._turn:
            while True:
                self._changed.clear()
                changes = await self.inner.refresh(since)
                if not (changes.reset or changes.upserted or changes.deleted):
                    return changes
                work = partial(split, changes.upserted, changes.deleted)
                read = await apart(work, _RECORD * len(changes.upserted))
                # what was written here since is newer than what was read
                if changes.reset or not self._changed & read.names():
                    break
            self._take_over(read, reset=changes.reset)
            return replace(changes, upserted=read.documents, deleted=read.deleted)

    def _take_over(self, read: "Read", *, reset: bool) -> None:
        if reset:
            newer = {name: self._parts[name] for name in self._changed & self._parts.keys()}
            older = {n: each for n, each in read.parts.items() if n not in self._changed}
            self._parts = {**older, **newer}
            return
        for name, some in read.parts.items():
            self._parts.setdefault(name, {}).update(some)
        for name, number in read.gone:
            self._forget(name, number)

    def _forget(self, name: str, number: int) -> None:
        parts = self._parts.get(name, {})
        parts.pop(number, None)
        if not parts:
            self._parts.pop(name, None)

    def spans(self, document_id: str) -> Sequence[Span]:
        parts = self._parts.get(document_id, {})
        return tuple(parts[number] for number in sorted(parts))

    async def upsert(self, documents: Sequence[Stored]) -> None:
        last = {each.id: each for each in documents}
        kept = [
            part_id(name, number)
            for name, each in last.items()
            if each.chunks is None
            for number in self._parts.get(name, ())
        ]
        there = await self.inner.get(kept) if kept else {}
        before = {name: self._parts.get(name, {}) for name in last}

        def work() -> tuple[list[Stored], Parts]:
            own = {name: records_of(each, there, before[name]) for name, each in last.items()}
            records: list[Stored] = []
            for name, each in last.items():
                records += [replace(each, chunks=()), *(record for _, record in own[name])]
            return records, {n: {k: s for k, (s, _) in enumerate(some)} for n, some in own.items()}

        count = sum(len(each.chunks or before[name]) for name, each in last.items())
        records, made = await apart(work, _RECORD * count)
        await self.inner.upsert(records)
        old = [
            part_id(name, number)
            for name, parts in made.items()
            for number in self._parts.get(name, ())
            if number not in parts
        ]
        for name, parts in made.items():
            # those that are to go are known until they are gone
            merged = {**self._parts.get(name, {}), **parts}
            if merged:
                self._parts[name] = merged
        self._changed.update(made)
        if old:
            await self.inner.delete(old)
            for each_id in old:
                name, _, number = each_id.partition(MARK)
                self._forget(name, int(number))

    async def delete(self, ids: Sequence[str]) -> Sequence[str]:
        parts = [part_id(name, number) for name in ids for number in self._parts.get(name, ())]
        gone = await self.inner.delete([*ids, *parts])
        for name in ids:
            self._parts.pop(name, None)
        self._changed.update(ids)
        return [each for each in gone if MARK not in each]

    async def get(self, ids: Sequence[str]) -> Mapping[str, Stored]:
        return await self.inner.get([each for each in ids if MARK not in each])

    async def vectors(self, ids: Sequence[str]) -> Mapping[str, Vector]:
        return await self.inner.vectors([each for each in ids if MARK not in each])

    async def search(self, vector: Vector, limit: int, filter: Filter | None) -> Sequence[Scored]:
        return (await self.nearest(vector, limit, filter)).hits

    async def nearest(self, vector: Vector, limit: int, filter: Filter | None) -> Nearest:
        if not self._parts or limit < 1:
            hits = await self.inner.search(vector, limit, filter)
            return Nearest([hit for hit in hits if MARK not in hit[0]])
        asked = 2 * limit + 10
        while True:
            hits = await self.inner.search(vector, asked, filter)
            # what is not among the hits is not nearer than the last one
            bound = hits[-1][1] if len(hits) >= asked else -1.0
            whole = len(hits) < asked
            found = self._grouped(hits)
            await self._completed(found, vector, limit, bound)
            best = sorted(
                (each for each in found.values() if each.is_known),
                key=lambda each: (-each.score, each.name),
            )[:limit]
            if whole or (len(best) == limit and best[-1].score > bound):
                return Nearest(
                    [(each.name, each.score) for each in best],
                    {each.name: each.span for each in best if each.span is not None},
                )
            asked *= 2

    def _grouped(self, hits: Sequence[Scored]) -> dict[str, "Found"]:
        found: dict[str, Found] = {}
        for hit, cosine in hits:
            name, mark, number = hit.partition(MARK)
            parts = self._parts.get(name, {})
            if mark and int(number) not in parts:
                continue  # on its way out
            each = found.setdefault(name, Found(name, parts))
            if not mark:
                each.own = cosine
            elif each.best is None:
                each.best, each.span = cosine, parts[int(number)]
        return found

    async def _completed(
        self, found: Mapping[str, "Found"], vector: Vector, limit: int, bound: float
    ) -> None:
        """Read the vectors of those that may be among the best and are known by half."""
        certain = sorted((each.least() for each in found.values()), reverse=True)
        worst = certain[limit - 1] if len(certain) >= limit else -1.0
        half = [each for each in found.values() if not each.is_known and each.most(bound) >= worst]
        names = [name for each in half for name in each.missing()]
        there: dict[str, Vector] = {}
        for start in range(0, len(names), _READ):
            there |= await self.inner.vectors(names[start : start + _READ])
            if start:
                await asyncio.sleep(0)

        def work() -> None:
            rows = list(there.values())
            near = cosines(np.stack(rows), vector).tolist() if rows else []
            known = dict(zip(there, near, strict=True))
            for each in half:
                each.complete(known)

        await apart(work, _RECORD * len(names))

    async def select(self, filter: Filter | None, limit: int | None = None) -> Sequence[str]:
        return await self.inner.select(_WHOLE.both(filter), limit)

    async def facets(self, names: Sequence[str], filter: Filter | None) -> Mapping[str, Facet]:
        return await self.inner.facets(names, _WHOLE.both(filter))

    async def count(self, filter: Filter | None) -> int:
        return await self.inner.count(_WHOLE.both(filter))

    async def settle(self) -> None:
        await self.inner.settle()

    def place_for_words(self) -> str | None:
        return self.inner.place_for_words()

    def beside(self) -> "ChunkedStore":
        return ChunkedStore(self.inner.beside())

    async def supersede(self, other: VectorStore, since: Position) -> bool:
        below = other.inner if isinstance(other, ChunkedStore) else other
        return await self.inner.supersede(below, since)

    async def aclose(self) -> None:
        await self.inner.aclose()

    def detach(self) -> None:
        self._turn = asyncio.Lock()
        self.inner.detach()
