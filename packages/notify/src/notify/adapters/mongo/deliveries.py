"""What the MongoDB store keeps of deliveries: what is due, who has it, and how it ended."""

from collections.abc import Mapping, Sequence
from typing import Any

from ...models import DeliveryFilters, DeliveryStatus, Page
from ...stored import Claimed, DeliveryRecord, Verdict
from .documents import OPEN, deliveries_filter, delivery_of, verdict_changes
from .lists import MongoLists


class MongoDeliveries(MongoLists):
    """The part of the store about deliveries."""

    async def due(self) -> Mapping[str, float]:
        async def ask() -> dict[str, float]:
            found, deliveries = dict[str, float](), self._of("_deliveries")
            for channel in await deliveries.distinct("channel", {"status": OPEN}):
                where = {"channel": channel, "status": OPEN}
                async for each in deliveries.find(where).sort("due_at", 1).limit(1):
                    found[str(channel)] = float(each["due_at"])
            return found

        return await self._ask(ask)

    async def claim(self, slots: Mapping[str, int], now: float, until: float) -> Sequence[Claimed]:
        free = {channel: count for channel, count in slots.items() if count > 0}

        async def work(session: Any) -> list[DeliveryRecord]:
            taken = dict[str, DeliveryRecord]()
            for channel, count in free.items():
                for each in await self._first_due(channel, count, now, session):
                    taken[each.id] = each
            change = {"$set": {"status": "sending", "due_at": until, "updated_at": now}}
            raised = {**change, "$inc": {"attempts": 1, "fence": 1}}
            where = {"_id": {"$in": list(taken)}}
            if taken:
                await self._of("_deliveries").update_many(where, raised, session=session)
            for each in taken.values():
                each.status, each.due_at, each.updated_at = DeliveryStatus.SENDING, until, now
                each.attempts, each.fence = each.attempts + 1, each.fence + 1
            return list(taken.values())

        taken = await self._change(work) if free else []
        claimed = []
        for each in taken:
            note = await self.get(each.notification_id, None)
            if note is not None:  # else deleted meanwhile, with its deliveries
                wishes = await self.get_preferences(each.user_id)
                claimed.append(Claimed(each, note, wishes))
        return claimed

    async def _first_due(
        self, channel: str, count: int, now: float, session: Any
    ) -> list[DeliveryRecord]:
        """Return the oldest due, a bundle counting as one."""
        deliveries, found = self._of("_deliveries"), list[DeliveryRecord]()
        due = {"channel": channel, "status": OPEN, "due_at": {"$lte": now}}
        bundles = set[str]()
        rows = deliveries.find(due, session=session).sort([("due_at", 1), ("_id", 1)])
        async for row in rows:
            if count <= 0:
                break
            each = delivery_of(row)
            if each.bundle is None:
                found.append(each)
                count -= 1
            elif each.bundle not in bundles:
                bundles.add(each.bundle)
                others = deliveries.find({**due, "bundle": each.bundle}, session=session)
                found += [delivery_of(other) async for other in others]
                count -= 1
        return found

    async def finish(self, verdicts: Sequence[Verdict], at: float) -> Sequence[str]:
        async def work(session: Any) -> list[str]:
            return [each.id for each in verdicts if await self._settle(each, at, session)]

        return await self._change(work) if verdicts else []

    async def _settle(self, verdict: Verdict, at: float, session: Any) -> bool:
        where = {"_id": verdict.id, "fence": verdict.fence, "status": "sending"}
        change = {"$set": verdict_changes(verdict, at)}
        done = await self._of("_deliveries").update_one(where, change, session=session)
        return bool(done.matched_count)

    async def list_deliveries(
        self, filters: DeliveryFilters, limit: int, cursor: str | None
    ) -> Page[DeliveryRecord]:
        where = deliveries_filter(filters)
        if cursor is not None:
            at, _, last = cursor.partition(":")
            later = {"created_at": {"$gt": float(at)}}
            where["$or"] = [later, {"created_at": float(at), "_id": {"$gt": last}}]

        async def ask() -> list[DeliveryRecord]:
            order = [("created_at", 1), ("_id", 1)]
            rows = self._of("_deliveries").find(where).sort(order).limit(limit + 1)
            return [delivery_of(each) async for each in rows]

        found = await self._ask(ask)
        last_one = found[limit - 1] if len(found) > limit else None
        more = None if last_one is None else f"{last_one.created_at!r}:{last_one.id}"
        return Page.of(found[:limit], more)

    async def requeue(
        self, filters: DeliveryFilters, statuses: Sequence[DeliveryStatus], at: float
    ) -> int:
        where = {**deliveries_filter(filters), "status": {"$in": [str(each) for each in statuses]}}
        change = {
            "status": "pending", "attempts": 0, "due_at": at, "reason": "replayed",
            "updated_at": at,
        }  # fmt: skip
        done = await self._ask(lambda: self._of("_deliveries").update_many(where, {"$set": change}))
        return int(done.modified_count)
