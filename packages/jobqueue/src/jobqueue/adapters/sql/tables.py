"""The tables of the SQL brokers, for each database with the indexes that it can have.

A claim must not look at finished jobs, the bulk of the table. SQLite and PostgreSQL have partial
indexes; MySQL has generated columns that are null unless the job is in that state.
"""

import functools
from typing import TYPE_CHECKING, Any, Literal

from ..._common.extras import require
from ..._common.sql_schema import Schema

if TYPE_CHECKING:
    from sqlalchemy import MetaData

Kind = Literal["sqlite", "postgresql", "mysql"]
FIELDS = (
    "id", "name", "queue", "data", "priority", "status", "attempts", "max_attempts", "fence",
    "created_at", "run_at", "started_at", "finished_at", "lease_until", "worker", "timeout",
    "backoff", "unique_key", "result", "result_ttl", "error", "progress", "headers", "version",
    "aging", "depends_on", "on_parent_failure", "limit_key",
)  # fmt: skip
OWN = ("turn", "waits", "children", "gate")
"""What only the broker knows: the order of claims, how many parents are not over, whether others
wait for the end, and the place at a limit's gate."""
COLUMNS = ", ".join(FIELDS)
UNFINISHED = "status IN ('pending', 'delayed', 'processing')"
FINAL = "status IN ('completed', 'failed', 'cancelled')"
FREE, PARKED, NEXT, RUNNING, LEFT = range(5)
"""Values of ``gate``. LEFT: out of the gate, but nobody has been let in for it yet."""
READY = f"status = 'pending' AND gate <> {PARKED}"
DUE = "status = 'delayed' AND waits = 0"
OWING = f"(gate = {LEFT} OR (children = 1 AND {FINAL}))"
_NAME, _KEY, _GATE = 200, 300, 420
_AUTOVACUUM = {
    "fillfactor": 90,
    "autovacuum_vacuum_scale_factor": 0.01,
    "autovacuum_vacuum_threshold": 1000,
    "autovacuum_vacuum_insert_scale_factor": 0.1,
    "autovacuum_analyze_scale_factor": 0.05,
    "autovacuum_vacuum_cost_delay": 0,
}
_GENERATED = {
    "ready_queue": (_NAME, f"CASE WHEN {READY} THEN queue END"),
    "due_at": (0, f"CASE WHEN {DUE} THEN run_at END"),
    "held_until": (0, "CASE WHEN status = 'processing' THEN lease_until END"),
    "live_key": (_KEY, f"CASE WHEN {UNFINISHED} THEN unique_key END"),
    "owes": (-1, f"CASE WHEN {OWING} THEN 1 END"),
}


def metadata(kind: Kind = "postgresql") -> "MetaData":
    """Return the tables as SQLAlchemy metadata (for Alembic too)."""
    sa = require("sqlalchemy", dist="jobqueue", extra="sql")
    words = _Words(sa, kind)
    made: MetaData = sa.MetaData()
    column, short, real = sa.Column, words.short, sa.Double
    options: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}
    options |= {"mysql_collate": "utf8mb4_bin"}
    jobs = sa.Table("jobqueue_jobs", made, *_columns(sa, words), **options, **words.jobs_options)
    for name, columns, where, unique in _indexes(jobs, kind):
        parts = {f"{kind}_where": sa.text(where)} if where and kind != "mysql" else {}
        sa.Index(name, *columns, unique=unique, **parts)
    sa.Table(
        "jobqueue_edges",
        made,
        column("parent", short(_NAME), primary_key=True),
        column("child", short(_NAME), primary_key=True),
        **options,
    )
    sa.Table(
        "jobqueue_gates",
        made,
        column("gate_key", short(_GATE), primary_key=True),
        column("starts", words.long, nullable=False),
        column("expires", real, nullable=False),
        **options,
    )
    sa.Table(
        "jobqueue_ticks",
        made,
        column("name", short(_NAME), primary_key=True),
        column("at", real),
        **options,
    )
    sa.Table("jobqueue_paused", made, column("queue", short(_NAME), primary_key=True), **options)
    sa.Table(
        "jobqueue_workers",
        made,
        column("id", short(_NAME), primary_key=True),
        column("until", real),
        column("idle_until", real),
        **options,
    )
    return made


class _Words:
    """How a database calls its types."""

    def __init__(self, sa: Any, kind: Kind) -> None:
        self.sa, self.kind = sa, kind
        self.long: Any = sa.Text()
        self.bytes: Any = sa.LargeBinary()
        self.jobs_options: dict[str, Any] = {"sqlite_autoincrement": True}
        if kind == "mysql":
            mysql = require("sqlalchemy.dialects.mysql", dist="jobqueue", extra="mysql")
            self.long, self.bytes = mysql.LONGTEXT(), mysql.LONGBLOB()
        if kind == "postgresql":
            self.jobs_options = {"postgresql_with": _AUTOVACUUM}

    def short(self, length: int) -> Any:
        """Return the type of text in an index."""
        if self.kind == "mysql":
            return self.sa.String(length)
        # bytes are compared: fast, and the same whatever the database's language
        return self.sa.Text(collation="C" if self.kind == "postgresql" else None)


