"""Notifications in SQLite (the embedded store) or PostgreSQL, by the same statements."""

import secrets
from collections.abc import Sequence
from typing import Any, ClassVar

from .._common.sql import Database
from .._common.sql_lanes import Row
from .._common.urls import query_of, scheme_of
from ..errors import BackendError, ConfigurationError
from ..models import EventKind, NotificationFilters, Page
from ..ports import Capabilities
from ..stored import (
    Cancels,
    EventRecord,
    NotificationRecord,
    StoredChanges,
    Verdict,
)
from . import sql_tables as sql
from .sql_adding import SQLAdding
from .sql_arrays import Arrays
from .sql_bulk import Bulk
from .sql_lists import Step
from .sql_rows import event_of, inbox_tests, note_of, verdict_params
from .sql_single import Single
from .sql_texts import Statements

_END = 1 << 62
"""A place after every other."""


class SQLStore(SQLAdding):
    """Notifications in a SQL database.

    On SQLite (WAL) a call is one transaction and one hop to the driver's thread; several processes
    may share the file.
    """

    capabilities = Capabilities(durable=True, shared=True, transactional=True)
    session: ClassVar[str] = ""
    """Statements for each new connection to a server."""

    def __init__(
        self, url: str, *, table: str = "notifications", synchronous: str = "FULL"
    ) -> None:
        """Use ``sqlite:///file.db`` or ``postgresql://…``; the first call connects.

        Args:
            url: The database.
            table: The name of the notifications' table; the others' begin with it.
            synchronous: SQLite's setting. FULL survives a loss of power, NORMAL only a crash.
        """
        self.url, self.table = url, table
        self._schema = sql.schema_of(table)
        self._db = Database(
            url,
            self._schema,
            dist="notify",
            fault=BackendError,
            synchronous=synchronous,
            session=self.session,
        )
        skip = "" if self._db.is_sqlite else " FOR UPDATE SKIP LOCKED"
        unread_by = f" INDEXED BY {table}_unread" if self._db.is_sqlite else ""
        self._sql = Statements(table, skip, unread_by)
        # MySQL answers no statement that is run for many rows at once
        self._many = None if self._db.kind == "mysql" else Bulk(self)
        postgres = self._db.kind == "postgresql"
        self._arrays = Arrays(table) if postgres else None
        self._single = Single(table) if postgres else None

    @classmethod
    def from_url(cls, url: str, *, table: str = "notifications") -> "SQLStore":
        """Return a store for ``sqlite:///file.db?synchronous=NORMAL`` or ``postgresql://…``.

        Raises:
            ConfigurationError: An option or its value is unknown.
        """
        if scheme_of(url).partition("+")[0] != "sqlite":
            return cls(url, table=table)
        options = query_of(url, allowed=frozenset({"synchronous"}))
        mode = options.get("synchronous", "FULL").upper()
        if mode not in {"OFF", "NORMAL", "FULL", "EXTRA"}:
            raise ConfigurationError(
                f"synchronous must be OFF, NORMAL, FULL or EXTRA, not {mode!r}"
            )
        return cls(url, table=table, synchronous=mode)

    async def get(self, notification_id: str, user_id: str | None) -> NotificationRecord | None:
        rows = await self._fetch(self._sql.by_id, {"id": notification_id})
        found = note_of(rows[0]) if rows else None
        return found if found and user_id in {None, found.user_id} else None

    async def list_inbox(
        self, user_id: str, filters: NotificationFilters, limit: int, below: int | None
    ) -> Page[NotificationRecord]:
        where, params = inbox_tests(filters)
        params |= {"user_id": user_id, "below": _END if below is None else below}
        text = (
            f"SELECT {self._sql.note(whole=False)} FROM {self._sql.table} n "  # noqa: S608  own words
            f"WHERE n.user_id = :user_id AND n.seq < :below{where} ORDER BY n.seq DESC LIMIT :limit"
        )
        rows = await self._fetch(text, {**params, "limit": limit + 1})
        found = [note_of(row) for row in rows[:limit]]
        return Page.of(found, str(found[-1].seq) if len(rows) > limit else None)

    async def mark(
        self, user_id: str, notification_id: str, kind: EventKind, at: float, *, cancel: bool
    ) -> bool | None:
        params = {
            "id": notification_id, "user_id": user_id, "at": at, "ticket": secrets.token_hex(8),
        }  # fmt: skip
        table = self._sql.table
        known = f"SELECT 1 FROM {table} WHERE id = :id AND user_id = :user_id"  # noqa: S608
        steps: list[Step] = [(known, params)]
        steps += [(text, params) for text in self._sql.marking(kind)]
        if cancel:
            steps.append((self._sql.cancel, params))
        steps += self.ringing([user_id])
        found, changed, *_ = await self._batch(steps)
        return bool(changed) if found else None

    async def mark_all(
        self, user_id: str, before: float | None, category: str | None, at: float, cancels: Cancels
    ) -> int:
        params: dict[str, Any] = {
            "user_id": user_id, "before": before, "category": category, "at": at,
            "ticket": secrets.token_hex(8),
        }  # fmt: skip
        params |= {f"other{i}": name for i, name in enumerate(cancels.other)}
        steps = [(text, params) for text in self._sql.mark_all]
        steps.append(
            (self._sql.cancel_all(default=cancels.default, others=len(cancels.other)), params)
        )
        return len((await self._batch([*steps, *self.ringing([user_id])]))[0])

    async def unread(self, user_id: str) -> int:
        return int((await self._fetch(self._sql.unread, {"user_id": user_id}))[0][0])

    async def last_seq(self, user_id: str) -> int:
        text = f"SELECT seq FROM {self._sql.table}_users WHERE user_id = :user_id"  # noqa: S608
        rows = await self._fetch(text, {"user_id": user_id})
        return int(rows[0][0]) if rows else 0

    async def events(self, user_id: str, since: int, limit: int) -> Sequence[EventRecord]:
        params = {"user_id": user_id, "since": since, "limit": limit}
        return [event_of(user_id, row) for row in await self._fetch(self._sql.events, params)]

    async def changes(self, user_id: str, since: int | None, limit: int) -> StoredChanges:
        params = {"user_id": user_id, "since": _END if since is None else since, "limit": limit}
        rows: list[Row] = []
        if self._db.is_sqlite:  # another statement costs less there than an order to be found
            if since is not None:
                rows = await self._fetch(self._sql.told_changes, params)
            if not rows:
                stand = await self._fetch(self._sql.stand, params)
                if since is None or stand[0][0] <= since:
                    return StoredChanges.of([], stand[0][0] if since is None else since, *stand[0])
        # here too where something happened between the two, or is there no more
        rows = rows or await self._fetch(self._sql.changes, params)
        last, unread = int(rows[0][0]), int(rows[0][1])
        # one row without an event says where the inbox stands if nothing happened
        found = [] if rows[0][2] is None else [event_of(user_id, row, 2) for row in rows]
        return StoredChanges.of(found, last if since is None else since, last, unread)

    async def publish(self, verdict: Verdict, notification_id: str, at: float) -> bool:
        note = await self.get(notification_id, None)
        if note is None:
            return False
        ticket = secrets.token_hex(8)
        held = {"id": note.id, "user_id": note.user_id, "ticket": ticket, "at": at}
        mine = {**held, "delivery": verdict.id, "fence": verdict.fence}
        steps: list[Step] = [
            (self._sql.finish, verdict_params(verdict, at)),
            (self._sql.mark_published, mine),
        ]
        steps += [(text, held) for text in self._sql.show]
        steps += self.ringing([note.user_id])
        return bool((await self._batch(steps))[0])

    async def erase(self, user_id: str) -> int:
        rests = ("_deliveries", "_events", "_users", "_preferences", "_topics", "_quotas")
        whose = {"user_id": user_id}
        main = f"DELETE FROM {self._sql.table} WHERE user_id = :user_id RETURNING id"  # noqa: S608
        steps: list[Step] = [(main, whose)]
        steps += [
            (f"DELETE FROM {self._sql.table}{rest} WHERE user_id = :user_id", whose)  # noqa: S608
            for rest in rests
        ]
        return len((await self._batch([*steps, *self.ringing([user_id])]))[0])

    async def setup(self) -> None:
        await self._db.setup()

    def schema_sql(self) -> str:
        return self._schema.script(self._db)

    async def aclose(self) -> None:
        await self._db.aclose()

    def detach(self) -> None:
        self._db.detach()
