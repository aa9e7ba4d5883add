"""The tables of the SQL store, the same on SQLite and PostgreSQL."""

import functools
from typing import TYPE_CHECKING

from .._common.extras import require
from .._common.sql_schema import Schema

if TYPE_CHECKING:
    from sqlalchemy import MetaData

NOTE = (
    "id", "user_id", "type", "category", "created_at", "body", "fingerprint", "seq", "read_at",
    "archived_at", "idempotency_key", "attachments", "version",
)  # fmt: skip
DELIVERY = (
    "id", "notification_id", "user_id", "channel", "status", "reason", "attempts", "due_at",
    "fence", "provider", "provider_id", "created_at", "updated_at", "history", "bundle",
    "version",
)  # fmt: skip
# of an event, and of what it speaks of, all that is told; whose it is is known
TOLD = ("seq", "kind", "unread", "at", "notification_id", "category", "before")
TOLD_NOTE = (
    "type", "category", "created_at", "body", "seq", "read_at", "archived_at", "idempotency_key",
    "version",
)  # fmt: skip
_WIDEST = 800  # bytes: ids have at most 200 characters
OPEN = "status IN ('pending', 'sending')"


def make_metadata(table: str) -> "MetaData":
    """Return the tables as SQLAlchemy metadata (for Alembic too)."""
    sa = require("sqlalchemy", dist="notify", extra="sql")
    made: MetaData = sa.MetaData()
    real, number, column, long = sa.Double, sa.BigInteger, sa.Column, sa.Text
    mysql = require("sqlalchemy.dialects.mysql", dist="notify", extra="sql")
    # MySQL indexes no text without a length; as bytes, "ann" and "ann " are two, as elsewhere
    text = sa.Text().with_variant(mysql.VARBINARY(_WIDEST), "mysql", "mariadb")
    blob = sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")

    def some(kind: object, *names: str, nullable: bool = False) -> list[object]:
        return [column(name, kind, nullable=nullable) for name in names]

    notes = sa.Table(
        table,
        made,
        column("id", text, primary_key=True),
        *some(text, "user_id", "type", "fingerprint", "ticket"),
        *some(text, "category", "idempotency_key", nullable=True),
        *some(real, "created_at"),
        *some(real, "read_at", "archived_at", nullable=True),
        *some(blob, "body"),
        *some(blob, "attachments", nullable=True),
        *some(number, "seq", nullable=True),
        *some(number, "version"),
        sa.UniqueConstraint("user_id", "idempotency_key", name=f"{table}_key"),
        sa.UniqueConstraint("user_id", "seq", name=f"{table}_place"),
    )
    # partial indexes: what is read and sent, the bulk of the tables, costs nothing
    unread = sa.text("seq IS NOT NULL AND read_at IS NULL AND archived_at IS NULL")
    sa.Index(f"{table}_unread", notes.c.user_id, sqlite_where=unread, postgresql_where=unread)
    deliveries = sa.Table(
        f"{table}_deliveries",
        made,
        column("id", text, primary_key=True),
        *some(text, "notification_id", "user_id", "channel", "status"),
        *some(long, "history"),
        *some(long, "reason", nullable=True),
        *some(text, "provider", "provider_id", "bundle", nullable=True),
        *some(real, "due_at", "created_at", "updated_at"),
        *some(number, "attempts", "fence", "version"),
    )
    ready = sa.text(OPEN)
    sa.Index(
        f"{table}_due", deliveries.c.channel, deliveries.c.due_at,
        sqlite_where=ready, postgresql_where=ready,
    )  # fmt: skip
    bundled = sa.text(f"bundle IS NOT NULL AND {OPEN}")
    sa.Index(f"{table}_bundle", deliveries.c.bundle, sqlite_where=bundled, postgresql_where=bundled)
    sent = sa.text("provider_id IS NOT NULL")
    sa.Index(f"{table}_sent", deliveries.c.provider_id, sqlite_where=sent, postgresql_where=sent)
    sa.Index(f"{table}_of_note", deliveries.c.notification_id)
    sa.Index(f"{table}_listed", deliveries.c.created_at, deliveries.c.id)
    sa.Table(
        f"{table}_events",
        made,
        column("user_id", text, primary_key=True),
        column("seq", number, primary_key=True, autoincrement=False),
        *some(text, "kind"),
        *some(number, "unread"),
        *some(real, "at"),
        *some(text, "notification_id", "category", nullable=True),
        *some(real, "before", nullable=True),
    )
    sa.Table(
        f"{table}_users", made, column("user_id", text, primary_key=True), *some(number, "seq")
    )
    sa.Table(
        f"{table}_preferences",
        made,
        column("user_id", text, primary_key=True),
        *some(blob, "data"),
        *some(real, "updated_at"),
    )
    key = functools.partial(column, type_=text, primary_key=True)
    sa.Table(
        f"{table}_suppressions", made, key("channel"), key("digest"), *some(text, "reason"),
        *some(real, "at"),
    )  # fmt: skip
    topics = sa.Table(f"{table}_topics", made, key("topic"), key("user_id"), *some(real, "at"))
    sa.Index(f"{table}_topics_of", topics.c.user_id)
    sa.Table(
        f"{table}_quotas", made, key("user_id"), key("name"), *some(real, "started"),
        *some(number, "used"),
    )  # fmt: skip
    return made


def schema_of(table: str) -> Schema:
    """Return the schema whose tables begin with ``table``."""
    made = functools.partial(make_metadata, table)
    return Schema(
        table, made, version=2, command="notify schema upgrade", migrations=[_second(table)]
    )


def _second(table: str) -> list[str]:
    """Return what leads from version 1 to 2: bundles, suppressions, topics, quotas."""
    real, long = "DOUBLE PRECISION NOT NULL", "BIGINT NOT NULL"
    return [
        f"ALTER TABLE {table}_deliveries ADD COLUMN bundle TEXT",
        (
            f"CREATE INDEX {table}_bundle ON {table}_deliveries (bundle) "
            f"WHERE bundle IS NOT NULL AND {OPEN}"
        ),
        (
            f"CREATE INDEX {table}_sent ON {table}_deliveries (provider_id) "
            "WHERE provider_id IS NOT NULL"
        ),
        (
            f"CREATE TABLE {table}_suppressions (channel TEXT NOT NULL, digest TEXT NOT NULL, "
            f"reason TEXT NOT NULL, at {real}, PRIMARY KEY (channel, digest))"
        ),
        (
            f"CREATE TABLE {table}_topics (topic TEXT NOT NULL, user_id TEXT NOT NULL, at {real}, "
            "PRIMARY KEY (topic, user_id))"
        ),
        f"CREATE INDEX {table}_topics_of ON {table}_topics (user_id)",
        (
            f"CREATE TABLE {table}_quotas (user_id TEXT NOT NULL, name TEXT NOT NULL, "
            f"started {real}, used {long}, PRIMARY KEY (user_id, name))"
        ),
    ]
