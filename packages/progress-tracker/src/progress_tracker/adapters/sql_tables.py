"""The table of the SQL store, and the statements on it."""

from functools import cache
from typing import TYPE_CHECKING

from .._common.extras import require
from .._common.sql_schema import Schema

if TYPE_CHECKING:
    from sqlalchemy import MetaData

KIDS = ("kids_weight", "kids_done", "kids_total", "kids_completed", "kids_failed", "kids_cancelled")
FIELDS = (
    "id", "epoch", "version", "revision", "token", "status", "user_id", "parent_id", "ancestors",
    "kind", "weight", "metadata", "created_at", "updated_at", "completed_at", "stale_after",
    "stale_at", "writer", "cancel_requested", "state", *KIDS, "units", "format",
)  # fmt: skip
OWN = ("part_weight", "part_done", "expected", "own_units")
_FINAL = "('completed', 'failed', 'cancelled')"


@cache
def metadata(table: str = "progress", kind: str = "postgresql") -> "MetaData":
    """Return the table as SQLAlchemy metadata (for Alembic too).

    Args:
        table: Its name.
        kind: ``sqlite``, ``postgresql`` or ``mysql``, which indexes no text without a length.
    """
    sa = require("sqlalchemy", dist="progress-tracker", extra="sql")
    made: MetaData = sa.MetaData()
    text, real, whole, column = sa.Text(), sa.Double, sa.BigInteger, sa.Column
    name_, blob = text, sa.LargeBinary()
    if kind == "mysql":
        name_, blob = sa.String(200, collation="utf8mb4_bin"), sa.LargeBinary(2**24 - 1)
    records = sa.Table(
        table,
        made,
        column("id", name_, primary_key=True),
        *(column(name, name_, nullable=False) for name in ("token", "status")),
        column("ancestors", text, nullable=False),
        *(column(name, name_) for name in ("user_id", "parent_id", "kind", "writer")),
        *(column(name, blob, nullable=False) for name in ("metadata", "state")),
        *(
            column(name, real, nullable=False)
            for name in ("created_at", "updated_at", "stale_after")
        ),
        *(column(name, real) for name in ("completed_at", "stale_at")),
        *(
            column(name, whole, nullable=False)
            for name in (
                "epoch",
                "version",
                "revision",
                "weight",
                "cancel_requested",
                "units",
                "format",
            )
        ),
        *(column(name, whole, nullable=False) for name in KIDS),
        # own parts as sums, so that a child's write can make the parent's percent without `state`
        *(column(name, whole, nullable=False) for name in OWN),
        # what the last write changed, for the statement that adds it to the parent
        column("delta", whole, nullable=False, server_default="0"),
        column("lifted", name_, nullable=False, server_default=""),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
    )
    sa.Index(f"{table}_newest", records.c.created_at, records.c.id)
    sa.Index(f"{table}_of_user", records.c.user_id, records.c.created_at)
    sa.Index(f"{table}_of_parent", records.c.parent_id, records.c.created_at)
    sa.Index(f"{table}_of_kind", records.c.kind, records.c.created_at)
    sa.Index(f"{table}_by_status", records.c.status, records.c.completed_at)
    return made


def schema(table: str, kind: str) -> Schema:
    """Return the versioned schema of one table name."""
    to_2 = f"CREATE INDEX IF NOT EXISTS {table}_of_kind ON {table} (kind, created_at)"
    return Schema(
        table,
        lambda: metadata(table, kind),
        version=2,
        command="progress-tracker schema upgrade",
        migrations=((to_2,),),
    )


class Statements:
    """The statements for one table name, which the settings have checked. Values are bound."""

    def __init__(self, table: str, kind: str, *, channel: str | None = None) -> None:
        """Write them for ``table``.

        Args:
            table: Its name.
            kind: ``sqlite``, ``postgresql`` or ``mysql`` (which has other statements to write).
            channel: What PostgreSQL tells of every change in the statement that makes it.
        """
        columns = ", ".join(FIELDS)
        stored = (*FIELDS, *OWN)
        among = {
            "sqlite": "id IN (SELECT value FROM json_each(:ids))",
            "postgresql": "id = ANY(CAST(:ids AS TEXT[]))",
        }.get(kind, "id IN (%s)")
        told = "" if channel is None else f", pg_notify('{channel}', id)"
        told_parent = told.replace(", id)", ", p.id)")
        self.insert = (
            f"INSERT INTO {table} ({', '.join(stored)}, delta, lifted) "  # noqa: S608
            f"VALUES ({', '.join(f':{name}' for name in stored)}, 0, :lift) "
            f"ON CONFLICT (id) DO NOTHING RETURNING id{told}"
        )
        self.by_id = f"SELECT {columns} FROM {table} WHERE id = :id"  # noqa: S608
        self.by_ids = f"SELECT {columns} FROM {table} WHERE {among}"  # noqa: S608
        self.positions = f"SELECT id, epoch, version FROM {table} WHERE {among}"  # noqa: S608
        self.list = f"SELECT {columns} FROM {table} WHERE"  # noqa: S608
        self.write = _write(table) + told
        self.lift = _lift(table) + told_parent
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
        self.leave = (
            f"UPDATE {table} SET lifted = :lift, delta = - weight * units WHERE id = :id "  # noqa: S608
            "RETURNING weight, status, ancestors, updated_at"
        )
        self.delete = (
            f"WITH RECURSIVE tree (id) AS (SELECT CAST(:id AS TEXT) UNION "  # noqa: S608
            f"SELECT below.id FROM {table} AS below JOIN tree ON below.parent_id = tree.id) "
            f"DELETE FROM {table} WHERE id IN (SELECT id FROM tree) RETURNING id{told}"
        )


