"""Operations in a SQLite file that every process of a machine shares, or in PostgreSQL."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, Self, TypeVar

import msgspec

from .._common.clock import new_id
from .._common.sql import Database
from .._common.sql_connect import kind_of
from .._common.sql_lanes import Row
from .._common.sql_quick import QuickDatabase
from .._common.sql_statements import Params, is_conflict
from .._common.sql_transactions import Transaction
from .._common.urls import flag, query_of, scheme_of, without_query
from ..errors import BackendError, ConfigurationError
from ..models import Page, ProgressStatus
from ..ports import (
    Backplane,
    Beat,
    Capabilities,
    Created,
    Filters,
    Overdue,
    Position,
    ProgressStore,
    Record,
    Write,
    Written,
)
from ..rules.percent import units_of
from .options import number
from .page_cursors import after, cursor_of
from .sql_bell import PostgresBackplane, channel_of
from .sql_rows import (
    NOTHING,
    adds,
    all_params,
    ended_by,
    names_of,
    own_params,
    record_of,
    refused,
    where_of,
    written_of,
)
from .sql_tables import Statements, schema

_MODES = {"OFF", "NORMAL", "FULL", "EXTRA"}
_TRIES = 6
T = TypeVar("T")


class SQLStore(ProgressStore):
    """Operations in one table of a SQLite file.

    A write is one statement, with ancestors one transaction.
    """

    capabilities = Capabilities(durable=True, shared=True)

    kinds: ClassVar[frozenset[str]] = frozenset({"sqlite"})
    session: ClassVar[str] = ""

    def __init__(
        self,
        url: str,
        *,
        table: str = "progress",
        synchronous: str = "NORMAL",
        timeout: float = 10.0,
        pool: int = 4,
        notify: bool = True,
    ) -> None:
        """Use the file of ``sqlite:///relative.db``, or a server; the first call connects.

        Args:
            url: The database. SQLite gets its table at the first call.
            table: Its name: letters, digits and underscores.
            synchronous: SQLite's setting. NORMAL survives any crash, FULL a loss of power too.
            timeout: Seconds within which a server must have done a call.
            pool: The most connections to a server at once, beside the one that listens.
            notify: Whether PostgreSQL tells of each change, in the statement that makes it.
        """
        kind = kind_of(scheme_of(url))
        if kind not in self.kinds:
            raise ConfigurationError(f"not a URL of {' or '.join(sorted(self.kinds))}: {kind!r}")
        if not (table.isidentifier() and table.isascii() and len(table) <= 40):
            raise ConfigurationError(f"not a name of a table: {ascii(table)[:60]}")
        self._given: dict[str, Any] = {
            "url": url, "table": table, "synchronous": synchronous, "timeout": timeout,
            "pool": pool, "notify": notify,
        }  # fmt: skip
        # only asyncpg's calls end when their connection is closed, which is how these are limited
        database = QuickDatabase if kind == "postgresql" else Database
        self.database = database(
            url, schema(table, kind), dist="progress-tracker", fault=BackendError,
            synchronous=synchronous, timeout=timeout, lanes=pool, session=self.session,
        )  # fmt: skip
        channel = channel_of(table) if notify and kind == "postgresql" else None
        self._sql = Statements(table, kind, channel=channel)

    @classmethod
    def from_url(cls, url: str, *, table: str = "progress") -> Self:
        """Return a store for a URL and its options; those of a server's driver are passed on.

        ``sqlite:///file.db?synchronous=FULL``, ``postgresql://…?timeout=10&pool=4&notify=off``.

        Raises:
            ConfigurationError: An option or its value is unknown.
        """
        if kind_of(scheme_of(url)) != "sqlite":
            return cls(**server_arguments(url), table=table)
        options = query_of(url, allowed=frozenset({"synchronous"}))
        mode = options.get("synchronous", "NORMAL").upper()
        if mode not in _MODES:
            raise ConfigurationError(
                f"synchronous must be OFF, NORMAL, FULL or EXTRA, not {mode!r}"
            )
        return cls(without_query(url), table=table, synchronous=mode)

    def twin(self) -> Self:
        return type(self)(**self._given)

    def schema_sql(self) -> str:
        return self.database.schema.script(self.database)

    async def setup(self) -> None:
        await self.database.setup()

    async def create(self, record: Record) -> Created:
        made = msgspec.structs.replace(
            record, units=units_of(record.status, record.state, record.kids)
        )
        if made.parent_id is None:
            stored = bool(await self.database.fetch(self._sql.insert, all_params(made)))
        else:
            try:
                stored = await self._tried(lambda: self._create_child(made))
            except _NoParent:
                return Created("no_parent", None)
        if stored:
            return Created("created", made)
        known = await self.get(made.id)
        if known is None:
            return await self.create(record)  # it was deleted between the two statements
        return Created("created" if known.token == made.token else "exists", known)

    async def _create_child(self, record: Record) -> bool:
        counts, lift = adds(weight=record.weight, total=1), new_id()
        async with self.database.transaction() as open_:
            if not await open_.fetch(self._sql.insert, all_params(record, lift)):
                return False
            lifts = self._lifts(record.id, record.ancestors, lift, counts, record.created_at)
            if not await _climb(open_, lifts):
                raise _NoParent
        return True

    def _lifts(
        self, child: str, ancestors: Sequence[str], lift: str, counts: Params, now: float
    ) -> list[tuple[str, Params]]:
        """Return the statements that add a change of ``child`` to each ancestor."""
        steps: list[tuple[str, Params]] = []
        for parent in ancestors:
            params = {**counts, "parent": parent, "child": child, "lift": lift, "now": now}
            steps.append((self._sql.lift, params))
            child, counts = parent, NOTHING
        return steps

    async def write(self, writes: Sequence[Write]) -> Sequence[Written]:
        if len(writes) == 1 and not writes[0].record.ancestors:
            rows = [await self.database.fetch(self._sql.write, own_params(writes[0].record, ""))]
        else:
            rows = await self._tried(lambda: self._write_all(writes))
        pairs = [(each.record, row) for each, row in zip(writes, rows, strict=True)]
        late = [new.id for new, row in pairs if not row]
        stored = await self.get_many(late) if late else {}
        return [
            Written(applied=True, record=written_of(new, row[0]))
            if row
            else refused(new, stored.get(new.id))
            for new, row in pairs
        ]

    async def _write_all(self, writes: Sequence[Write]) -> list[list[Row]]:
        steps: list[tuple[str, Params]] = []
        places: list[int] = []
        for each in writes:
            new, lift = each.record, new_id()
            places.append(len(steps))
            steps.append((self._sql.write, own_params(new, lift)))
            steps += self._lifts(new.id, new.ancestors, lift, ended_by(each), new.updated_at)
        rows = await self.database.batch(steps)
        return [rows[place] for place in places]

    async def get(self, id: str) -> Record | None:
        rows = await self.database.fetch(self._sql.by_id, {"id": id})
        return record_of(rows[0]) if rows else None

    async def get_many(self, ids: Collection[str]) -> Mapping[str, Record]:
        rows = await self._among(self._sql.by_ids, ids)
        return {record.id: record for record in map(record_of, rows)}

    async def positions(self, ids: Collection[str]) -> Mapping[str, Position]:
        rows = await self._among(self._sql.positions, ids)
        return {row[0]: (row[1], row[2]) for row in rows}

    async def _among(self, text: str, ids: Collection[str]) -> list[Row]:
        bound = json.dumps(list(ids)) if self.database.is_sqlite else list(ids)
        return await self.database.fetch(text, {"ids": bound})

    async def _tried(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do ``work`` again where the server undid it for another one's sake (a deadlock)."""
        for attempt in range(_TRIES):
            try:
                return await work()
            except BackendError as exc:
                if attempt == _TRIES - 1 or not self._is_undone(exc):
                    raise
                await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))
        raise AssertionError("unreachable")  # the last attempt returned or raised

    def _is_undone(self, exc: BackendError) -> bool:
        return is_conflict(exc.__cause__)

    async def touch(self, beats: Sequence[Beat]) -> Sequence[bool | None]:
        steps = [(self._sql.touch, msgspec.structs.asdict(beat)) for beat in beats]
        return [bool(rows[0][0]) if rows else None for rows in await self.database.batch(steps)]

    async def list_records(self, filters: Filters, limit: int, cursor: str | None) -> Page[Record]:
        where, params = where_of(filters)
        if (below := after(cursor)) is not None:
            where.append("(created_at < :at OR (created_at = :at AND id < :below))")
            params |= {"at": below[0], "below": below[1]}
        text = f"{self._sql.list} {' AND '.join(where) or '1 = 1'} "
        text += "ORDER BY created_at DESC, id DESC LIMIT :limit"
        rows = await self.database.fetch(text, {**params, "limit": limit + 1})
        found = [record_of(row) for row in rows]
        return Page.of(found[:limit], cursor_of(found, limit))

    async def delete(self, id: str) -> Sequence[str]:
        return await self._tried(lambda: self._delete(id))

    async def _delete(self, id: str) -> Sequence[str]:
        lift = new_id()
        async with self.database.transaction() as open_:
            rows = await open_.fetch(self._sql.leave, {"id": id, "lift": lift})
            if not rows:
                return []
            weight, status, ancestors, now = rows[0]
            ends = {str(status): -1} if ProgressStatus(status).is_final else {}
            counts = adds(weight=-weight, total=-1, **ends)
            await _climb(open_, self._lifts(id, names_of(ancestors), lift, counts, now))
            return [row[0] for row in await open_.fetch(self._sql.delete, {"id": id})]

    async def overdue(
        self, now: float, completed_before: float, failed_before: float, limit: int
    ) -> Overdue:
        before = {"completed_before": completed_before, "failed_before": failed_before}
        stalled, expired = await self.database.batch(
            [
                (self._sql.stalled, {"now": now, "limit": limit}),
                (self._sql.expired, {**before, "limit": limit}),
            ]
        )
        return Overdue([row[0] for row in stalled], [row[0] for row in expired])

    async def aclose(self) -> None:
        await self.database.aclose()

    def detach(self) -> None:
        self.database.detach()


