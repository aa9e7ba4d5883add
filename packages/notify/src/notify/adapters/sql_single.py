"""Storing one notification in PostgreSQL by one statement, which commits by itself.

It compares the user's preferences, takes the user's next number, and stores. Its snapshot is older
than the lock that comes with the number, so that it may not see what another call did to the same
inbox just before, and count the unread wrongly. The numbers tell: every change takes one. Then the
statement fails, nothing of it is stored, and it is done by the two statements of ``sql_arrays``.
"""

import functools
from typing import TYPE_CHECKING, Any

import msgspec

from .._common.sql_statements import code_of
from ..errors import BackendError
from ..stored import Added, Entry, OtherPreferences
from . import sql_tables as sql
from .postgres_bell import bell_of, payloads, rings
from .sql_arrays import columns, filled, kind_of, unnest

if TYPE_CHECKING:
    from .sql_adding import SQLAdding

_STALE = "22P02"  # the number that cannot be read: invalid text representation


class Single:
    """The statement of one table's name, and what it is given."""

    def __init__(self, table: str) -> None:
        """Store into the tables that begin with ``table``."""
        self._table, self._bell = table, bell_of(table)

    async def add(
        self, store: "SQLAdding", entry: Entry, preferences: bytes | None
    ) -> Added | OtherPreferences | None:
        """Store an entry as ``add_under`` does; None where it takes more than this statement."""
        given = self._given(entry, preferences)
        try:
            [row] = await store._fetch(self._text, given)  # noqa: SLF001  its other half
        except BackendError as exc:
            if code_of(exc.__cause__) == _STALE:
                return None
            raise
        held, stored, seq = row[0], row[1], row[2]
        if held != preferences:
            return OtherPreferences(held)
        if not stored:  # it is there already
            return None
        record = msgspec.structs.replace(entry.record, seq=seq)
        return Added(record, entry.deliveries, created=True)

    def _given(self, entry: Entry, preferences: bytes | None) -> dict[str, Any]:
        record, deliveries = entry.record, entry.deliveries
        given: dict[str, Any] = {
            "wishes": preferences,
            "visible": entry.visible,
            "nth": int(record.read_at is None and record.archived_at is None),
            "bell": self._bell,
            "payloads": list(payloads([record.user_id] if entry.visible else [])),
        }
        given |= {f"n_{name}": getattr(record, name) for name in sql.NOTE if name != "seq"}
        return given | columns("d", deliveries, sql.DELIVERY)

    @functools.cached_property
    def _text(self) -> str:
        table, user = self._table, "CAST(:n_user_id AS TEXT)"
        names = [name for name in sql.NOTE if name != "seq"]
        values = ", ".join(f"CAST(:n_{name} AS {kind_of(name)})" for name in names)
        unread = (
            f"SELECT count(*) FROM {table} n WHERE n.user_id = {user} AND n.seq IS NOT NULL "  # noqa: S608  own words
            "AND n.read_at IS NULL AND n.archived_at IS NULL"
        )
        return (
            f"WITH wish AS (SELECT data FROM {table}_preferences WHERE user_id = {user}), "  # noqa: S608
            f"free AS (SELECT 1 AS one WHERE (SELECT data FROM wish) IS NOT DISTINCT FROM "
            f"CAST(:wishes AS BYTEA) AND NOT EXISTS (SELECT 1 FROM {table} k "
            f"WHERE k.id = CAST(:n_id AS TEXT)) AND NOT EXISTS (SELECT 1 FROM {table} k "
            f"WHERE k.user_id = {user} AND k.idempotency_key = CAST(:n_idempotency_key AS TEXT))), "
            f"num AS (INSERT INTO {table}_users (user_id, seq) SELECT {user}, 1 FROM free "
            "WHERE CAST(:visible AS BOOLEAN) ON CONFLICT (user_id) "
            f"DO UPDATE SET seq = {table}_users.seq + 1 RETURNING seq), "
            f"notes AS (INSERT INTO {table} (seq, {', '.join(names)}, ticket) "
            f"SELECT num.seq, {values}, CAST(:n_id AS TEXT) FROM free LEFT JOIN num ON TRUE "
            "ON CONFLICT DO NOTHING RETURNING seq), "
            f"sent AS (INSERT INTO {table}_deliveries ({', '.join(sql.DELIVERY)}) "
            f"SELECT {filled('d', sql.DELIVERY)} FROM {unnest('d', sql.DELIVERY)} "
            "WHERE EXISTS (SELECT 1 FROM notes)), "
            f"told AS (INSERT INTO {table}_events (user_id, seq, kind, unread, at, "
            f"notification_id) SELECT {user}, num.seq, 'created', "
            f"CAST(:nth AS INT8) + ({unread}), CAST(:n_created_at AS FLOAT8), "
            "CAST(:n_id AS TEXT) FROM num) "
            "SELECT (SELECT data FROM wish), (SELECT count(*) FROM notes), (SELECT seq FROM num), "
            # no number: the whole statement fails, and is undone
            "CASE WHEN (SELECT count(*) FROM notes) < (SELECT count(*) FROM free) OR "
            f"(SELECT seq FROM num) <> 1 + COALESCE((SELECT seq FROM {table}_users "
            f"WHERE user_id = {user}), 0) "
            "THEN CAST('stale ' || (SELECT count(*) FROM free) AS INT8) END, "
            f"{rings('WHERE EXISTS (SELECT 1 FROM notes)')}"
        )
