"""The tables of the SQL brokers, for each database with the indexes that it can have.

A claim must not look at finished jobs, the bulk of the table. SQLite has partial indexes; the
servers have generated columns that are null unless the job is in that state. In PostgreSQL the end
of a job then changes nothing that a B-tree holds, so that no index is written for it (a "heap-only"
update). For this its leases are not indexed either: ``jobqueue_claims`` says when to look at which.
"""

from typing import TYPE_CHECKING, Any, Final, Literal

from ..._common.extras import require

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import MetaData, Table

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
KEPT = "status IN ('completed', 'cancelled')"
OWING = f"(gate = {LEFT} OR (children = 1 AND {FINAL}))"
_NAME, _KEY, _GATE = 200, 300, 420
_AUTOVACUUM = {
    "fillfactor": 70,  # room for the end of a job on the page of its claim
    "autovacuum_vacuum_scale_factor": 0.01,
    "autovacuum_vacuum_threshold": 1000,
    "autovacuum_vacuum_insert_scale_factor": 0.1,
    "autovacuum_analyze_scale_factor": 0.05,
    "autovacuum_vacuum_cost_delay": 0,
}
_BLOCKS = {"autosummarize": "on", "pages_per_range": 32}
_DISTINCT = {"deduplicate_items": "off"}  # each key is another: to look for equal ones is in vain
_SHORT_LIVED = {
    "autovacuum_vacuum_scale_factor": 0,
    "autovacuum_vacuum_threshold": 2000,
    "autovacuum_vacuum_cost_delay": 0,
}
GENERATED: Final = {
    "ready_queue": (_NAME, f"CASE WHEN {READY} THEN queue END"),
    "due_at": (0, f"CASE WHEN {DUE} THEN run_at END"),
    "held_until": (0, "CASE WHEN status = 'processing' THEN lease_until END"),
    "live_key": (_KEY, f"CASE WHEN {UNFINISHED} THEN unique_key END"),
    "owes": (-1, f"CASE WHEN {OWING} THEN 1 END"),
    "over_at": (0, f"CASE WHEN {KEPT} THEN finished_at + result_ttl END"),
}
_GENERATED_BY: dict[str, tuple[str, ...]] = {
    "sqlite": (),
    "mysql": ("ready_queue", "due_at", "held_until", "live_key", "owes"),
    "postgresql": ("ready_queue", "due_at", "live_key", "owes", "over_at"),
}


def metadata(kind: Kind = "postgresql") -> "MetaData":
    """Return the tables as SQLAlchemy metadata (for Alembic too)."""
    sa = require("sqlalchemy", dist="jobqueue", extra="sql")
    words = _Words(sa, kind)
    made: MetaData = sa.MetaData()
    column, short, real = sa.Column, words.short, sa.Double
    options: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}
    options |= {"mysql_collate": "utf8mb4_bin"}
    jobs = sa.Table(
        "jobqueue_jobs", made, *_columns(sa, words), sqlite_autoincrement=True, **options
    )
    if kind == "postgresql":
        _store(sa, jobs, _AUTOVACUUM)
    for name, columns, where, unique in _indexes(jobs, kind):
        parts: dict[str, Any] = {f"{kind}_where": sa.text(where)} if where else {}
        if kind == "postgresql" and name == "jobqueue_finished":
            parts = {"postgresql_using": "brin", "postgresql_with": _BLOCKS}
        if kind == "postgresql" and name == "jobqueue_ready":
            parts["postgresql_with"] = _DISTINCT
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
    if kind == "postgresql":
        _add_claims(sa, made)
    return made


def _add_claims(sa: Any, made: "MetaData") -> None:
    number = sa.BigInteger
    claims = sa.Table(
        "jobqueue_claims",
        made,
        sa.Column("id", number, primary_key=True, autoincrement=False),
        sa.Column("until", sa.Double, nullable=False),
        sa.Column("seqs", sa.ARRAY(number), nullable=False),
    )
    _store(sa, claims, _SHORT_LIVED)


def _store(sa: Any, table: "Table", parameters: "Mapping[str, float]") -> None:
    """Set how PostgreSQL stores a table, after it is made: SQLAlchemy 2.0 has no option for it."""
    settings = ", ".join(f"{name} = {value}" for name, value in parameters.items())
    then = f"ALTER TABLE {table.name} SET ({settings})"
    table.info["then"] = (then,)
    sa.event.listen(table, "after_create", sa.DDL(then))


class _Words:
    """How a database calls its types."""

    def __init__(self, sa: Any, kind: Kind) -> None:
        self.sa, self.kind = sa, kind
        self.long: Any = sa.Text()
        self.bytes: Any = sa.LargeBinary()
        if kind == "mysql":
            mysql = require("sqlalchemy.dialects.mysql", dist="jobqueue", extra="mysql")
            self.long, self.bytes = mysql.LONGTEXT(), mysql.LONGBLOB()

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
    kinds = {0: real, -1: sa.SmallInteger}
    stored = words.kind == "postgresql"
    for name in _GENERATED_BY[words.kind]:
        size, value = GENERATED[name]
        computed = sa.Computed(value, persisted=stored)
        made.append(column(name, kinds.get(size) or short(size), computed))
    return made


def _indexes(jobs: Any, kind: Kind) -> list[tuple[str, list[Any], str, bool]]:
    c = jobs.c
    gate = [c.gate_key, c.gate, c.turn, c.seq]
    if kind == "postgresql":
        return [
            ("jobqueue_ready", [c.ready_queue, c.turn, c.seq], "ready_queue IS NOT NULL", False),
            ("jobqueue_delayed", [c.due_at], "due_at IS NOT NULL", False),
            ("jobqueue_unique", [c.live_key], "live_key IS NOT NULL", True),
            ("jobqueue_owing", [c.owes], "owes IS NOT NULL", False),
            ("jobqueue_gated", gate, "gate_key IS NOT NULL", False),
            # of blocks of the table, which jobs fill as they come: small, and cheap to write
            ("jobqueue_finished", [c.finished_at, c.over_at], "", False),
        ]
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
