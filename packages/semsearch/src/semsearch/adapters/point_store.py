"""Documents as points, with changes that many processes can follow: what servers' adapters share.

There is no sequence that the server gives out, so every process that writes numbers its own writes
and notes the last finished one in a point of its own. Who follows the changes keeps these numbers:
what carries a later one is new. A write that was cut off before its number was noted is told to
those who follow from the beginning, and to others with the next write of its process.

What was deleted leaves a point that says so. When there are more of these than documents they are
removed: the index gets a new epoch first, by which everybody begins anew, and what is removed was
there before that. Where a server cannot remove what passes a filter in one step, a point by its id
might be something else by then: there the points that tell of deletions have ids of their own, that
are never used again.
"""

import asyncio
import os
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from ..errors import ConfigurationError
from ..filters import OPERATORS, Filter
from ..models import Facet
from ..ports import Capabilities, Changes, Position, Scored, Stored, Vector, VectorStore
from .exclusive import Exclusive
from .facets import ranked
from .facts import coded
from .point_changes import changes_since, fetched, marks, newer, point_id
from .point_port import Point, Points
from .points import DOCUMENTS, Json, among, negated, value_of

T = TypeVar("T")
_TOMBSTONES = 1000


class PointStore(VectorStore):
    """A vector store over points."""

    capabilities = Capabilities(durable=True, filters=OPERATORS)

    def __init__(self, points: Points, where: str) -> None:
        """Keep documents in ``points``; ``where`` names them in messages."""
        self._points, self._where = points, where
        self._exclusive = Exclusive()
        self._index = ""
        self._begin()

    def _begin(self) -> None:
        """Be a process that has written nothing yet."""
        self._pid, self._writer, self._seq = os.getpid(), uuid.uuid4().hex, 0
        self._writing = threading.Lock()
        self._gone = 0

    async def _run(self, work: Callable[[], T]) -> T:
        if self._points.alone:
            return await self._exclusive.run(work, long=True)
        return await asyncio.to_thread(work)

    async def _on_index(self, work: Callable[[], T]) -> T:
        if not self._index:
            raise ConfigurationError("the index is not open")
        return await self._run(work)

    async def open(self, model_id: str, dimension: int, *, create: bool) -> None:
        await self._run(lambda: self._open(model_id, dimension, create=create))

    def _open(self, model_id: str, dimension: int, *, create: bool) -> None:
        if not self._points.open(dimension, create=create):
            raise ConfigurationError(
                f"{self._where}: the index is missing and indexing.auto_index is off"
            )
        name = point_id("index", "")
        if not self._points.fetch([name]):
            made: Json = {"kind": "index", "model": model_id, "index": uuid.uuid4().hex}
            self._points.put([Point(name, {**made, "dimension": dimension})])
        [(found, _)] = self._points.fetch([name])
        if (found["model"], found["dimension"]) != (model_id, dimension):
            other = f"{found['model']!r} ({found['dimension']} dimensions)"
            raise ConfigurationError(
                f"{self._where} was made with model {other}, not {model_id!r} ({dimension}): "
                "use that model, or another collection"
            )
        self._index = found["index"]

    async def refresh(self, since: Position = None) -> Changes:
        return await self._on_index(lambda: changes_since(self._points, self._index, since))

    async def upsert(self, documents: Sequence[Stored]) -> None:
        last = {each.id: each for each in documents}
        await self._on_index(lambda: self._put(list(last.values())))

    def _put(self, documents: Sequence[Stored]) -> None:
        fields = [self._points.fields(each.metadata) for each in documents]
        with self._writing:
            self._points.make_fields({name for each in fields for name in each if "_" in name})
            self._write(
                Point(
                    point_id("document", each.id),
                    {
                        "kind": "document",
                        "id": each.id,
                        "digest": each.digest,
                        "content": each.content,
                        # as text: numbers come back as they were
                        "metadata": msgspec.json.encode(each.metadata).decode(),
                        **made,
                    },
                    each.vector.tolist(),
                )
                for each, made in zip(documents, fields, strict=True)
            )

    def _write(self, points: Iterable[Point], discarded: Sequence[str] = ()) -> None:
        """Write points with the next number, discard others, then note that it is done."""
        self._seq += 1
        mark = {"writer": self._writer, "seq": self._seq}
        self._points.put([Point(each.id, each.payload | mark, each.vector) for each in points])
        if discarded:
            self._points.discard(discarded)
        self._points.put([Point(point_id("writer", self._writer), {"kind": "writer", **mark})])

    async def delete(self, ids: Sequence[str]) -> Sequence[str]:
        return await self._on_index(lambda: self._delete(ids))

    def _delete(self, ids: Sequence[str]) -> Sequence[str]:
        with self._writing:
            there = {each.id for each in fetched(self._points, ids)}
            gone = [each for each in dict.fromkeys(ids) if each in there]
            if gone:
                self._leave(gone)
                self._gone += len(gone)
                can = self._points.removes or self._points.discards
                if can and self._gone >= _TOMBSTONES:
                    self._gone = 0
                    self._sweep()
            return gone

    def _leave(self, gone: Sequence[str]) -> None:
        """Leave points that tell those who follow the changes, in place of the documents."""
        names = [point_id("document", each) for each in gone]
        if not self._points.discards:
            left = zip(names, gone, strict=True)
            self._write(Point(name, {"kind": "gone", "id": each}) for name, each in left)
            return
        number = f"{self._writer} {self._seq + 1}"
        own = [(point_id("gone", f"{number} {each}"), each) for each in gone]
        self._write(
            [Point(name, {"kind": "gone", "id": each, "own": name}) for name, each in own], names
        )

    def _sweep(self) -> None:
        """Remove what tells of deletions, if it has become more than the documents."""
        tombs = among("kind", ["gone"])
        count = self._points.count({"must": [DOCUMENTS]})
        if self._points.count({"must": [tombs]}) <= max(_TOMBSTONES, count):
            return
        epoch, seen = marks(self._points)
        name = point_id("index", "")
        [(found, _)] = self._points.fetch([name])
        self._points.put([Point(name, {**found, "epoch": epoch + 1})])
        # those alone that stood there before the epoch: later ones may be news to somebody
        old: Json = {"must": [tombs, negated(newer(seen))]}
        if self._points.removes:
            self._points.remove(old)
        else:
            rows = self._points.scroll(old, ["own"])
            self._points.discard([row["own"] for row, _ in rows if "own" in row])

    async def get(self, ids: Sequence[str]) -> Mapping[str, Stored]:
        found = {each.id: each for each in await self._on_index(lambda: fetched(self._points, ids))}
        return {each: found[each] for each in ids if each in found}

    async def search(self, vector: Vector, limit: int, filter: Filter | None) -> Sequence[Scored]:
        quick = self._index and filter is None and self._points.is_quick(limit)
        # not while somebody writes: the event loop would wait for it
        if quick and self._writing.acquire(blocking=False):
            try:
                return self._search(vector, limit, filter)
            finally:
                self._writing.release()
        return await self._on_index(lambda: self._search(vector, limit, filter))

    def _search(self, vector: Vector, limit: int, wanted: Filter | None) -> Sequence[Scored]:
        if limit < 1:
            return []
        conditions, asked = self._conditions(wanted), limit + 1
        if self._points.bare:
            # one condition less to look at for each point
            others = [each for each in conditions["must"] if each != DOCUMENTS]
            conditions = {"must": others} if others else {}
        while True:
            hits = self._points.nearest(vector, asked, conditions)
            # more, until what ties with the last one is there: the order by id is exact
            if len(hits) < asked or hits[-1][1] < hits[limit - 1][1]:
                return sorted(hits, key=lambda hit: (-hit[1], hit[0]))[:limit]
            asked *= 2

    def _conditions(self, wanted: Filter | None) -> Json:
        return self._points.compiled(wanted)

    async def select(self, filter: Filter | None, limit: int | None = None) -> Sequence[str]:
        def work() -> list[str]:
            rows = self._points.scroll(self._conditions(filter), ["id"])
            return sorted(row["id"] for row, _ in rows)[:limit]

        return await self._on_index(work)

    async def facets(self, names: Sequence[str], filter: Filter | None) -> Mapping[str, Facet]:
        def work() -> dict[str, Facet]:
            conditions = self._conditions(filter)
            return {name: self._facet(name, conditions) for name in dict.fromkeys(names)}

        return await self._on_index(work)

    def _facet(self, name: str, conditions: Json) -> Facet:
        counts: Counter[tuple[str, Any]] = Counter()
        for code, count in self._points.values(coded(name), conditions):
            value = value_of(code)
            counts[type(value).__name__, value] += count
        return ranked(name, counts)

    async def count(self, filter: Filter | None) -> int:
        return await self._on_index(lambda: self._points.count(self._conditions(filter)))

    async def aclose(self) -> None:
        await self._run(self._points.close)

    def detach(self) -> None:
        self._exclusive.detach()
        if self._pid != os.getpid():
            self._begin()
            self._points.detach()
