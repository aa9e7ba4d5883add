"""Storing notifications in PostgreSQL: two statements, however many there are.

The first takes the users' next numbers, and with them the locks that make commit order the order of
the numbers; the second, whose snapshot is younger than the locks, stores everything by arrays.
"""

import functools
import itertools
import operator
import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .._common.sql import Plan
from ..stored import Added, Entry
from . import sql_tables as sql
from .postgres_bell import bell_of, payloads, rings

_TIMES = ("created_at", "read_at", "archived_at", "due_at", "updated_at", "at")
_KINDS = {
    **dict.fromkeys(_TIMES, "FLOAT8"),
    **dict.fromkeys(("seq", "version", "attempts", "fence", "nth"), "INT8"),
    **dict.fromkeys(("body", "attachments"), "BYTEA"),
}  # fmt: skip
_GIVEN = (*sql.NOTE, "nth")
_SEPARATOR = "\x1f"  # in no text of a notification, which has no control characters
_IDS = frozenset({"id", "notification_id"})
_AS_CREATED = frozenset({"due_at", "updated_at"})


class KnownError(Exception):
    """A notification of the call is there already: nothing of the call was stored."""


class Arrays:
    """The statements of one table's name, and what they are given."""

    def __init__(self, table: str) -> None:
        """Store into the tables that begin with ``table``."""
        self._table, self._bell = table, bell_of(table)

    def plan(self, entries: Sequence[Entry]) -> Plan[list[Added]]:
        """Store ``entries``, all or none; see ``NotificationStore.add``.

        Raises:
            KnownError: One is there already.
        """
        # in one order everywhere, so that two calls never wait for each other's users
        ordered = sorted(entries, key=lambda each: each.record.user_id)
        counts = Counter(each.record.user_id for each in ordered if each.visible)
        places: dict[str, itertools.count[int]] = {}
        if counts:
            users = {"users": list(counts), "counts": list(counts.values())}
            rows = yield self._numbers, users
            places = {str(user): itertools.count(int(seq) - counts[user] + 1) for user, seq in rows}
        seqs = {
            each.record.id: next(places[each.record.user_id]) for each in ordered if each.visible
        }
        rows = yield self._store, self._given(ordered, seqs)
        if int(rows[0][0]) < len(entries):
            raise KnownError
        for each in entries:
            each.record.seq = seqs.get(each.record.id)
        return [Added(each.record, each.deliveries, created=True) for each in entries]

    def _given(self, entries: Sequence[Entry], seqs: dict[str, int]) -> dict[str, Any]:
        notes = [each.record for each in entries]
        deliveries = [one for each in entries for one in each.deliveries]
        unread, nth = dict[str, int](), list[int]()
        for each in notes:
            new = each.id in seqs and each.read_at is None and each.archived_at is None
            unread[each.user_id] = unread.get(each.user_id, 0) + new
            nth.append(unread[each.user_id])
        places = {"seq": [seqs.get(each.id) for each in notes], "nth": nth}
        return {
            "ticket": secrets.token_hex(8),
            "bell": self._bell,
            "payloads": list(payloads({each.user_id for each in notes if each.id in seqs})),
            **columns("n", notes, _GIVEN, places),
            **columns("d", deliveries, sql.DELIVERY),
        }

    @functools.cached_property
    def _numbers(self) -> str:
        return (
            f"INSERT INTO {self._table}_users (user_id, seq) "  # noqa: S608  own words
            "SELECT * FROM unnest(CAST(:users AS TEXT[]), CAST(:counts AS INT8[])) "
            "ON CONFLICT (user_id) "
            f"DO UPDATE SET seq = {self._table}_users.seq + excluded.seq RETURNING user_id, seq"
        )

    @functools.cached_property
    def _store(self) -> str:
        table, note, delivery = self._table, ", ".join(sql.NOTE), ", ".join(sql.DELIVERY)
        unread = (
            f"SELECT count(*) FROM {table} n WHERE n.user_id = e.user_id AND n.seq IS NOT NULL "  # noqa: S608
            "AND n.read_at IS NULL AND n.archived_at IS NULL"
        )
        return (
            f"WITH given AS (SELECT {filled('n', _GIVEN)} FROM {unnest('n', _GIVEN)}), "  # noqa: S608
            f"notes AS (INSERT INTO {table} ({note}, ticket) "
            f"SELECT {note}, CAST(:ticket AS TEXT) FROM given "
            "ON CONFLICT DO NOTHING RETURNING id), "
            f"sent AS (INSERT INTO {table}_deliveries ({delivery}) "
            f"SELECT {filled('d', sql.DELIVERY)} FROM {unnest('d', sql.DELIVERY)} "
            "WHERE d.notification_id IN (SELECT id FROM notes)), "
            f"told AS (INSERT INTO {table}_events (user_id, seq, kind, unread, at, "
            f"notification_id) SELECT e.user_id, e.seq, 'created', e.nth + ({unread}), "
            "e.created_at, e.id FROM given e WHERE e.seq IS NOT NULL) "
            f"SELECT (SELECT count(*) FROM notes), {rings()}"
        )


