"""The table of the SQL store, and the statements on it."""

from functools import cache
from typing import TYPE_CHECKING

from .._common.extras import require
from .._common.sql_schema import Schema

if TYPE_CHECKING:
    from sqlalchemy import MetaData

_KIDS = ("kids_weight", "kids_done", "kids_total", "kids_completed", "kids_failed", "kids_cancelled")
FIELDS = (
    "id", "epoch", "version", "revision", "token", "status", "user_id", "parent_id", "ancestors",
    "kind", "weight", "metadata", "created_at", "updated_at", "completed_at", "stale_after",
    "stale_at", "writer", "cancel_requested", "state", *_KIDS, "units", "format",
)  # fmt: skip
_FINAL = "('completed', 'failed', 'cancelled')"


@cache
def metadata(table: str = "progress") -> "MetaData":
    """Return the table as SQLAlchemy metadata (for Alembic too)."""
    sa = require("sqlalchemy", dist="progress-tracker", extra="sql")
    made: MetaData = sa.MetaData()
    text, real, whole, column = sa.Text, sa.Double, sa.BigInteger, sa.Column
    records = sa.Table(
        table,
        made,
        column("id", text, primary_key=True),
        *(column(name, text, nullable=False) for name in ("token", "status", "ancestors")),
        *(column(name, text) for name in ("user_id", "parent_id", "kind", "writer")),
        *(column(name, sa.LargeBinary, nullable=False) for name in ("metadata", "state")),
        *(column(name, real, nullable=False) for name in ("created_at", "updated_at", "stale_after")),
        *(column(name, real) for name in ("completed_at", "stale_at")),
        *(
            column(name, whole, nullable=False)
            for name in ("epoch", "version", "revision", "weight", "cancel_requested", "units", "format")
        ),
        *(column(name, whole, nullable=False) for name in _KIDS),
        # what the last write changed, for the statement that adds it to the parent
        column("delta", whole, nullable=False, server_default="0"),
        column("lifted", text, nullable=False, server_default=""),
    )
    sa.Index(f"{table}_newest", records.c.created_at, records.c.id)
    sa.Index(f"{table}_of_user", records.c.user_id, records.c.created_at)
    sa.Index(f"{table}_of_parent", records.c.parent_id, records.c.created_at)
    sa.Index(f"{table}_by_status", records.c.status, records.c.completed_at)
    return made


def schema(table: str) -> Schema:
    """Return the versioned schema of one table name."""
    return Schema(table, lambda: metadata(table), version=1, command="progress-tracker schema upgrade")


def _units(status: str, kids_weight: str, kids_done: str, own: str) -> str:
    """Return the SQL of ``tally.units_of``; integer division cuts, as nothing is negative."""
    return (
        f"CASE WHEN {status} = 'completed' THEN 100000000 "
        f"WHEN {own}part_weight + {kids_weight} = 0 THEN {own}units "
        f"ELSE ({own}part_done + {kids_done}) / ({own}part_weight + {kids_weight}) END"
    )


class Statements:
    """The statements for one table name, which the settings have checked. Values are bound."""

    def __init__(self, table: str) -> None:
        """Write them for ``table``."""
        columns = ", ".join(FIELDS)
        values = ", ".join(f":{name}" for name in FIELDS)
        self.insert = (
            f"INSERT INTO {table} ({columns}) VALUES ({values}) "  # noqa: S608
            "ON CONFLICT (id) DO NOTHING RETURNING id"
        )
        self.by_id = f"SELECT {columns} FROM {table} WHERE id = :id"  # noqa: S608
        self.list = f"SELECT {columns} FROM {table} WHERE {{where}} "  # noqa: S608
        self.list += "ORDER BY created_at DESC, id DESC LIMIT :limit"
        self.position = f"SELECT id, epoch, version FROM {table} WHERE id = :id"  # noqa: S608
        self.write = self._write(table)
        self.lift = self._lift(table)
        self.touch = (
            f"UPDATE {table} SET stale_at = :stale_at WHERE id = :id AND epoch = :epoch "  # noqa: S608
            f"AND writer = :writer AND status NOT IN {_FINAL} RETURNING cancel_requested"
        )
        self.stalled = (
            f"SELECT id FROM {table} WHERE status = 'processing' AND stale_at < :now LIMIT :limit"  # noqa: S608
        )
        self.expired = (
            f"SELECT id FROM {table} WHERE parent_id IS NULL AND ("  # noqa: S608
            "(status IN ('completed', 'cancelled') AND completed_at < :completed_before) "
            "OR (status = 'failed' AND completed_at < :failed_before)) LIMIT :limit"
        )
        self.delete = (
            f"WITH RECURSIVE tree (id) AS (SELECT id FROM {table} WHERE id = :id UNION "  # noqa: S608
            f"SELECT below.id FROM {table} AS below JOIN tree ON below.parent_id = tree.id) "
            f"DELETE FROM {table} WHERE id IN (SELECT id FROM tree) RETURNING id"
        )

    @staticmethod
    def _write(table: str) -> str:
        keeps = f"(:status = 'pending' AND {table}.status = 'processing' AND {table}.epoch = :epoch)"
        own = {"part_weight": "CAST(:part_weight AS BIGINT)", "part_done": "CAST(:part_done AS BIGINT)"}
        units = _units("CAST(:status AS TEXT)", "kids_weight", "kids_done", "@")
        for name, value in {**own, "units": "CAST(:own_units AS BIGINT)"}.items():
            units = units.replace(f"@{name}", value)
        return (
            f"UPDATE {table} SET epoch = :epoch, version = version + 1, revision = revision + 1, "  # noqa: S608
            f"token = :token, lifted = :token, status = CASE WHEN {keeps} THEN status ELSE :status END, "
            f"stale_at = CASE WHEN {keeps} THEN stale_at ELSE :stale_at END, "
            "updated_at = :updated_at, completed_at = :completed_at, stale_after = :stale_after, "
            "writer = :writer, cancel_requested = :cancel_requested, state = :state, "
            f"units = {units}, delta = weight * (({units}) - units) "
            "WHERE id = :id AND revision = :revision "
            f"RETURNING version, revision, status, stale_at, units, {', '.join(_KIDS)}"
        )

    @staticmethod
    def _lift(table: str) -> str:
        """Add what a child's last write changed to the parent's sums, if that write was stored.

        The parent's own stages come from outside as ``part_*``: the caller does not know them, so
        they are kept beside ``state`` in the columns of the row.
        """
        raise NotImplementedError