class PostgresStore(SQLStore):
    """Operations in one table. A write tells of itself by NOTIFY, in the same statement."""

    capabilities = Capabilities(durable=True, shared=True, rings=True)
    kinds: ClassVar[frozenset[str]] = frozenset({"postgresql"})

    def bells(self) -> Backplane | None:
        given = self._given
        if not given["notify"]:
            return None
        return PostgresBackplane(
            given["url"], table=given["table"], timeout=given["timeout"], rung=True
        )


def server_arguments(url: str) -> dict[str, Any]:
    """Return what the URL of a server says to a constructor.

    Raises:
        ConfigurationError: An option's value is out of its range.
    """
    options = query_of(url)
    return {
        "url": without_query(url, "timeout", "pool", "notify") if options else url,
        "timeout": number(options, "timeout", 10.0, 0.1, 3600),
        "pool": int(number(options, "pool", 4, 1, 100)),
        "notify": flag(options, "notify", default=True),
    }


class _NoParent(Exception):
    """Rolls a transaction back."""


async def _climb(open_: Transaction, lifts: Sequence[tuple[str, Params]]) -> bool:
    """Run ``lifts`` until one makes no difference; return whether the first one found its row."""
    for place, (text, params) in enumerate(lifts):
        if not await open_.fetch(text, params):
            return place > 0
    return True