def _write(table: str) -> str:
    """Replace an own state: ``tally.units_of`` in SQL, whose division cuts: nothing is negative."""
    status, weight, done, expected, own = (
        "CAST(:status AS TEXT)",
        *(f"CAST(:{name} AS BIGINT)" for name in OWN),
    )
    keeps = f"({status} = 'pending' AND status = 'processing' AND epoch = :epoch)"
    units = (
        f"CASE WHEN {status} = 'completed' THEN 100000000 WHEN {weight} + kids_weight = 0 "
        f"THEN {own} "
        f"WHEN kids_weight > 0 AND {expected} > {weight} + kids_weight "
        f"THEN ({done} + kids_done) / {expected} "
        f"ELSE ({done} + kids_done) / ({weight} + kids_weight) END"
    )
    return (
        f"UPDATE {table} SET epoch = :epoch, version = version + 1, revision = revision + 1, "  # noqa: S608
        "token = :token, lifted = :lift, "
        f"status = CASE WHEN {keeps} THEN status ELSE {status} END, "
        f"stale_at = CASE WHEN {keeps} THEN stale_at ELSE :stale_at END, updated_at = :updated_at, "
        "completed_at = :completed_at, stale_after = :stale_after, writer = :writer, "
        "cancel_requested = :cancel_requested, state = :state, part_weight = :part_weight, "
        "part_done = :part_done, expected = :expected, own_units = :own_units, "
        f"units = {units}, "
        f"delta = weight * ({units} - units) WHERE id = :id AND revision = :revision "
        f"RETURNING version, revision, status, stale_at, units, {', '.join(KIDS)}"
    )


def _lift(table: str) -> str:
    """Add what a child's last write changed to its parent (``tally.with_kids`` in SQL).

    ``c`` is the child, or the ancestor below. ``lift`` names one call: if the write below was
    refused, its ``lifted`` is another's; if it made no difference, its ``delta`` is zero; and then
    nothing happens here, nor above.
    """
    final = f"p.status IN {_FINAL}"
    weight, done = "(p.kids_weight + :add_weight)", "(p.kids_done + c.delta)"
    ends = ("completed", "failed", "cancelled")
    ended = f"({' + '.join(f'p.kids_{name} + :add_{name}' for name in ends)})"
    waits = f"(p.status = 'pending' AND {done} = 0 AND {ended} = 0)"
    units = (
        f"CASE WHEN {final} THEN p.units WHEN p.part_weight + {weight} = 0 THEN p.own_units "
        f"WHEN {weight} > 0 AND p.expected > p.part_weight + {weight} "
        f"THEN (p.part_done + {done}) / p.expected "
        f"ELSE (p.part_done + {done}) / (p.part_weight + {weight}) END"
    )
    counts = ", ".join(
        f"{name} = p.{name} + :add_{name.removeprefix('kids_')}"
        for name in KIDS
        if name != "kids_done"
    )
    until = "CAST(:now AS DOUBLE PRECISION) + p.stale_after"
    return (
        f"UPDATE {table} AS p SET {counts}, kids_done = {done}, units = {units}, "  # noqa: S608
        f"delta = p.weight * ({units} - p.units), lifted = :lift, "
        f"version = p.version + CASE WHEN {final} THEN 0 ELSE 1 END, "
        f"status = CASE WHEN p.status <> 'pending' OR {waits} THEN p.status ELSE 'processing' END, "
        f"updated_at = CASE WHEN {final} OR p.updated_at > :now THEN p.updated_at ELSE :now END, "
        f"stale_at = CASE WHEN {final} OR p.stale_at > {until} THEN p.stale_at "
        f"WHEN {waits} THEN NULL ELSE {until} END "
        f"FROM {table} AS c WHERE p.id = :parent AND c.id = :child AND c.lifted = :lift "
        "AND (c.delta <> 0 OR CAST(:moved AS BIGINT) = 1) RETURNING 1"
    )
