"""Parts of long documents beside them, in any store: found as their documents, never as themselves.

A part is a record of its own in the store below, with an id that no document can have, the metadata
of its document (so that filters pass both or none) and one name more, by which counts and facets
leave it out. Which parts there are is learnt by following the changes, as the words are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

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

_MARK = "\x1f"
_OF = f"{_MARK}part"
_WHOLE = Filter("$exists", name=_OF, value=False)


class ChunkedStore(VectorStore):
    """A store whose documents may have parts.

    A document with parts has the mean of its own cosine and of its best part's. Which documents are
    nearest is exact where the store below is.
    """

    def __init__(self, inner: VectorStore) -> None:
        """Keep documents and parts in ``inner``."""
        self.inner = inner
        self.capabilities: Capabilities = inner.capabilities  # type: ignore[misc]  # those of the store below
        self._parts: dict[str, dict[int, Span]] = {}

    async def open(self, model_id: str, dimension: int, *, create: bool) -> None:
        await self.inner.open(model_id, dimension, create=create)

    async def refresh(self, since: Position = None) -> Changes:
        changes = await self.inner.refresh(since)
        if changes.reset:
            self._parts = {}
        documents = []
        for each in changes.upserted:
            name, mark, number = each.id.partition(_MARK)
            if mark:
                start, end = each.metadata[_OF]
                self._parts.setdefault(name, {})[int(number)] = (start, end)
            else:
                documents.append(each)
        deleted = []
        for each_id in changes.deleted:
            name, mark, number = each_id.partition(_MARK)
            if mark:
                self._forget(name, int(number))
            else:
                deleted.append(each_id)
        return replace(changes, upserted=documents, deleted=deleted)

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
            _id(name, number)
            for name, each in last.items()
            if each.chunks is None
            for number in self._parts.get(name, ())
        ]
        there = await self.inner.get(kept) if kept else {}
        records: list[Stored] = []
        made: dict[str, dict[int, Span]] = {}
        for name, each in last.items():
            own = _records(each, there, self._parts.get(name, {}))
            made[name] = {number: span for number, (span, _) in enumerate(own)}
            records += [replace(each, chunks=()), *(record for _, record in own)]
        await self.inner.upsert(records)
        old = [
            _id(name, number)
            for name, parts in made.items()
            for number in self._parts.get(name, ())
            if number not in parts
        ]
        for name, parts in made.items():
            # those that are to go are known until they are gone
            merged = {**self._parts.get(name, {}), **parts}
            if merged:
                self._parts[name] = merged
        if old:
            await self.inner.delete(old)
            for each_id in old:
                name, _, number = each_id.partition(_MARK)
                self._forget(name, int(number))

    async def delete(self, ids: Sequence[str]) -> Sequence[str]:
        parts = [_id(name, number) for name in ids for number in self._parts.get(name, ())]
        gone = await self.inner.delete([*ids, *parts])
        for name in ids:
            self._parts.pop(name, None)
        return [each for each in gone if _MARK not in each]

    async def get(self, ids: Sequence[str]) -> Mapping[str, Stored]:
        return await self.inner.get([each for each in ids if _MARK not in each])

    async def search(self, vector: Vector, limit: int, filter: Filter | None) -> Sequence[Scored]:
        return (await self.nearest(vector, limit, filter)).hits

    async def nearest(self, vector: Vector, limit: int, filter: Filter | None) -> Nearest:
        if not self._parts or limit < 1:
            hits = await self.inner.search(vector, limit, filter)
            return Nearest([hit for hit in hits if _MARK not in hit[0]])
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

    def _grouped(self, hits: Sequence[Scored]) -> dict[str, "_Found"]:
        found: dict[str, _Found] = {}
        for hit, cosine in hits:
            name, mark, number = hit.partition(_MARK)
            parts = self._parts.get(name, {})
            if mark and int(number) not in parts:
                continue  # on its way out
            each = found.setdefault(name, _Found(name, parts))
            if not mark:
                each.own = cosine
            elif each.best is None:
                each.best, each.span = cosine, parts[int(number)]
        return found

    async def _completed(
        self, found: Mapping[str, "_Found"], vector: Vector, limit: int, bound: float
    ) -> None:
        """Read the vectors of those that may be among the best and are known by half."""
        certain = sorted((each.least() for each in found.values()), reverse=True)
        worst = certain[limit - 1] if len(certain) >= limit else -1.0
        half = [each for each in found.values() if not each.is_known and each.most(bound) >= worst]
        names = [each.name for each in half]
        names += [_id(each.name, number) for each in half for number in each.parts]
        there = await self.inner.get(names) if names else {}
        for each in half:
            each.complete(there, vector)

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
        self.inner.detach()


@dataclass(slots=True)
class _Found:
    """What is known of a document: its own cosine, that of its best part."""

    name: str
    parts: Mapping[int, Span]
    own: float | None = None
    best: float | None = None
    span: Span | None = field(default=None)

    @property
    def is_known(self) -> bool:
        return self.own is not None and (self.best is not None or not self.parts)

    @property
    def score(self) -> float:
        own = self.own or 0.0
        return own if self.best is None else (own + self.best) / 2

    def least(self) -> float:
        if self.is_known:
            return self.score
        return ((self.own if self.own is not None else self.best or 0.0) - 1) / 2

    def most(self, bound: float) -> float:
        return ((self.own if self.own is not None else self.best or 0.0) + bound) / 2

    def complete(self, there: Mapping[str, Stored], vector: Vector) -> None:
        if self.name not in there:
            return  # deleted meanwhile
        self.own = _cosine(there[self.name].vector, vector)
        cosines = [
            (_cosine(there[_id(self.name, number)].vector, vector), -number, span)
            for number, span in self.parts.items()
            if _id(self.name, number) in there
        ]
        if cosines:
            self.best, _, self.span = max(cosines)
        else:
            self.parts = {}


def _cosine(one: Vector, other: Vector) -> float:
    return float(np.dot(one, other))


def _id(name: str, number: int) -> str:
    return f"{name}{_MARK}{number}"


def _records(
    document: Stored, there: Mapping[str, Stored], parts: Mapping[int, Span]
) -> list[tuple[Span, Stored]]:
    """Return the parts of a document as records, new ones or (``chunks`` is None) the old ones."""
    if document.chunks is None:
        old = [(parts[n], there.get(_id(document.id, n))) for n in sorted(parts)]
        chunks = [(span, each.vector) for span, each in old if each is not None]
    else:
        chunks = [((each.start, each.end), each.vector) for each in document.chunks]
    return [
        (
            span,
            Stored(
                _id(document.id, number),
                "",
                {**document.metadata, _OF: list(span)},
                vector,
                document.digest,
            ),
        )
        for number, (span, vector) in enumerate(chunks)
    ]
