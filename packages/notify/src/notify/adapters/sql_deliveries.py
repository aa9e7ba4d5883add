"""What the SQL store keeps of deliveries: what is due, who has it, and how it ended."""

from collections.abc import Mapping, Sequence
from typing import Any

from .._common.sql import Plan
from ..models import DeliveryFilters, DeliveryStatus, Page
from ..stored import Claimed, DeliveryRecord, Verdict
from . import sql_tables as sql
from .sql_lists import SQLLists, Step
from .sql_rows import delivery_of, delivery_tests, note_of, text_of, verdict_params


class SQLDeliveries(SQLLists):
    """The part of the SQL store about deliveries. A part, as its base is, of one class."""

    async def due(self) -> Mapping[str, float]:
        text = (
            f"SELECT channel, min(due_at) FROM {self._sql.table}_deliveries "  # noqa: S608
            f"WHERE {sql.OPEN} GROUP BY channel"
        )
        return {text_of(row[0]): float(row[1]) for row in await self._fetch(text)}

    async def claim(self, slots: Mapping[str, int], now: float, until: float) -> Sequence[Claimed]:
        wanted = {channel: count for channel, count in slots.items() if count > 0}
        if not wanted:
            return []
        taken = await self._run(lambda: self._claiming(wanted, now, until))
        taken.sort(key=lambda each: each.created_at)
        asks: list[Step] = [(self._sql.by_id, {"id": each.notification_id}) for each in taken]
        asks += [(self._sql.wishes, {"user_id": each.user_id}) for each in taken]
        rows = await self._batch(asks) if asks else []
        notes, prefs = rows[: len(taken)], rows[len(taken) :]
        return [
            Claimed(each, note_of(note[0]), bytes(pref[0][0]) if pref else None)
            for each, note, pref in zip(taken, notes, prefs, strict=True)
            if note  # deleted meanwhile, with its deliveries
        ]

    def _claiming(
        self, wanted: Mapping[str, int], now: float, until: float
    ) -> Plan[list[DeliveryRecord]]:
        taken, times = list[DeliveryRecord](), {"now": now, "until": until}
        for channel, count in wanted.items():
            rows = yield self._sql.claim, {"channel": channel, "slots": count, **times}
            first = [delivery_of(row) for row in rows]
            taken += first
            for bundle in sorted(each.bundle for each in first if each.bundle is not None):
                rows = yield self._sql.claim_bundle, {"bundle": bundle, **times}
                taken += map(delivery_of, rows)
        return taken

    async def finish(self, verdicts: Sequence[Verdict], at: float) -> Sequence[str]:
        steps = [(self._sql.finish, verdict_params(each, at)) for each in verdicts]
        rows = await self._batch(steps) if steps else []
        return [text_of(row[0][0]) for row in rows if row]

    async def list_deliveries(
        self, filters: DeliveryFilters, limit: int, cursor: str | None
    ) -> Page[DeliveryRecord]:
        text, params = self._deliveries(filters, cursor)
        rows = await self._fetch(text, {**params, "limit": limit + 1})
        found = [delivery_of(row) for row in rows[:limit]]
        more = f"{found[-1].created_at!r}:{found[-1].id}" if len(rows) > limit else None
        return Page.of(found, more)

    def _deliveries(
        self, filters: DeliveryFilters, cursor: str | None = None
    ) -> tuple[str, dict[str, Any]]:
        where, params = delivery_tests(filters)
        if cursor is not None:
            at, _, last = cursor.partition(":")
            params |= {"at": float(at), "last": last}
            where += " AND (created_at > :at OR (created_at = :at AND id > :last))"
        text = (
            f"SELECT {', '.join(sql.DELIVERY)} FROM {self._sql.table}_deliveries "  # noqa: S608  own words
            f"WHERE 1 = 1{where} ORDER BY created_at, id LIMIT :limit"
        )
        return text, params

    async def requeue(
        self, filters: DeliveryFilters, statuses: Sequence[DeliveryStatus], at: float
    ) -> int:
        where, params = delivery_tests(filters)
        named = {f"s{i}": str(status) for i, status in enumerate(statuses)}
        text = (
            f"UPDATE {self._sql.table}_deliveries SET status = 'pending', attempts = 0, "  # noqa: S608
            "due_at = :at, reason = 'replayed', updated_at = :at WHERE status IN "
            f"({', '.join(f':{name}' for name in named)}){where} RETURNING id"
        )
        return len(await self._fetch(text, {**params, **named, "at": at}))
