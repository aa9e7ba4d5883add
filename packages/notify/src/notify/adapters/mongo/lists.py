"""What the MongoDB store keeps beside notifications: preferences, suppressions, topics, quotas."""

from collections.abc import Sequence
from typing import Any

from ...stored import DeliveryRecord
from .base import MongoBase
from .documents import OPEN, delivery_of

_SEPARATOR = "\0"  # no id holds it


class MongoLists(MongoBase):
    """The part of the store that is about users' wishes, addresses, topics and limits."""

    async def get_preferences(self, user_id: str) -> bytes | None:
        found = await self._ask(lambda: self._of("_preferences").find_one({"_id": user_id}))
        return None if found is None else bytes(found["data"])

    async def set_preferences(self, user_id: str, data: bytes, at: float) -> None:
        change = {"$set": {"data": data, "updated_at": at}}
        await self._ask(
            lambda: self._of("_preferences").update_one({"_id": user_id}, change, upsert=True)
        )

    async def swap_preferences(
        self, user_id: str, data: bytes, was: bytes | None, at: float
    ) -> bool:
        new, prefs = {"data": data, "updated_at": at}, self._of
        if was is None:
            key, first = {"_id": user_id}, {"$setOnInsert": new}
            made = await self._ask(
                lambda: prefs("_preferences").update_one(key, first, upsert=True)
            )
            return made.upserted_id is not None
        where, change = {"_id": user_id, "data": was}, {"$set": new}
        done = await self._ask(lambda: prefs("_preferences").update_one(where, change))
        return bool(done.matched_count)

    async def find_sent(self, provider: str, provider_id: str) -> DeliveryRecord | None:
        where = {"provider_id": provider_id, "provider": provider}
        found = await self._ask(lambda: self._of("_deliveries").find_one(where))
        return None if found is None else delivery_of(found)

    async def amend(self, delivery: DeliveryRecord, was: str) -> bool:
        d = delivery
        where = {"_id": d.id, "history": was, "status": {"$nin": OPEN["$in"]}}
        change = {
            "status": str(d.status), "reason": d.reason, "history": d.history,
            "updated_at": d.updated_at,
        }  # fmt: skip
        done = await self._ask(lambda: self._of("_deliveries").update_one(where, {"$set": change}))
        return bool(done.matched_count)

    async def suppress(self, channel: str, digest: str, reason: str | None, at: float) -> bool:
        key = {"_id": _SEPARATOR.join((channel, digest))}
        if reason is None:
            gone = await self._ask(lambda: self._of("_suppressions").delete_one(key))
            return bool(gone.deleted_count)
        first = {"$setOnInsert": {"reason": reason, "at": at}}
        done = await self._ask(
            lambda: self._of("_suppressions").update_one(key, first, upsert=True)
        )
        return done.upserted_id is not None

    async def suppressed(self, channel: str, digest: str) -> str | None:
        key = {"_id": _SEPARATOR.join((channel, digest))}
        found = await self._ask(lambda: self._of("_suppressions").find_one(key))
        return None if found is None else str(found["reason"])

    async def set_member(self, topic: str, user_id: str, at: float, *, member: bool) -> bool:
        key = {"_id": _SEPARATOR.join((topic, user_id))}
        if not member:
            gone = await self._ask(lambda: self._of("_topics").delete_one(key))
            return bool(gone.deleted_count)
        first = {"$setOnInsert": {"topic": topic, "user_id": user_id, "at": at}}
        done = await self._ask(lambda: self._of("_topics").update_one(key, first, upsert=True))
        return done.upserted_id is not None

    async def members(self, topic: str, after: str, limit: int) -> Sequence[str]:
        async def ask() -> list[str]:
            where = {"topic": topic, "user_id": {"$gt": after}}
            found = self._of("_topics").find(where).sort("user_id", 1).limit(limit)
            return [str(each["user_id"]) async for each in found]

        return await self._ask(ask)

    async def topics(self, user_id: str) -> Sequence[str]:
        async def ask() -> list[str]:
            found = self._of("_topics").find({"user_id": user_id})
            return sorted([str(each["topic"]) async for each in found])

        return await self._ask(ask)

    async def take(self, user_id: str, name: str, limit: int, window: float, now: float) -> float:
        key = {"_id": _SEPARATOR.join((user_id, name))}

        async def work(session: Any) -> float:
            quotas = self._of("_quotas")
            # written before it is read: of two that ask at once one begins anew
            first = {"$setOnInsert": {"user_id": user_id, "started": now, "used": 0}}
            await quotas.update_one(
                key, {**first, "$inc": {"asked": 1}}, upsert=True, session=session
            )
            row = await quotas.find_one(key, session=session)
            started, used = float(row["started"]), int(row["used"])
            if not now - window < started <= now:
                started, used = now, 0
            if used >= limit:
                return started + window - now
            change = {"$set": {"started": started, "used": used + 1}}
            await quotas.update_one(key, change, session=session)
            return 0.0

        return await self._change(work)
