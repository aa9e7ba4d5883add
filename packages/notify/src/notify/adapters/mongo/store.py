"""Notifications in MongoDB: each write is one transaction, which needs a replica set."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ...errors import UnsupportedOperationError
from ...models import DeliveryStatus, EventKind, NotificationFilters, Page
from ...ports import Capabilities
from ...stored import (
    Added,
    Cancels,
    Entry,
    EventRecord,
    NotificationRecord,
    Verdict,
)
from .deliveries import MongoDeliveries
from .documents import (
    LIGHT,
    OPEN,
    Document,
    delivery_document,
    delivery_of,
    event_of,
    inbox_filter,
    note_document,
    note_of,
    unread_filter,
)

_PARTS = ("_deliveries", "_events", "_keys", "_topics", "_quotas")


class MongoStore(MongoDeliveries):
    """Notifications in a few collections, whose indexes are made at the first call."""

    capabilities = Capabilities(durable=True, shared=True)

    async def add(self, entries: Sequence[Entry], session: Any = None) -> Sequence[Added]:
        if session is not None:
            raise UnsupportedOperationError(
                "the MongoDB store cannot join a SQL session; use a SQL store"
            )

        async def work(held: Any) -> list[Added]:
            # in one order everywhere, so that two bulks never wait for each other's users
            order = sorted(range(len(entries)), key=lambda i: entries[i].record.user_id)
            made = {i: await self._add(entries[i], held) for i in order}
            return [made[i] for i in range(len(entries))]

        return await self._change(work)

    async def _add(self, entry: Entry, session: Any) -> Added:
        record = msgspec.structs.replace(entry.record)
        known = await self._of().find_one({"_id": record.id}, session=session)
        if known is None and record.idempotency_key is not None:
            key = {"_id": f"{record.user_id}\0{record.idempotency_key}"}
            first = {"$setOnInsert": {"user_id": record.user_id, "note": record.id}}
            done = await self._of("_keys").update_one(key, first, upsert=True, session=session)
            if done.upserted_id is None:
                held = await self._of("_keys").find_one(key, session=session)
                known = await self._of().find_one({"_id": held["note"]}, session=session)
        if known is not None:
            rows = self._of("_deliveries").find({"notification_id": known["_id"]}, session=session)
            found = [delivery_of(each) async for each in rows]
            return Added(note_of(known), found, created=False)
        await self._of().insert_one(note_document(record), session=session)
        for each in entry.deliveries:
            await self._of("_deliveries").insert_one(delivery_document(each), session=session)
        if entry.visible:
            record.seq = await self._show(record.id, record.user_id, record.created_at, session)
        return Added(record, entry.deliveries, created=True)

    async def _show(self, note: str, user_id: str, at: float, session: Any) -> int:
        seq = await self._number(user_id, session)
        await self._of().update_one({"_id": note}, {"$set": {"seq": seq}}, session=session)
        await self._tell(user_id, seq, "created", at, session, notification_id=note)
        return seq

    async def _number(self, user_id: str, session: Any) -> int:
        """Take the next number of a user's sequence: the document is ours until the commit."""
        users, key = self._of("_users"), {"_id": user_id}
        await users.update_one(key, {"$inc": {"seq": 1}}, upsert=True, session=session)
        return int((await users.find_one(key, session=session))["seq"])

    async def _tell(
        self, user_id: str, seq: int, kind: EventKind, at: float, session: Any, **rest: Any
    ) -> None:
        unread = await self._of().count_documents(unread_filter(user_id), session=session)
        event = {"user_id": user_id, "seq": seq, "kind": kind, "unread": unread, "at": at, **rest}
        await self._of("_events").insert_one(event, session=session)

    async def get(self, notification_id: str, user_id: str | None) -> NotificationRecord | None:
        found = await self._ask(lambda: self._of().find_one({"_id": notification_id}))
        record = None if found is None else note_of(found)
        return record if record and user_id in {None, record.user_id} else None

    async def list_inbox(
        self, user_id: str, filters: NotificationFilters, limit: int, below: int | None
    ) -> Page[NotificationRecord]:
        async def ask() -> list[NotificationRecord]:
            where = inbox_filter(user_id, filters, below)
            rows = self._of().find(where, LIGHT).sort("seq", -1).limit(limit + 1)
            return [note_of(each) async for each in rows]

        found = await self._ask(ask)
        return Page.of(found[:limit], str(found[limit - 1].seq) if len(found) > limit else None)

    async def mark(
        self, user_id: str, notification_id: str, kind: EventKind, at: float, *, cancel: bool
    ) -> bool | None:
        async def work(session: Any) -> bool | None:
            key = {"_id": notification_id, "user_id": user_id}
            note = await self._of().find_one(key, LIGHT, session=session)
            if note is None:
                return None
            changed = kind == "deleted" or note[f"{kind}_at"] is None
            seq = await self._number(user_id, session) if changed and note["seq"] else None
            if cancel:
                await self._cancel([notification_id], at, session)
            if kind == "deleted":
                await self._forget(note, session, events=False)
            elif changed:
                done = at if kind == "read" or note["read_at"] is None else note["read_at"]
                change = {f"{kind}_at": at, "done_at": done}
                await self._of().update_one(key, {"$set": change}, session=session)
            if seq is not None:
                await self._tell(user_id, seq, kind, at, session, notification_id=notification_id)
            return changed

        return await self._change(work)

    async def _cancel(self, notes: Sequence[str], at: float, session: Any) -> None:
        where = {"notification_id": {"$in": list(notes)}, "status": "pending"}
        change = {"status": "cancelled", "reason": "read", "updated_at": at}
        await self._of("_deliveries").update_many(where, {"$set": change}, session=session)

    async def _forget(self, note: Document, session: Any, *, events: bool) -> None:
        of_note = {"notification_id": note["_id"]}
        await self._of("_deliveries").delete_many(of_note, session=session)
        await self._of("_keys").delete_many(
            {"user_id": note["user_id"], "note": note["_id"]}, session=session
        )
        if events:
            await self._of("_events").delete_many(of_note, session=session)
        await self._of().delete_one({"_id": note["_id"]}, session=session)

    async def mark_all(
        self, user_id: str, before: float | None, category: str | None, at: float, cancels: Cancels
    ) -> int:
        async def work(session: Any) -> int:
            where = unread_filter(user_id)
            if before is not None:
                where["created_at"] = {"$lt": before}
            if category is not None:
                where["category"] = category
            rows = self._of().find(where, {"category": True}, session=session)
            found = {each["_id"]: each.get("category") async for each in rows}
            if not found:
                return 0
            seq = await self._number(user_id, session)
            change = {"$set": {"read_at": at, "done_at": at}}
            await self._of().update_many({"_id": {"$in": list(found)}}, change, session=session)
            ended = [note for note, name in found.items() if cancels.holds(name)]
            await self._cancel(ended, at, session)
            rest = {"category": category, "before": before}
            await self._tell(user_id, seq, "all_read", at, session, **rest)
            return len(found)

        return await self._change(work)

    async def unread(self, user_id: str) -> int:
        return int(await self._ask(lambda: self._of().count_documents(unread_filter(user_id))))

    async def last_seq(self, user_id: str) -> int:
        found = await self._ask(lambda: self._of("_users").find_one({"_id": user_id}))
        return 0 if found is None else int(found["seq"])

    async def events(self, user_id: str, since: int, limit: int) -> Sequence[EventRecord]:
        async def ask() -> list[EventRecord]:
            where = {"user_id": user_id, "seq": {"$gt": since}}
            rows = self._of("_events").find(where).sort("seq", 1).limit(limit)
            found = [each async for each in rows]
            ids = [each["notification_id"] for each in found if each.get("notification_id")]
            about = {"_id": {"$in": ids}, "user_id": user_id}
            notes = {each["_id"]: note_of(each) async for each in self._of().find(about, LIGHT)}
            return [event_of(each, notes.get(each.get("notification_id"))) for each in found]

        return await self._ask(ask)

    async def publish(self, verdict: Verdict, notification_id: str, at: float) -> bool:
        async def work(session: Any) -> bool:
            if not await self._settle(verdict, at, session):
                return False
            note = await self._of().find_one({"_id": notification_id}, LIGHT, session=session)
            if note is not None and note["seq"] is None:
                await self._show(notification_id, note["user_id"], at, session)
            return True

        return await self._change(work)

    async def purge(self, read: float | None, unread: float | None, limit: int) -> int:
        old = list[Document]()
        if read is not None:
            old.append({"done_at": {"$lt": read, "$ne": None}})
        if unread is not None:
            old.append({"done_at": None, "created_at": {"$lt": unread}})

        async def work(session: Any) -> int:
            removed = 0
            async for note in self._of().find({"$or": old}, LIGHT, session=session):
                if removed >= limit:
                    break
                held = {"notification_id": note["_id"], "status": OPEN}
                if await self._of("_deliveries").find_one(held, session=session) is None:
                    await self._forget(note, session, events=True)
                    removed += 1
            return removed

        return await self._change(work) if old else 0

    async def erase(self, user_id: str) -> int:
        async def work(session: Any) -> int:
            gone = await self._of().delete_many({"user_id": user_id}, session=session)
            for rest in _PARTS:
                await self._of(rest).delete_many({"user_id": user_id}, session=session)
            for rest in ("_users", "_preferences"):
                await self._of(rest).delete_one({"_id": user_id}, session=session)
            return int(gone.deleted_count)

        return await self._change(work)

    async def counts(self) -> tuple[int, Mapping[str, int]]:
        async def ask() -> tuple[int, dict[str, int]]:
            deliveries, found = self._of("_deliveries"), dict[str, int]()
            for each in DeliveryStatus:
                if number := await deliveries.count_documents({"status": str(each)}):
                    found[str(each)] = int(number)
            return int(await self._of().count_documents({})), found

        return await self._ask(ask)
