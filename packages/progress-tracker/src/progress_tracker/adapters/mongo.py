"""Operations in MongoDB, a document each.

What changes one document is compared and set by the number of its last change. What changes a
child changes its ancestors too, in one transaction, which a server that stands alone does not have.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Self

import msgspec

from .._common.mongo import Translated, connect, database_of, transaction
from .._common.urls import query_of, without_query
from ..errors import BackendError
from ..models import Page
from ..ports import (
    Beat,
    Capabilities,
    Created,
    Filters,
    Kids,
    Overdue,
    Position,
    ProgressStore,
    Record,
    State,
    Write,
    Written,
)
from . import tallies
from .options import number
from .page_cursors import after, cursor_of

_DIST = "progress-tracker"
_OPTIONS = frozenset({"timeout"})
_FINAL = ("completed", "failed", "cancelled")
_encode = msgspec.json.Encoder().encode
_state_of = msgspec.json.Decoder(State).decode
_INDEXES = {
    "newest": (("created_at", -1), ("_id", -1)),
    "of_user": (("user_id", 1), ("created_at", -1)),
    "of_parent": (("parent_id", 1), ("created_at", -1)),
    "of_kind": (("kind", 1), ("created_at", -1)),
    "ended": (("status", 1), ("completed_at", 1)),
    "stale": (("status", 1), ("stale_at", 1)),
}
_Sums = tuple[int, int, int, int, int, int]
_Docs = dict[str, dict[str, Any]]


class MongoStore(ProgressStore):
    """Operations in one collection, whose indexes are made at the first call."""

    capabilities = Capabilities(durable=True, shared=True)

    def __init__(
        self,
        url: str,
        *,
        collection: str = "progress",
        timeout: float = 10.0,
        client: Callable[[], Any] | None = None,
    ) -> None:
        """Keep operations at ``mongodb://host/database``; the first call connects.

        Args:
            url: The servers; the database is ``progress`` unless it names one.
            collection: Its name.
            timeout: Seconds within which each call ends.
            client: Makes the client, in place of what the URL says.

        Raises:
            MissingExtraError: The library is not installed.
        """
        self._url, self._collection, self._timeout = url, collection, timeout
        self._make = client or (lambda: connect(url, dist=_DIST, timeout=timeout))
        self._custom = client
        self._faults = Translated(url, BackendError, dist=_DIST)
        self._client: Any = None
        self._ready, self._setup = False, asyncio.Lock()

    @classmethod
    def from_url(cls, url: str, *, table: str = "progress") -> Self:
        """Return a store for ``mongodb://…/database?timeout=10``; the rest is pymongo's.

        Raises:
            ConfigurationError: An option's value is out of its range.
        """
        options = query_of(url)
        rest = without_query(url, *_OPTIONS) if options else url
        timeout = number(options, "timeout", 10.0, 0.1, 3600)
        return cls(rest, collection=table, timeout=timeout)

    def twin(self) -> Self:
        return type(self)(
            self._url, collection=self._collection, timeout=self._timeout, client=self._custom
        )

    async def _documents(self) -> Any:
        """Return the collection, with its indexes."""
        if self._client is None:
            self._client = self._make()
        found = self._client[database_of(self._url, "progress")][self._collection]
        if not self._ready:
            async with self._setup:
                if not self._ready:
                    for name, keys in _INDEXES.items():
                        await found.create_index(list(keys), name=name)
                    self._ready = True
        return found

    async def create(self, record: Record) -> Created:
        with self._faults:
            if record.ancestors:
                made: Created = await self._together(lambda session: self._create(record, session))
                return made
            return await self._create(record, None)

    async def _create(self, record: Record, session: Any) -> Created:
        documents = await self._documents()
        docs = await self._find([record.id, *record.ancestors], session)
        if (known := docs.get(record.id)) is not None:
            stored = record_of(known)
            return Created("created" if stored.token == record.token else "exists", stored)
        if record.parent_id is not None and record.parent_id not in docs:
            return Created("no_parent", None)
        before = {id: record_of(doc) for id, doc in docs.items()}
        now = dict(before)
        made = tallies.created(now, record)
        # an upsert: a duplicate is no error that would end a transaction
        done = await documents.update_one(
            {"_id": made.id}, {"$setOnInsert": _document(made)}, upsert=True, session=session
        )
        if done.upserted_id is None:
            return await self._create(record, session)
        await self._store_all(docs, before, now, session)
        return Created("created", made)

    async def write(self, writes: Sequence[Write]) -> Sequence[Written]:
        new = [each.record for each in writes]
        with self._faults:
            if any(each.ancestors for each in new):
                made: Sequence[Written] = await self._together(
                    lambda session: self._write(new, session)
                )
                return made
            return [await self._write_alone(each) for each in new]

    async def _write(self, new: Sequence[Record], session: Any) -> Sequence[Written]:
        docs = await self._find({id for each in new for id in (each.id, *each.ancestors)}, session)
        before = {id: record_of(doc) for id, doc in docs.items()}
        now = dict(before)
        made = [tallies.written(now, each) for each in new]
        await self._store_all(docs, before, now, session)
        return made

    async def _write_alone(self, new: Record) -> Written:
        """Compare and set, again until nobody came between."""
        while True:
            docs = await self._find([new.id], None)
            before = {id: record_of(doc) for id, doc in docs.items()}
            now = dict(before)
            made = tallies.written(now, new)
            if await self._store(docs, before, now, None):
                return made

    async def _together(self, work: Any) -> Any:
        await self._documents()
        return await transaction(self._client, work)

    async def _find(self, ids: Collection[str], session: Any) -> _Docs:
        documents = await self._documents()
        found = documents.find({"_id": {"$in": list(ids)}}, session=session)
        return {doc["_id"]: doc async for doc in found}

    async def _store(
        self, docs: _Docs, before: Mapping[str, Record], now: Mapping[str, Record], session: Any
    ) -> bool:
        """Store what differs; False if a document is no longer the one that was read."""
        documents = await self._documents()
        for id, old in before.items():
            if now[id] is old:
                continue
            fields = {name: v for name, v in _document(now[id]).items() if name != "change"}
            same = {"_id": id, "change": docs[id].get("change")}
            step = {"$set": fields, "$inc": {"change": 1}}
            done = await documents.update_one(same, step, session=session)
            if not done.matched_count:
                return False
        return True

    async def _store_all(
        self, docs: _Docs, before: Mapping[str, Record], now: Mapping[str, Record], session: Any
    ) -> None:
        if not await self._store(docs, before, now, session):
            # a server tells us so before: what else there is must not be stored without it
            raise BackendError("an operation changed within our transaction", retryable=True)

    async def get_many(self, ids: Collection[str]) -> Mapping[str, Record]:
        with self._faults:
            return {id: record_of(doc) for id, doc in (await self._find(ids, None)).items()}

    async def positions(self, ids: Collection[str]) -> Mapping[str, Position]:
        with self._faults:
            documents = await self._documents()
            found = documents.find({"_id": {"$in": list(ids)}}, {"epoch": 1, "version": 1})
            return {doc["_id"]: (doc["epoch"], doc["version"]) async for doc in found}

    async def touch(self, beats: Sequence[Beat]) -> Sequence[bool | None]:
        with self._faults:
            return [await self._touch(each) for each in beats]

    async def _touch(self, beat: Beat) -> bool | None:
        documents = await self._documents()
        lease = {"_id": beat.id, "epoch": beat.epoch, "writer": beat.writer}
        found = await documents.find_one_and_update(
            {**lease, "status": {"$nin": _FINAL}},
            {"$set": {"stale_at": beat.stale_at}, "$inc": {"change": 1}},
            projection={"cancel_requested": 1},
        )
        return None if found is None else bool(found["cancel_requested"])

    async def list_records(self, filters: Filters, limit: int, cursor: str | None) -> Page[Record]:
        plain = {"user_id": filters.user_id, "parent_id": filters.parent_id, "kind": filters.kind}
        where: dict[str, Any] = {name: v for name, v in plain.items() if v is not None}
        if filters.statuses:
            where["status"] = {"$in": [str(each) for each in filters.statuses]}
        if (below := after(cursor)) is not None:
            same = {"created_at": below[0], "_id": {"$lt": below[1]}}
            where["$or"] = [{"created_at": {"$lt": below[0]}}, same]
        with self._faults:
            documents = await self._documents()
            page = documents.find(where).sort([("created_at", -1), ("_id", -1)]).limit(limit + 1)
            found = [record_of(doc) async for doc in page]
        return Page.of(found[:limit], cursor_of(found, limit))

    async def delete(self, id: str) -> Sequence[str]:
        with self._faults:
            documents = await self._documents()
            docs = await self._find([id], None)
            if not docs:
                return []
            family = docs[id]["ancestors"] or await documents.find_one({"parent_id": id})
            if family:
                gone: Sequence[str] = await self._together(
                    lambda session: self._delete_tree(id, session)
                )
                return gone
            done = await documents.delete_one({"_id": id})
            return [id] if done.deleted_count else []

    async def _delete_tree(self, id: str, session: Any) -> Sequence[str]:
        documents = await self._documents()
        docs = await self._find([id], session)
        if id not in docs:
            return []
        docs |= await self._find(docs[id]["ancestors"], session)
        before = {name: record_of(doc) for name, doc in docs.items()}
        now, gone = dict(before), before[id]
        tallies.lift(now, gone, None, gone.ancestors, gone.updated_at)
        await self._store_all(docs, before, now, session)
        names, level = [id], [id]
        while level:
            below = documents.find({"parent_id": {"$in": level}}, {"_id": 1}, session=session)
            level = [doc["_id"] async for doc in below]
            names += level
        await documents.delete_many({"_id": {"$in": names}}, session=session)
        return names

    async def overdue(
        self, now: float, completed_before: float, failed_before: float, limit: int
    ) -> Overdue:
        well = {"status": {"$in": ["completed", "cancelled"]}}
        old = [
            {**well, "completed_at": {"$lt": completed_before}},
            {"status": "failed", "completed_at": {"$lt": failed_before}},
        ]
        with self._faults:
            documents = await self._documents()
            late = {"status": "processing", "stale_at": {"$lt": now}}
            stalled = documents.find(late, {"_id": 1}).limit(limit)
            ended = documents.find({"parent_id": None, "$or": old}, {"_id": 1}).limit(limit)
            return Overdue(
                [doc["_id"] async for doc in stalled], [doc["_id"] async for doc in ended]
            )

    async def aclose(self) -> None:
        client = self._client
        self.detach()
        if client is not None:
            await client.close()

    def detach(self) -> None:
        self._client = None
        self._ready, self._setup = False, asyncio.Lock()


def _document(record: Record) -> dict[str, Any]:
    """Return a record as it is stored; ``change`` is the number of its last change."""
    plain = msgspec.structs.asdict(record)
    del plain["id"]
    plain |= {
        "status": str(record.status),
        "ancestors": list(record.ancestors),
        "metadata": record.metadata.decode(),
        "state": _encode(record.state).decode(),
        "kids": list(msgspec.structs.astuple(record.kids)),
        "change": 1,
    }
    return plain


def record_of(doc: Mapping[str, Any]) -> Record:
    """Return the record of a document.

    Raises:
        BackendError: Somebody else wrote what cannot be one.
    """
    try:
        plain = {name: doc[name] for name in Record.__struct_fields__ if name != "id"}
        plain["metadata"] = plain["metadata"].encode()
        plain["state"] = _state_of(plain["state"])
        plain["kids"] = Kids(*msgspec.convert(plain["kids"], _Sums))
        return msgspec.convert({"id": doc["_id"], **plain}, Record)
    except (msgspec.MsgspecError, AttributeError, KeyError, TypeError, ValueError) as exc:
        raise BackendError(f"the stored record of {doc['_id']!r} cannot be read: {exc}") from exc
