"""The statements of the SQL store, the same on SQLite and PostgreSQL."""

import functools
from dataclasses import dataclass

from .sql_tables import DELIVERY, NOTE, OPEN, TOLD, TOLD_NOTE

_REAL = "CAST(:{} AS DOUBLE PRECISION)"
_THIS = "CAST(:id AS TEXT)"


def _bump(table: str, guard: str) -> str:
    """Take the next number of a user's sequence; its row lock makes commit order that order."""
    return (
        f"INSERT INTO {table}_users (user_id, seq) SELECT user_id, 1 FROM {table} WHERE {guard} "  # noqa: S608
        f"GROUP BY user_id ON CONFLICT (user_id) DO UPDATE SET seq = {table}_users.seq + 1"
    )


@dataclass(frozen=True)
class Statements:
    """Every statement on the tables of one name.

    ``ticket`` is a fresh word of each call: a row that carries it was changed by this call, so the
    statements after it act on nothing else, and a batch needs no answer in between.
    """

    table: str
    skip_locked: str
    unread_by: str = ""
    """Names the index of what is unread, for SQLite, which prefers that of all places."""

    def _event(self, kind: str, note: str, guard: str, but: str = "") -> str:
        table = self.table
        count = (
            f"(SELECT count(*) FROM {table} AS n{self.unread_by} WHERE n.user_id = u.user_id "  # noqa: S608
            f"AND n.seq IS NOT NULL AND n.read_at IS NULL AND n.archived_at IS NULL{but})"
        )
        return (
            f"INSERT INTO {table}_events (user_id, seq, kind, unread, at, notification_id, "  # noqa: S608
            f"category, before) SELECT u.user_id, u.seq, {kind}, {count}, {_REAL.format('at')}, "
            f"{note} FROM {table}_users u WHERE u.user_id = :user_id AND EXISTS ("
            f"SELECT 1 FROM {table} g WHERE {guard})"
        )

    @functools.cached_property
    def add_note(self) -> str:
        """Store a notification unless its id or key is there."""
        names = [name for name in NOTE if name != "seq"]
        return (
            f"INSERT INTO {self.table} ({', '.join(names)}, ticket) VALUES "  # noqa: S608
            f"({', '.join(f':{name}' for name in names)}, :ticket) "
            "ON CONFLICT DO NOTHING RETURNING id"
        )

    @functools.cached_property
    def show(self) -> tuple[str, ...]:
        """Bring a notification of ours into the inbox: number, place, event."""
        mine = "id = :id AND ticket = :ticket"
        place = (
            f"UPDATE {self.table} SET seq = (SELECT u.seq FROM {self.table}_users u "  # noqa: S608
            f"WHERE u.user_id = {self.table}.user_id) WHERE {mine} AND seq IS NULL RETURNING seq"
        )
        guard = "g.id = :id AND g.ticket = :ticket AND g.seq = u.seq"
        event = self._event("'created'", f"{_THIS}, NULL, NULL", guard)
        return _bump(self.table, f"{mine} AND seq IS NULL"), place, event

    @functools.cached_property
    def add_delivery(self) -> str:
        """Store a delivery of a notification of ours."""
        numbers = {"due_at": _REAL, "created_at": _REAL, "updated_at": _REAL}
        whole = dict.fromkeys(("attempts", "fence", "version"), "CAST(:{} AS BIGINT)")
        casts = {**numbers, **whole}
        values = ", ".join(casts.get(name, "CAST(:{} AS TEXT)").format(name) for name in DELIVERY)
        return (
            f"INSERT INTO {self.table}_deliveries ({', '.join(DELIVERY)}) SELECT {values} "  # noqa: S608
            f"FROM {self.table} n WHERE n.id = :notification_id AND n.ticket = :ticket"
        )

    @functools.cached_property
    def existing(self) -> str:
        """Find what kept an entry out."""
        return (
            f"SELECT {', '.join(NOTE)} FROM {self.table} WHERE id = :id OR "  # noqa: S608
            "(user_id = :user_id AND idempotency_key = :key) ORDER BY id = :id DESC LIMIT 1"
        )

    def note(self, *, whole: bool) -> str:
        """Return the columns of a notification, with or without its attachments."""
        return ", ".join(f"n.{name}" if whole or name != "attachments" else "NULL" for name in NOTE)

    @functools.cached_property
    def by_id(self) -> str:
        """Read a notification."""
        return f"SELECT {self.note(whole=True)} FROM {self.table} n WHERE n.id = :id"  # noqa: S608

    def marking(self, kind: str) -> tuple[str, ...]:
        """Set a notification read, archived or deleted: change, number, event(, removal)."""
        mine = "id = :id AND ticket = :ticket"
        column = {"read": "read_at", "archived": "archived_at"}.get(kind)
        change = f"ticket = :ticket{f', {column} = :at' if column else ''}"
        fresh = f" AND {column} IS NULL" if column else ""
        but = "" if column else " AND n.id <> :id"
        guard = "g.id = :id AND g.ticket = :ticket AND g.seq IS NOT NULL"
        set_it = (
            f"UPDATE {self.table} SET {change} WHERE id = :id AND user_id = :user_id{fresh} "  # noqa: S608
            "RETURNING id"
        )
        event = self._event(f"'{kind}'", f"{_THIS}, NULL, NULL", guard, but)
        steps = set_it, _bump(self.table, f"{mine} AND seq IS NOT NULL"), event
        if column:
            return steps
        deliveries = (
            f"DELETE FROM {self.table}_deliveries WHERE notification_id = :id AND EXISTS ("  # noqa: S608
            f"SELECT 1 FROM {self.table} n WHERE n.id = :id AND n.ticket = :ticket)"
        )
        return *steps, deliveries, f"DELETE FROM {self.table} WHERE {mine}"  # noqa: S608

    @functools.cached_property
    def cancel(self) -> str:
        """End the pending deliveries of one notification."""
        return (
            f"UPDATE {self.table}_deliveries SET status = 'cancelled', reason = 'read', "  # noqa: S608
            "updated_at = :at WHERE notification_id = :id AND user_id = :user_id "
            "AND status = 'pending'"
        )

    @functools.cached_property
    def mark_all(self) -> tuple[str, ...]:
        """Set the inbox read: change, number, event."""
        mine = "user_id = :user_id AND ticket = :ticket"
        limit, kind = "CAST(:before AS DOUBLE PRECISION)", "CAST(:category AS TEXT)"
        change = (
            f"UPDATE {self.table} SET read_at = :at, ticket = :ticket WHERE user_id = :user_id "  # noqa: S608
            "AND seq IS NOT NULL AND read_at IS NULL AND archived_at IS NULL "
            f"AND ({limit} IS NULL OR created_at < {limit}) "
            f"AND ({kind} IS NULL OR category = {kind}) RETURNING id"
        )
        guard = "g.user_id = :user_id AND g.ticket = :ticket"
        event = self._event("'all_read'", f"NULL, {kind}, {limit}", guard)
        return change, _bump(self.table, mine), event

    def cancel_all(self, *, default: bool, others: int) -> str:
        """End the pending deliveries of what ``mark_all`` changed, by category."""
        named = ", ".join(f":other{i}" for i in range(others)) or "NULL"
        test = f"COALESCE(n.category, '') {'NOT IN' if default else 'IN'} ({named})"
        if not others:
            test = "1 = 1" if default else "1 = 0"
        return (
            f"UPDATE {self.table}_deliveries SET status = 'cancelled', reason = 'read', "  # noqa: S608
            "updated_at = :at WHERE status = 'pending' AND notification_id IN ("
            f"SELECT n.id FROM {self.table} n WHERE n.user_id = :user_id AND n.ticket = :ticket "
            f"AND {test})"
        )

    @functools.cached_property
    def events(self) -> str:
        """Read a user's events with their notifications."""
        return (
            f"SELECT {self._happened} FROM {self.table}_events e {self._spoken_of} "  # noqa: S608
            "WHERE e.user_id = :user_id AND e.seq > :since ORDER BY e.seq LIMIT :limit"
        )

    @functools.cached_property
    def changes(self) -> str:
        """Read the same, each after the last number of the sequence and the unread count."""
        return (
            f"SELECT COALESCE(u.seq, 0), ({self.unread}), {self._happened} "  # noqa: S608
            f"FROM (SELECT CAST(:user_id AS TEXT) AS id) me "
            f"LEFT JOIN {self.table}_users u ON u.user_id = me.id "
            f"LEFT JOIN {self.table}_events e ON e.user_id = me.id AND e.seq > :since "
            f"{self._spoken_of} ORDER BY e.seq LIMIT :limit"
        )

    @functools.cached_property
    def told_changes(self) -> str:
        """Read the same where there are events; SQLite sorts nothing then."""
        return (
            f"SELECT {self._stand}, {self._happened} "  # noqa: S608
            f"FROM {self.table}_events e {self._spoken_of} "
            "WHERE e.user_id = :user_id AND e.seq > :since ORDER BY e.seq LIMIT :limit"
        )

    @functools.cached_property
    def stand(self) -> str:
        """Read the last number of the sequence and the unread count."""
        return f"SELECT {self._stand}"

    @functools.cached_property
    def _stand(self) -> str:
        last = f"SELECT seq FROM {self.table}_users WHERE user_id = :user_id"  # noqa: S608
        return f"COALESCE(({last}), 0), ({self.unread})"

    @functools.cached_property
    def unread(self) -> str:
        """Count what of an inbox is neither read nor archived."""
        return (
            f"SELECT count(*) FROM {self.table}{self.unread_by} WHERE user_id = :user_id "  # noqa: S608
            "AND seq IS NOT NULL AND read_at IS NULL AND archived_at IS NULL"
        )

    @functools.cached_property
    def wishes(self) -> str:
        """Read what a user wants."""
        return f"SELECT data FROM {self.table}_preferences WHERE user_id = :user_id"  # noqa: S608

    @functools.cached_property
    def _happened(self) -> str:
        fields = [f"e.{name}" for name in TOLD] + [f"n.{name}" for name in TOLD_NOTE]
        return ", ".join(fields)

    @functools.cached_property
    def _spoken_of(self) -> str:
        # a new one by its place, which is the event's: its neighbours lie beside it
        place = (
            f"CASE WHEN e.kind = 'created' THEN e.seq ELSE "  # noqa: S608
            f"(SELECT m.seq FROM {self.table} m WHERE m.id = e.notification_id) END"
        )
        return f"LEFT JOIN {self.table} n ON n.user_id = e.user_id AND n.seq = {place}"

    @functools.cached_property
    def due_first(self) -> str:
        """Find what is due first on one channel; of a bundle the first alone."""
        return (
            f"SELECT d.id FROM {self.table}_deliveries d WHERE d.{OPEN} AND d.channel = :channel "  # noqa: S608
            f"AND d.due_at <= :now AND (d.bundle IS NULL OR NOT EXISTS ("
            f"SELECT 1 FROM {self.table}_deliveries b WHERE b.bundle = d.bundle AND b.{OPEN} "
            "AND b.due_at <= :now AND b.id < d.id)) "
            f"ORDER BY d.due_at, d.id LIMIT :slots{self.skip_locked}"
        )

    @functools.cached_property
    def claim(self) -> str:
        """Lease due deliveries of one channel."""
        return (
            f"UPDATE {self.table}_deliveries SET status = 'sending', attempts = attempts + 1, "  # noqa: S608
            "fence = fence + 1, due_at = :until, updated_at = :now WHERE id IN ("
            f"{self.due_first}) "
            f"RETURNING {', '.join(DELIVERY)}"
        )

    @functools.cached_property
    def claim_bundle(self) -> str:
        """Lease the rest of a bundle whose first one was just leased: nobody else may claim it."""
        return (
            f"UPDATE {self.table}_deliveries SET status = 'sending', attempts = attempts + 1, "  # noqa: S608
            "fence = fence + 1, due_at = :until, updated_at = :now "
            f"WHERE bundle = :bundle AND {OPEN} AND due_at <= :now "
            f"RETURNING {', '.join(DELIVERY)}"
        )

    @functools.cached_property
    def finish(self) -> str:
        """Record how an attempt ended, if it is still held."""
        return (
            f"UPDATE {self.table}_deliveries SET status = :status, reason = :reason, "  # noqa: S608
            "due_at = :due_at, attempts = :attempts, provider = :provider, "
            "provider_id = :provider_id, history = :history, updated_at = :at "
            "WHERE id = :id AND fence = :fence AND status = 'sending' RETURNING id"
        )

    @functools.cached_property
    def mark_published(self) -> str:
        """Make a notification ours whose in-app delivery was just finished."""
        return (
            f"UPDATE {self.table} SET ticket = :ticket WHERE id = :id AND seq IS NULL AND EXISTS ("  # noqa: S608
            f"SELECT 1 FROM {self.table}_deliveries d WHERE d.id = :delivery AND d.fence = :fence "
            "AND d.status = 'delivered')"
        )

    @functools.cached_property
    def old(self) -> str:
        """Find what retention removes."""
        read, unread = _REAL.format("read"), _REAL.format("unread")
        done = "COALESCE(n.read_at, n.archived_at)"
        return (
            f"SELECT n.id FROM {self.table} n WHERE ({done} < {read} OR "  # noqa: S608
            f"({done} IS NULL AND n.created_at < {unread})) AND NOT EXISTS ("
            f"SELECT 1 FROM {self.table}_deliveries d WHERE d.notification_id = n.id AND d.{OPEN}) "
            "LIMIT :limit"
        )
