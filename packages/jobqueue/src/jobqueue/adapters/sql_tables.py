"""The tables and statements of the SQL broker."""

from typing import TYPE_CHECKING

from .._common.extras import require
from .._common.sql_schema import Schema
from ..ports import FORMAT

if TYPE_CHECKING:
    from sqlalchemy import MetaData

FIELDS = (
    "id", "name", "queue", "data", "priority", "status", "attempts", "max_attempts", "fence",
    "created_at", "run_at", "started_at", "finished_at", "lease_until", "worker", "timeout",
    "backoff", "unique_key", "result", "result_ttl", "error", "progress", "headers", "version",
)  # fmt: skip
COLUMNS = ", ".join(FIELDS)
_UNFINISHED = "status IN ('pending', 'delayed', 'processing')"


def metadata() -> "MetaData":
    """Return the tables as SQLAlchemy metadata (for Alembic too)."""
    sa = require("sqlalchemy", dist="jobqueue", extra="sql")
    made: MetaData = sa.MetaData()
    text, real, column = sa.Text, sa.Double, sa.Column
    jobs = sa.Table(
        "jobqueue_jobs",
        made,
        column("seq", sa.Integer, primary_key=True, autoincrement=True),
        column("id", text, nullable=False, unique=True),
        *(column(name, text, nullable=False) for name in ("name", "queue", "status", "headers")),
        column("data", sa.LargeBinary, nullable=False),
        column("result", sa.LargeBinary),
        *(
            column(name, sa.Integer, nullable=False)
            for name in ("priority", "attempts", "max_attempts", "fence", "version")
        ),
        column("created_at", real, nullable=False),
        column("progress", real, nullable=False),
        *(
            column(name, real)
            for name in (
                "run_at",
                "started_at",
                "finished_at",
                "lease_until",
                "timeout",
                "result_ttl",
            )
        ),
        *(column(name, text) for name in ("worker", "backoff", "unique_key", "error")),
        sqlite_autoincrement=True,
    )
    # partial indexes: finished jobs, the bulk of the table, cost a claim nothing
    part = sa.text
    sa.Index(
        "jobqueue_ready", jobs.c.queue, jobs.c.priority.desc(), jobs.c.seq,
        sqlite_where=part("status = 'pending'"),
    )  # fmt: skip
    sa.Index("jobqueue_delayed", jobs.c.run_at, sqlite_where=part("status = 'delayed'"))
    sa.Index("jobqueue_leased", jobs.c.lease_until, sqlite_where=part("status = 'processing'"))
    sa.Index(
        "jobqueue_unique", jobs.c.unique_key, unique=True,
        sqlite_where=part(f"unique_key IS NOT NULL AND {_UNFINISHED}"),
    )  # fmt: skip
    sa.Index("jobqueue_finished", jobs.c.status, jobs.c.finished_at)
    sa.Table("jobqueue_ticks", made, column("name", text, primary_key=True), column("at", real))
    sa.Table("jobqueue_paused", made, column("queue", text, primary_key=True))
    sa.Table("jobqueue_workers", made, column("id", text, primary_key=True), column("until", real))
    return made


SCHEMA = Schema("jobqueue", metadata, version=1, command="jobqueue schema upgrade")

INSERT = (
    f"INSERT INTO jobqueue_jobs ({COLUMNS}) VALUES ({', '.join(f':{name}' for name in FIELDS)}) "  # noqa: S608
    "ON CONFLICT DO NOTHING RETURNING seq"
)
BY_ID = f"SELECT {COLUMNS} FROM jobqueue_jobs WHERE id = :id"  # noqa: S608
BY_KEY = f"SELECT {COLUMNS} FROM jobqueue_jobs WHERE unique_key = :key AND {_UNFINISHED}"  # noqa: S608