def kind_of(name: str) -> str:
    """Return the type of a column."""
    return _KINDS.get(name, "TEXT")


def columns(
    letter: str, records: Sequence[Any], names: Sequence[str], known: Mapping[str, Any] = {}
) -> dict[str, Any]:
    """Return the columns of ``records``, each as a text, an array and a value.

    asyncpg looks at each value of an array several times. So what is the same in all is sent once,
    a time that is that of ``created_at`` not at all, and what can be joined is one text. ``known``
    are columns that no record holds.
    """
    given, created = dict[str, Any](), list(map(_getter("created_at"), records))
    for name in names:
        found: list[Any] = known[name] if name in known else list(map(_getter(name), records))
        if name == "status":
            found = list(map(str, found))
        first = found[0] if found else None
        # of an array of ids there are as many as rows
        alike = name not in _IDS and found.count(first) == len(found)
        same = name in _AS_CREATED and found == created
        text = None if alike or same else _joined(name, found)
        given[f"{letter}_{name}"] = [] if alike or same or text is not None else found
        given[f"{letter}_{name}_text"] = text
        given[f"{letter}_{name}_all"] = first if alike and not same else None
    return given


@functools.cache
def _getter(name: str) -> Callable[[Any], Any]:
    return operator.attrgetter(name)


def _joined(name: str, values: list[Any]) -> str | None:
    """Return values as one text that can be taken apart again; None if there is none."""
    kind = kind_of(name)
    # bytes may be in no encoding, and a text without a letter is an array without a value
    if kind == "BYTEA" or None in values or "" in values:
        return None
    made = _SEPARATOR.join(values if kind == "TEXT" else map(repr, values))
    return made if made.count(_SEPARATOR) == len(values) - 1 else None


def filled(letter: str, names: Sequence[str]) -> str:
    """Return columns with what was sent once in the place of what was not sent."""

    def one(name: str) -> str:
        return f"{letter}.{name}, CAST(:{letter}_{name}_all AS {kind_of(name)})"

    made = one("created_at")
    return ", ".join(
        f"COALESCE({one(name)}{f', {made}' if name in _AS_CREATED else ''}) AS {name}"
        for name in names
    )


def unnest(letter: str, names: Sequence[str]) -> str:
    """Return arrays as rows: ``unnest(…) AS n (…)``."""

    def array(name: str) -> str:
        kind = f"{kind_of(name)}[]"
        whole = f"CAST(:{letter}_{name} AS {kind})"
        parts = f"string_to_array(CAST(:{letter}_{name}_text AS TEXT), E'\\x1f')"
        return whole if kind == "BYTEA[]" else f"COALESCE(CAST({parts} AS {kind}), {whole})"

    arrays = map(array, names)
    return f"unnest({', '.join(arrays)}) AS {letter} ({', '.join(names)})"
