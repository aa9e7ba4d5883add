"""What the SQL store keeps beside notifications: wishes, suppressions, topics, quotas; its size."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from .._common.sql import Database, Plan
from .._common.sql_lanes import Row
from .._common.sql_statements import Params
from ..models import DeliveryStatus
from ..ports import NotificationStore
from ..stored import DeliveryRecord
from . import sql_tables as sql
from .sql_rows import delivery_of, text_of
from .sql_texts import Statements

T = TypeVar("T")
Step = tuple[str, Params]


class SQLLists(NotificationStore):
    """The part of the SQL store about addresses, topics, limits, and what it holds in all."""

    _db: Database
    _sql: Statements

    async def _fetch(self, text: str, params: Params = {}) -> list[Row]:  # noqa: B006  never written
        return await self._db.fetch(text, params)

    async def _run(self, plan: Callable[[], Plan[T]]) -> T:
        return await self._db.run(plan)

    async def _batch(self, steps: Sequence[Step]) -> list[list[Row]]:
        return await self._db.batch(steps)

    async def get_preferences(self, user_id: str) -> bytes | None:
        rows = await self._fetch(self._sql.wishes, {"user_id": user_id})
        return bytes(rows[0][0]) if rows else None

    async def get_many_preferences(self, user_ids: Collection[str]) -> Mapping[str, bytes]:
        if not user_ids:
            return {}
        users = sorted(set(user_ids))
        read = f"SELECT user_id, data FROM {self._sql.table}_preferences"  # noqa: S608
        if self._db.kind == "postgresql":  # which would plan a list anew at each call
            rows = await self._fetch(
                f"{read} WHERE user_id = ANY(CAST(:users AS TEXT[]))", {"users": users}
            )
        else:
            # as many places for every call: a statement is prepared once
            places = 1 << (len(users) - 1).bit_length()
            names = {f"u{i}": users[min(i, len(users) - 1)] for i in range(places)}
            listed = ", ".join(f":{name}" for name in names)
            rows = await self._fetch(f"{read} WHERE user_id IN ({listed})", names)
        return {text_of(row[0]): bytes(row[1]) for row in rows}

    async def set_preferences(self, user_id: str, data: bytes, at: float) -> None:
        text = (
            f"INSERT INTO {self._sql.table}_preferences (user_id, data, updated_at) "  # noqa: S608
            "VALUES (:user_id, :data, :at) ON CONFLICT (user_id) "
            "DO UPDATE SET data = excluded.data, updated_at = excluded.updated_at"
        )
        await self._fetch(text, {"user_id": user_id, "data": data, "at": at})

    async def swap_preferences(
        self, user_id: str, data: bytes, was: bytes | None, at: float
    ) -> bool:
        table = f"{self._sql.table}_preferences"
        text = (
            f"INSERT INTO {table} (user_id, data, updated_at) VALUES (:user_id, :data, :at) "  # noqa: S608
            "ON CONFLICT DO NOTHING RETURNING user_id"
            if was is None
            else f"UPDATE {table} SET data = :data, updated_at = :at "  # noqa: S608
            "WHERE user_id = :user_id AND data = :was RETURNING user_id"
        )
        return bool(
            await self._fetch(text, {"user_id": user_id, "data": data, "was": was, "at": at})
        )

    async def find_sent(self, provider: str, provider_id: str) -> DeliveryRecord | None:
        text = (
            f"SELECT {', '.join(sql.DELIVERY)} FROM {self._sql.table}_deliveries "  # noqa: S608  own words
            "WHERE provider_id = :provider_id AND provider = :provider LIMIT 1"
        )
        rows = await self._fetch(text, {"provider": provider, "provider_id": provider_id})
        return delivery_of(rows[0]) if rows else None

    async def amend(self, delivery: DeliveryRecord, was: str) -> bool:
        text = (
            f"UPDATE {self._sql.table}_deliveries SET status = :status, reason = :reason, "  # noqa: S608
            "history = :history, updated_at = :at WHERE id = :id AND history = :was "
            f"AND NOT {sql.OPEN} RETURNING id"
        )
        values = {
            "id": delivery.id, "status": str(DeliveryStatus(delivery.status)),
            "reason": delivery.reason, "history": delivery.history, "at": delivery.updated_at,
            "was": was,
        }  # fmt: skip
        return bool(await self._fetch(text, values))

    async def suppress(self, channel: str, digest: str, reason: str | None, at: float) -> bool:
        table, values = f"{self._sql.table}_suppressions", {"channel": channel, "digest": digest}
        if reason is None:
            gone = f"DELETE FROM {table} WHERE channel = :channel AND digest = :digest RETURNING at"  # noqa: S608
            return bool(await self._fetch(gone, values))
        text = (
            f"INSERT INTO {table} (channel, digest, reason, at) VALUES "  # noqa: S608
            "(:channel, :digest, :reason, :at) ON CONFLICT DO NOTHING RETURNING at"
        )
        return bool(await self._fetch(text, {**values, "reason": reason, "at": at}))

    async def suppressed(self, channel: str, digest: str) -> str | None:
        text = (
            f"SELECT reason FROM {self._sql.table}_suppressions "  # noqa: S608
            "WHERE channel = :channel AND digest = :digest"
        )
        rows = await self._fetch(text, {"channel": channel, "digest": digest})
        return text_of(rows[0][0]) if rows else None

    async def set_member(self, topic: str, user_id: str, at: float, *, member: bool) -> bool:
        table, values = f"{self._sql.table}_topics", {"topic": topic, "user_id": user_id}
        if not member:
            gone = f"DELETE FROM {table} WHERE topic = :topic AND user_id = :user_id RETURNING at"  # noqa: S608
            return bool(await self._fetch(gone, values))
        text = (
            f"INSERT INTO {table} (topic, user_id, at) VALUES (:topic, :user_id, :at) "  # noqa: S608
            "ON CONFLICT DO NOTHING RETURNING at"
        )
        return bool(await self._fetch(text, {**values, "at": at}))

    async def members(self, topic: str, after: str, limit: int) -> Sequence[str]:
        by = 'user_id COLLATE "C"' if self._db.kind == "postgresql" else "user_id"
        text = (
            f"SELECT user_id FROM {self._sql.table}_topics WHERE topic = :topic "  # noqa: S608
            f"AND {by} > :after ORDER BY {by} LIMIT :limit"
        )
        values = {"topic": topic, "after": after, "limit": limit}
        return [text_of(row[0]) for row in await self._fetch(text, values)]

    async def topics(self, user_id: str) -> Sequence[str]:
        text = f"SELECT topic FROM {self._sql.table}_topics WHERE user_id = :user_id"  # noqa: S608
        return sorted(text_of(row[0]) for row in await self._fetch(text, {"user_id": user_id}))

    async def take(self, user_id: str, name: str, limit: int, window: float, now: float) -> float:
        table = f"{self._sql.table}_quotas"
        mine = "user_id = :user_id AND name = :name"

        def plan() -> Plan[float]:
            whose = {"user_id": user_id, "name": name}
            # the row is locked before it is read: of two that ask at once one waits
            made = (
                f"INSERT INTO {table} (user_id, name, started, used) VALUES "  # noqa: S608
                f"(:user_id, :name, :now, 0) ON CONFLICT (user_id, name) "
                f"DO UPDATE SET used = {table}.used"
            )
            yield made, {**whose, "now": now}
            [row] = yield f"SELECT started, used FROM {table} WHERE {mine}", whose  # noqa: S608
            started, used = float(row[0]), int(row[1])
            if not now - window < started <= now:
                started, used = now, 0
            if used >= limit:
                return started + window - now
            count = f"UPDATE {table} SET started = :started, used = :used WHERE {mine}"  # noqa: S608
            yield count, {**whose, "started": started, "used": used + 1}
            return 0.0

        return await self._run(plan)

    async def purge(self, read: float | None, unread: float | None, limit: int) -> int:
        rows = await self._fetch(self._sql.old, {"read": read, "unread": unread, "limit": limit})
        steps: list[Step] = []
        for (found,) in rows:
            steps += [
                (f"DELETE FROM {self._sql.table}{rest} WHERE {column} = :id", {"id": found})  # noqa: S608
                for rest, column in (
                    ("_deliveries", "notification_id"), ("_events", "notification_id"), ("", "id"),
                )
            ]  # fmt: skip
        if steps:
            await self._batch(steps)
        return len(rows)

    async def counts(self) -> tuple[int, Mapping[str, int]]:
        table = self._sql.table
        notes, states = await self._batch(
            [
                (f"SELECT count(*) FROM {table}", {}),  # noqa: S608
                (f"SELECT status, count(*) FROM {table}_deliveries GROUP BY status", {}),  # noqa: S608
            ]
        )
        return int(notes[0][0]), {text_of(row[0]): int(row[1]) for row in states}
