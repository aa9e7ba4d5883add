"""Notifications in Redis 6.2 or newer, or Valkey: each write is one script, one round trip.

The truth is in Redis: it keeps what its persistence keeps. All keys begin with one prefix in
braces, so that they lie on one node of a cluster.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Self

import msgspec

from ...errors import UnsupportedOperationError
from ...models import DeliveryFilters, DeliveryStatus, EventKind, NotificationFilters, Page
from ...ports import Capabilities
from ...stored import (
    Added,
    Cancels,
    Claimed,
    DeliveryRecord,
    Entry,
    EventRecord,
    NotificationRecord,
    Verdict,
)
from ..matching import matches, wanted
from .link import Link, parts_of
from .lists import RedisLists
from .rows import LIGHT, delivery_of, entry_row, event_of, note_of, pairs, verdict_row

_CHUNK = 200


class RedisStore(RedisLists):
    """Notifications under one prefix."""

    capabilities = Capabilities(durable=True, shared=True)

    def __init__(self, url: str, *, prefix: str = "notifications", timeout: float = 5.0) -> None:
        """Keep notifications on the server at ``url``; the first call connects.

        Args:
            url: ``redis://host:6379/0``, ``rediss://…``, ``unix://…`` or ``valkey://…``.
            prefix: What all keys begin with, in braces: two of them share nothing.
            timeout: Seconds for connecting and for each answer.

        Raises:
            ConfigurationError: The prefix is not 1 to 100 letters, digits or ``_ . : -``.
        """
        self.url = url
        self.prefix, self.timeout = prefix, timeout
        self._link = Link(url, prefix=prefix, timeout=timeout)

    @classmethod
    def from_url(cls, url: str, *, table: str = "notifications") -> Self:
        """Return a store for ``redis://host:6379/0?prefix=notifications&timeout=5``.

        Other options are redis-py's. ``table`` is the prefix where the URL names none.

        Raises:
            ConfigurationError: An option's value is out of its range.
        """
        return cls(**parts_of(url, prefix=table))

    async def add(self, entries: Sequence[Entry], session: Any = None) -> Sequence[Added]:
        if session is not None:
            raise UnsupportedOperationError(
                "the Redis store cannot join a database session; use a SQL store"
            )
        rows = await self._link.run("add", *map(entry_row, entries))
        made = list[Added]()
        for entry, row in zip(entries, rows, strict=True):
            if row[0]:
                record = msgspec.structs.replace(entry.record, seq=row[1])
                made.append(Added(record, entry.deliveries, created=True))
            else:
                known = [delivery_of(pairs(each)) for each in row[2]]
                made.append(Added(note_of(pairs(row[1])), known, created=False))
        return made

    async def get(self, notification_id: str, user_id: str | None) -> NotificationRecord | None:
        key = self._link.key("n", notification_id)
        fields = await self._link.call("hgetall", key)
        found = note_of(fields) if fields else None
        return found if found and user_id in {None, found.user_id} else None

    async def list_inbox(
        self, user_id: str, filters: NotificationFilters, limit: int, below: int | None
    ) -> Page[NotificationRecord]:
        key, found = self._link.key("box", user_id), list[NotificationRecord]()
        high = "+inf" if below is None else f"({below}"
        while len(found) <= limit:
            ids = await self._link.call(
                "zrevrangebyscore", key, high, "-inf", start=0, num=_CHUNK, withscores=True
            )
            if not ids:
                break
            high = f"({int(ids[-1][1])}"
            for record in await self._notes([each.decode() for each, _ in ids]):
                if record is not None and matches(record, filters):
                    found.append(record)
        more = str(found[limit - 1].seq) if len(found) > limit else None
        return Page.of(found[:limit], more)

    async def _notes(self, ids: Sequence[str]) -> list[NotificationRecord | None]:
        async def ask(client: Any) -> Any:
            pipe = client.pipeline(transaction=False)
            for each in ids:
                pipe.hmget(self._link.key("n", each), LIGHT)
            return await pipe.execute()

        rows, made = await self._link.ask(ask), list[NotificationRecord | None]()
        for values in rows:
            named = zip(LIGHT, values, strict=True)
            fields = {name.encode(): value for name, value in named if value is not None}
            made.append(note_of(fields) if fields else None)
        return made

    async def mark(
        self, user_id: str, notification_id: str, kind: EventKind, at: float, *, cancel: bool
    ) -> bool | None:
        changed = await self._link.run("mark", user_id, notification_id, kind, at, cancel)
        return None if changed < 0 else bool(changed)

    async def mark_all(
        self, user_id: str, before: float | None, category: str | None, at: float, cancels: Cancels
    ) -> int:
        words = (user_id, before, category, at, cancels.default, list(cancels.other))
        return int(await self._link.run("mark_all", *words))

    async def unread(self, user_id: str) -> int:
        key = self._link.key("unread", user_id)
        return int(await self._link.call("zcard", key))

    async def last_seq(self, user_id: str) -> int:
        key = self._link.key("seq", user_id)
        return int(await self._link.call("get", key) or 0)

    async def events(self, user_id: str, since: int, limit: int) -> Sequence[EventRecord]:
        rows = await self._link.run("events", user_id, since, limit)
        return [event_of(user_id, text, note) for text, note in rows]

    async def due(self) -> Mapping[str, float]:
        link = self._link
        channels = sorted(await link.call("smembers", link.key("channels")))

        async def ask(client: Any) -> Any:
            pipe = client.pipeline(transaction=False)
            for each in channels:
                pipe.zrange(link.key("due", each.decode()), 0, 0, withscores=True)
            return await pipe.execute()

        rows = await link.ask(ask) if channels else []
        named = zip(channels, rows, strict=True)
        return {channel.decode(): float(row[0][1]) for channel, row in named if row}

    async def claim(self, slots: Mapping[str, int], now: float, until: float) -> Sequence[Claimed]:
        free = [(channel, count) for channel, count in slots.items() if count > 0]
        rows = await self._link.run("claim", now, until, free) if free else []
        return [
            Claimed(delivery_of(pairs(row)), note_of(pairs(note)), wishes)
            for row, note, wishes in rows
        ]

    async def finish(self, verdicts: Sequence[Verdict], at: float) -> Sequence[str]:
        rows = [verdict_row(each) for each in verdicts]
        held = await self._link.run("finish", at, rows) if rows else []
        return [each.decode() for each in held]

    async def publish(self, verdict: Verdict, notification_id: str, at: float) -> bool:
        return bool(await self._link.run("publish", at, verdict_row(verdict), notification_id))

    async def list_deliveries(
        self, filters: DeliveryFilters, limit: int, cursor: str | None
    ) -> Page[DeliveryRecord]:
        found = list[DeliveryRecord]()
        async for each in self._deliveries(filters, cursor):
            found.append(each)
            if len(found) > limit:
                last = found[limit - 1]
                return Page.of(found[:limit], f"{last.created_at!r}:{last.id}")
        return Page.of(found)

    async def _deliveries(
        self, filters: DeliveryFilters, cursor: str | None = None
    ) -> AsyncGenerator[DeliveryRecord, None]:
        """Yield what fits, by time and id; one notification's without looking at the others'."""
        at, _, last = (cursor or "").partition(":")
        after = (float(at), last) if cursor else None
        if filters.notification_id is not None:
            key = self._link.key("of", filters.notification_id)
            ids = await self._link.call("lrange", key, 0, -1)
            rows = await self._rows(ids)
            for each in sorted(rows, key=lambda d: (d.created_at, d.id)):
                if wanted(each, filters) and (after is None or (each.created_at, each.id) > after):
                    yield each
            return
        key, start = self._link.key("all"), 0
        while ids := await self._link.call(
            "zrangebyscore", key, at or "-inf", "+inf", start=start, num=_CHUNK
        ):
            start += len(ids)
            for each in await self._rows(ids):
                if wanted(each, filters) and (after is None or (each.created_at, each.id) > after):
                    yield each

    async def _rows(self, ids: Sequence[bytes]) -> list[DeliveryRecord]:
        async def ask(client: Any) -> Any:
            pipe = client.pipeline(transaction=False)
            for each in ids:
                pipe.hgetall(self._link.key("d", each.decode()))
            return await pipe.execute()

        rows = await self._link.ask(ask) if ids else []
        return [delivery_of(fields) for fields in rows if fields]

    async def requeue(
        self, filters: DeliveryFilters, statuses: Sequence[DeliveryStatus], at: float
    ) -> int:
        names = [str(each) for each in statuses]
        ids = [each.id async for each in self._deliveries(filters) if each.status in statuses]
        chunks = [ids[first : first + _CHUNK] for first in range(0, len(ids), _CHUNK)]
        return sum([int(await self._link.run("requeue", at, each, names)) for each in chunks])

    async def purge(self, read: float | None, unread: float | None, limit: int) -> int:
        return int(await self._link.run("purge", read, unread, limit))

    async def erase(self, user_id: str) -> int:
        return int(await self._link.run("erase", user_id))

    async def counts(self) -> tuple[int, Mapping[str, int]]:
        link = self._link

        async def ask(client: Any) -> Any:
            pipe = client.pipeline(transaction=True)
            pipe.zcard(link.key("fresh")).zcard(link.key("done")).hgetall(link.key("status"))
            return await pipe.execute()

        fresh, done, states = await link.ask(ask)
        return fresh + done, {name.decode(): int(count) for name, count in states.items()}

    async def setup(self) -> None:
        """Look whether the server answers; there is no schema to create."""
        await self._link.call("ping")

    async def aclose(self) -> None:
        await self._link.aclose()

    def detach(self) -> None:
        self._link.detach()
