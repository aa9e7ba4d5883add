"""What the Redis store keeps beside notifications: preferences, suppressions, topics, quotas."""

from collections.abc import Collection, Mapping, Sequence

from ...models import DeliveryStatus
from ...ports import NotificationStore
from ...stored import DeliveryRecord
from .link import Link
from .rows import delivery_of


class RedisLists(NotificationStore):
    """The part of the store that is about users' wishes, addresses, topics and limits."""

    _link: Link

    async def get_preferences(self, user_id: str) -> bytes | None:
        key = self._link.key("preferences", user_id)
        found: bytes | None = await self._link.call("get", key)
        return found

    async def get_many_preferences(self, user_ids: Collection[str]) -> Mapping[str, bytes]:
        users = sorted(set(user_ids))
        keys = [self._link.key("preferences", each) for each in users]
        rows: list[bytes | None] = await self._link.call("mget", keys) if keys else []
        named = zip(users, rows, strict=True)
        return {user_id: data for user_id, data in named if data is not None}

    async def set_preferences(self, user_id: str, data: bytes, at: float) -> None:
        key = self._link.key("preferences", user_id)
        await self._link.call("set", key, data)

    async def swap_preferences(
        self, user_id: str, data: bytes, was: bytes | None, at: float
    ) -> bool:
        return bool(await self._link.run("swap", user_id, data, was))

    async def find_sent(self, provider: str, provider_id: str) -> DeliveryRecord | None:
        link, field = self._link, f"{provider}\0{provider_id}"
        found: bytes | None = await link.call("hget", link.key("sent"), field)
        if found is None:
            return None
        key = link.key("d", found.decode())
        fields = await link.call("hgetall", key)
        return delivery_of(fields) if fields else None

    async def amend(self, delivery: DeliveryRecord, was: str) -> bool:
        d = delivery
        status = str(DeliveryStatus(d.status))
        words = (d.id, was, status, d.reason, d.history, d.updated_at)
        return bool(await self._link.run("amend", *words))

    async def suppress(self, channel: str, digest: str, reason: str | None, at: float) -> bool:
        key = self._link.key("suppressed", channel)
        if reason is None:
            return bool(await self._link.call("hdel", key, digest))
        return bool(await self._link.call("hsetnx", key, digest, reason))

    async def suppressed(self, channel: str, digest: str) -> str | None:
        key = self._link.key("suppressed", channel)
        found: bytes | None = await self._link.call("hget", key, digest)
        return None if found is None else found.decode()

    async def set_member(self, topic: str, user_id: str, at: float, *, member: bool) -> bool:
        return bool(await self._link.run("member", topic, user_id, member))

    async def members(self, topic: str, after: str, limit: int) -> Sequence[str]:
        key, low = self._link.key("topic", topic), f"({after}" if after else "-"
        found = await self._link.call("zrangebylex", key, low, "+", start=0, num=limit)
        return [each.decode() for each in found]

    async def topics(self, user_id: str) -> Sequence[str]:
        key = self._link.key("topics", user_id)
        found = await self._link.call("smembers", key)
        return sorted(each.decode() for each in found)

    async def take(self, user_id: str, name: str, limit: int, window: float, now: float) -> float:
        began = await self._link.run("take", user_id, name, limit, window, now)
        return 0.0 if began is None else float(began) + window - now
