"""How the SQL store takes notifications: by itself, or in the caller's transaction."""

import contextlib
import secrets
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

import msgspec

from .._common.extras import require
from .._common.sql import Plan
from .._common.sql_lanes import Row
from .._common.sql_statements import Params
from ..errors import ConfigurationError
from ..models import DeliveryFilters
from ..stored import Added, Entry, OtherPreferences
from . import sql_tables as sql
from .postgres_bell import RING, bell_of, payloads
from .sql_arrays import Arrays, KnownError
from .sql_bulk import Bulk, are_apart
from .sql_deliveries import SQLDeliveries
from .sql_lists import Step
from .sql_rows import delivery_of, note_of
from .sql_single import Single

Fetch = Callable[[str, Params], Awaitable[list[Row]]]


class SQLAdding(SQLDeliveries):
    """The part of the SQL store that takes what is sent. A part, as its base is, of one class."""

    table: str
    _many: Bulk | None
    _arrays: Arrays | None
    _single: Single | None

    def _joined(self, fetch: Fetch) -> Fetch:
        """Return ``fetch`` in the words of the database."""
        return fetch

    async def add(self, entries: Sequence[Entry], session: Any = None) -> Sequence[Added]:
        if (arrays := self._arrays) is not None and session is None and entries:
            with contextlib.suppress(KnownError):  # then one by one, as below
                return await self._run(lambda: arrays.plan(entries))
        if session is None and self._many is not None and are_apart(entries):
            return await self._many.add(entries)
        # in one order everywhere, so that two bulks never wait for each other's users
        order = sorted(range(len(entries)), key=lambda i: entries[i].record.user_id)
        ticket, steps = secrets.token_hex(8), list[Step]()
        first: dict[int, int] = {}
        for i in order:
            first[i] = len(steps)
            steps += self.adding(entries[i], ticket)
        fetch: Fetch
        if session is None:
            users = {each.record.user_id for each in entries if each.visible}
            fetch, rows = self._fetch, await self._batch([*steps, *self.ringing(users)])
        else:
            fetch = self._joined(_joined(session))
            rows = [await fetch(text, params) for text, params in steps]
            users = {each.record.user_id for each in entries if each.visible}
            for text, params in self.ringing(users):
                await fetch(text, params)
        return [
            await self.added(entries[i], rows[first[i] : first[i] + 3], fetch)
            for i in range(len(entries))
        ]

    async def add_under(self, entry: Entry, preferences: bytes | None) -> Added | OtherPreferences:
        if self._single is not None:
            stored = await self._single.add(self, entry, preferences)
            return await super().add_under(entry, preferences) if stored is None else stored
        if not self._db.is_sqlite:  # there a statement more costs as much as a call
            return await super().add_under(entry, preferences)
        steps, whose = self.adding(entry, secrets.token_hex(8)), {"user_id": entry.record.user_id}

        def plan() -> Plan[list[list[Row]] | OtherPreferences]:
            rows = yield self._sql.wishes, whose
            held = bytes(rows[0][0]) if rows else None
            if held != preferences:
                return OtherPreferences(held)
            found: list[list[Row]] = []
            for text, params in steps:
                rows = yield text, params
                found.append(rows)
            return found

        made = await self._run(plan)
        if isinstance(made, OtherPreferences):
            return made
        return await self.added(entry, made[:3], self._fetch)

    def ringing(self, users: Collection[str]) -> list[Step]:
        """Return what lets a transaction ring: PostgreSQL notifies if, and when, it commits."""
        if self._db.kind != "postgresql":
            return []
        bell = bell_of(self._sql.table)
        return [(RING, {"bell": bell, "payload": each}) for each in payloads(users)]

    def adding(self, entry: Entry, ticket: str) -> list[Step]:
        """Return the statements that store an entry, in their order."""
        record = entry.record
        held: dict[str, Any] = {"id": record.id, "user_id": record.user_id, "ticket": ticket}
        values = {name: getattr(record, name) for name in sql.NOTE if name != "seq"}
        steps: list[Step] = [(self._sql.add_note, {**values, "ticket": ticket})]
        if entry.visible:
            steps += [(text, {**held, "at": record.created_at}) for text in self._sql.show]
        for each in entry.deliveries:
            given = {name: getattr(each, name) for name in sql.DELIVERY}
            given["status"] = str(each.status)
            steps.append((self._sql.add_delivery, {**given, "ticket": ticket}))
        return steps

    async def added(
        self,
        entry: Entry,
        rows: Sequence[list[Row]],
        fetch: Fetch,
    ) -> Added:
        """Return what became of an entry, by the rows of its first three statements."""
        record = entry.record
        if rows[0]:
            seq = int(rows[2][0][0]) if entry.visible else None
            return Added(msgspec.structs.replace(record, seq=seq), entry.deliveries, created=True)
        key = {"id": record.id, "user_id": record.user_id, "key": record.idempotency_key}
        found = note_of((await fetch(self._sql.existing, key))[0])
        text, params = self._deliveries(DeliveryFilters(notification_id=found.id))
        known = [delivery_of(row) for row in await fetch(text, {**params, "limit": 1000})]
        return Added(found, known, created=False)


def _joined(session: Any) -> Fetch:
    """Return a function that runs our statements in the caller's transaction."""
    text = require("sqlalchemy", dist="notify", extra="sql").text
    if not callable(getattr(session, "execute", None)):
        kind = type(session).__name__
        raise ConfigurationError(f"session must be a session of SQLAlchemy's, not {kind}")

    async def fetch(statement: str, params: Params) -> list[Row]:
        found = session.execute(text(statement), dict(params))
        result = await found if hasattr(found, "__await__") else found
        return list(result.all()) if result.returns_rows else []

    return fetch