_FENCED = "WHERE id = :id AND fence = :fence AND status = 'processing' RETURNING id"
END = (
    "UPDATE jobqueue_jobs SET status = :status, finished_at = :now, result = :result, "  # noqa: S608
    f"error = :error, progress = :progress, lease_until = NULL, worker = NULL {_FENCED}"
)
AGAIN = (
    "UPDATE jobqueue_jobs SET status = :status, run_at = :run_at, "  # noqa: S608
    "attempts = attempts - :given_back, "
    f"error = COALESCE(:error, error), lease_until = NULL, worker = NULL {_FENCED}"
)
PROMOTE = "UPDATE jobqueue_jobs SET status = 'pending' WHERE status = 'delayed' AND run_at <= :now"
FAIL_EXPIRED = (
    "UPDATE jobqueue_jobs SET status = 'failed', finished_at = :now, lease_until = NULL, "
    "worker = NULL, error = 'LeaseExpired: the worker vanished in attempt ' || attempts "
    "WHERE status = 'processing' AND lease_until < :now AND attempts >= max_attempts"
)
RECLAIM = (
    "UPDATE jobqueue_jobs SET status = 'pending', run_at = NULL, lease_until = NULL, worker = NULL "
    "WHERE status = 'processing' AND lease_until < :now"
)
CLAIM = (
    "UPDATE jobqueue_jobs SET status = 'processing', attempts = attempts + 1, fence = fence + 1, "  # noqa: S608
    "started_at = :now, lease_until = :until, worker = :worker WHERE seq IN ("
    # what a later release stored is left to its workers
    f"SELECT seq FROM jobqueue_jobs WHERE status = 'pending' AND version <= {FORMAT + 1} "
    "AND queue = :queue "
    "AND NOT EXISTS (SELECT 1 FROM jobqueue_paused p WHERE p.queue = :queue) "
    f"ORDER BY priority DESC, seq LIMIT :slots) RETURNING seq, {COLUMNS}"
)
HELD = "SELECT id, fence FROM jobqueue_jobs WHERE status = 'processing' AND worker = :worker"
EXTEND = (
    "UPDATE jobqueue_jobs SET lease_until = :until, progress = :progress "
    "WHERE id = :id AND fence = :fence AND status = 'processing' RETURNING id"
)
ALIVE = (
    "INSERT INTO jobqueue_workers (id, until) VALUES (:worker, :until) "
    "ON CONFLICT (id) DO UPDATE SET until = excluded.until"
)
FORGET_WORKERS = "DELETE FROM jobqueue_workers WHERE until < :now"
NEXT_DUE = (
    "SELECT (SELECT min(run_at) FROM jobqueue_jobs WHERE status = 'delayed'), "
    "(SELECT min(lease_until) FROM jobqueue_jobs WHERE status = 'processing')"
)
CANCEL = (
    "UPDATE jobqueue_jobs SET status = 'cancelled', finished_at = :now, lease_until = NULL, "  # noqa: S608
    f"worker = NULL WHERE id = :id AND {_UNFINISHED} RETURNING id"
)
RETRY = (
    "UPDATE OR IGNORE jobqueue_jobs SET status = 'pending', attempts = 0, run_at = NULL, "
    "finished_at = NULL WHERE id = :id AND status IN ('failed', 'cancelled') RETURNING id"
)
REMOVE = "DELETE FROM jobqueue_jobs WHERE id = :id AND status <> 'processing' RETURNING id"
PURGE = (
    "DELETE FROM jobqueue_jobs WHERE seq IN (SELECT seq FROM jobqueue_jobs "
    "WHERE (status = :status AND finished_at < :before) LIMIT :limit) RETURNING id"
)
PURGE_TTL = (
    "DELETE FROM jobqueue_jobs WHERE seq IN (SELECT seq FROM jobqueue_jobs "
    "WHERE status IN ('completed', 'failed', 'cancelled') AND finished_at + result_ttl < :now "
    "LIMIT :limit) RETURNING id"
)
TICK = (
    "INSERT INTO jobqueue_ticks (name, at) VALUES (:name, :at) ON CONFLICT (name) "
    "DO UPDATE SET at = excluded.at WHERE jobqueue_ticks.at < excluded.at RETURNING at"
)
LAST_TICK = "SELECT at FROM jobqueue_ticks WHERE name = :name"
PAUSE = "INSERT INTO jobqueue_paused (queue) VALUES (:queue) ON CONFLICT DO NOTHING"
RESUME = "DELETE FROM jobqueue_paused WHERE queue = :queue"
COUNTS = (
    "SELECT status, count(*) FROM jobqueue_jobs "
    "WHERE :queue IS NULL OR queue = :queue GROUP BY status"
)
OLDEST = (
    "SELECT min(COALESCE(run_at, created_at)) FROM jobqueue_jobs "
    "WHERE status = 'pending' AND (:queue IS NULL OR queue = :queue)"
)
DONE_SINCE = (
    "SELECT count(*) FROM jobqueue_jobs WHERE status = 'completed' AND finished_at > :since "
    "AND (:queue IS NULL OR queue = :queue)"
)
WORKERS = "SELECT count(*) FROM jobqueue_workers WHERE until > :now"