def _columns(sa: Any, words: _Words) -> list[Any]:
    column, short, real, whole = sa.Column, words.short, sa.Double, sa.Integer
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    made = [
        column("seq", number, primary_key=True, autoincrement=True),
        column("id", short(_NAME), nullable=False, unique=True),
        *(column(name, short(_NAME), nullable=False) for name in ("name", "queue")),
        column("status", short(20), nullable=False),
        column("data", words.bytes, nullable=False),
        column("result", words.bytes),
        *(column(name, whole, nullable=False) for name in ("priority", "attempts", "max_attempts")),
        *(column(name, whole, nullable=False) for name in ("fence", "version", "waits")),
        *(column(name, sa.SmallInteger, nullable=False) for name in ("children", "gate")),
        *(
            column(name, real, nullable=False)
            for name in ("created_at", "progress", "aging", "turn")
        ),
        *(column(name, real) for name in ("run_at", "started_at", "finished_at", "lease_until")),
        *(column(name, real) for name in ("timeout", "result_ttl")),
        *(column(name, words.long, nullable=False) for name in ("headers", "depends_on")),
        column("on_parent_failure", short(20), nullable=False),
        *(column(name, words.long) for name in ("backoff", "error")),
        *(column(name, short(_NAME)) for name in ("worker", "limit_key")),
        column("unique_key", short(_KEY)),
        column("gate_key", short(_GATE)),
    ]
    if words.kind == "mysql":
        kinds = {0: real, -1: sa.SmallInteger}
        made += [
            column(name, kinds.get(size) or short(size), sa.Computed(value, persisted=False))
            for name, (size, value) in _GENERATED.items()
        ]
    return made


def _indexes(jobs: Any, kind: Kind) -> list[tuple[str, list[Any], str, bool]]:
    c = jobs.c
    gate = [c.gate_key, c.gate, c.turn, c.seq]
    if kind == "mysql":
        return [
            ("jobqueue_ready", [c.ready_queue, c.turn, c.seq], "", False),
            ("jobqueue_delayed", [c.due_at], "", False),
            ("jobqueue_leased", [c.held_until], "", False),
            ("jobqueue_unique", [c.live_key], "", True),
            ("jobqueue_owing", [c.owes], "", False),
            ("jobqueue_gated", gate, "", False),
            ("jobqueue_finished", [c.status, c.finished_at], "", False),
        ]
    live = f"unique_key IS NOT NULL AND {UNFINISHED}"
    return [
        ("jobqueue_ready", [c.queue, c.turn, c.seq], READY, False),
        ("jobqueue_delayed", [c.run_at], DUE, False),
        ("jobqueue_leased", [c.lease_until], "status = 'processing'", False),
        ("jobqueue_unique", [c.unique_key], live, True),
        ("jobqueue_owing", [c.seq], OWING, False),
        ("jobqueue_gated", gate, "gate_key IS NOT NULL", False),
        ("jobqueue_finished", [c.status, c.finished_at], FINAL, False),
    ]


# from version 1, which only SQLite files have
_NEW = {
    "turn": "DOUBLE NOT NULL DEFAULT 0", "aging": "DOUBLE NOT NULL DEFAULT 0",
    "waits": "INTEGER NOT NULL DEFAULT 0", "children": "SMALLINT NOT NULL DEFAULT 0",
    "gate": "SMALLINT NOT NULL DEFAULT 0", "depends_on": "TEXT NOT NULL DEFAULT '[]'",
    "on_parent_failure": "TEXT NOT NULL DEFAULT 'fail'", "limit_key": "TEXT", "gate_key": "TEXT",
}  # fmt: skip
_TO_2 = (
    *(f"ALTER TABLE jobqueue_jobs ADD COLUMN {name} {kind}" for name, kind in _NEW.items()),
    "UPDATE jobqueue_jobs SET turn = -priority",
    "ALTER TABLE jobqueue_workers ADD COLUMN idle_until DOUBLE",
    *(f"DROP INDEX jobqueue_{name}" for name in ("ready", "delayed", "finished")),
    f"CREATE INDEX jobqueue_ready ON jobqueue_jobs (queue, turn, seq) WHERE {READY}",
    f"CREATE INDEX jobqueue_delayed ON jobqueue_jobs (run_at) WHERE {DUE}",
    f"CREATE INDEX jobqueue_owing ON jobqueue_jobs (seq) WHERE {OWING}",
    (
        "CREATE INDEX jobqueue_gated ON jobqueue_jobs (gate_key, gate, turn, seq) "
        "WHERE gate_key IS NOT NULL"
    ),
    f"CREATE INDEX jobqueue_finished ON jobqueue_jobs (status, finished_at) WHERE {FINAL}",
    (
        "CREATE TABLE jobqueue_edges (parent TEXT NOT NULL, child TEXT NOT NULL, "
        "PRIMARY KEY (parent, child))"
    ),
    (
        "CREATE TABLE jobqueue_gates (gate_key TEXT NOT NULL, starts TEXT NOT NULL, "
        "expires DOUBLE NOT NULL, PRIMARY KEY (gate_key))"
    ),
)


@functools.cache
def schema(kind: Kind) -> Schema:
    """Return the tables and how older ones become these."""
    return Schema(
        "jobqueue",
        functools.partial(metadata, kind),
        version=2,
        command="jobqueue schema upgrade",
        # the code of version 1 would claim without regard to limits and aging
        oldest=2,
        migrations=(_TO_2,),
    )
