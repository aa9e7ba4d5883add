"""How older tables become those of this release."""

import functools
from collections.abc import Sequence
from typing import Final

from ..._common.sql_schema import Schema
from .tables import DERIVED, DUE, FINAL, GENERATED, OWING, READY, Kind, metadata

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


# from version 2, of which only PostgreSQL has a successor
_ADDED = {
    "ready_queue": 'TEXT COLLATE "C"', "due_at": "FLOAT8", "live_key": 'TEXT COLLATE "C"',
    "owes": "SMALLINT", "over_at": "FLOAT8",
}  # fmt: skip
_ADD = ", ".join(
    f"ADD COLUMN {name} {kind} GENERATED ALWAYS AS ({GENERATED[name][1]}) STORED"
    for name, kind in _ADDED.items()
)
_REPLACED = ("ready", "delayed", "leased", "unique", "owing", "finished")
_TO_3 = (
    *(f"DROP INDEX jobqueue_{name}" for name in _REPLACED),
    f"ALTER TABLE jobqueue_jobs {_ADD}",
    "ALTER TABLE jobqueue_jobs SET (fillfactor = 70)",
    (
        "CREATE INDEX jobqueue_ready ON jobqueue_jobs (ready_queue, turn, seq) "
        "WITH (deduplicate_items = off) WHERE ready_queue IS NOT NULL"
    ),
    "CREATE INDEX jobqueue_delayed ON jobqueue_jobs (due_at) WHERE due_at IS NOT NULL",
    "CREATE UNIQUE INDEX jobqueue_unique ON jobqueue_jobs (live_key) WHERE live_key IS NOT NULL",
    "CREATE INDEX jobqueue_owing ON jobqueue_jobs (owes) WHERE owes IS NOT NULL",
    (
        "CREATE INDEX jobqueue_finished ON jobqueue_jobs USING brin (finished_at, over_at) "
        "WITH (autosummarize = on, pages_per_range = 32)"
    ),
    (
        "CREATE TABLE jobqueue_claims (id BIGINT NOT NULL PRIMARY KEY, "
        "until FLOAT8 NOT NULL, seqs BIGINT[] NOT NULL) WITH (autovacuum_vacuum_scale_factor = 0, "
        "autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0)"
    ),
    (
        "INSERT INTO jobqueue_claims (id, until, seqs) SELECT -seq, lease_until, ARRAY[seq] "
        "FROM jobqueue_jobs WHERE status = 'processing' AND lease_until IS NOT NULL"
    ),
)


# from version 3: the statements write these columns, see the module ``derived``
_TO_4 = (
    "ALTER TABLE jobqueue_jobs "
    + ", ".join(f"ALTER COLUMN {name} DROP EXPRESSION" for name in DERIVED),
)


# the line of each queue at a gate is found by its own index
_GATED = "CREATE INDEX jobqueue_gated ON jobqueue_jobs (gate_key, gate, queue, turn, seq)"
_BY_QUEUE = ("DROP INDEX jobqueue_gated", f"{_GATED} WHERE gate_key IS NOT NULL")
_MIGRATIONS: Final[dict[Kind, Sequence[Sequence[str]]]] = {
    "sqlite": (_TO_2, _BY_QUEUE),
    "postgresql": ((), _TO_3, _TO_4, _BY_QUEUE),
    "mysql": ((), ("DROP INDEX jobqueue_gated ON jobqueue_jobs", _GATED)),
}


@functools.cache
def schema(kind: Kind) -> Schema:
    """Return the tables and how older ones become these."""
    # the code of version 1 would claim without regard to limits and aging, that of 2 in PostgreSQL
    # without a note of when to look after the lease, that of 3 leave its indexed columns empty; the
    # one before this lets a single job of a gate out, and takes a second one for lost
    version = len(_MIGRATIONS[kind]) + 1
    return Schema(
        "jobqueue",
        functools.partial(metadata, kind),
        version=version,
        command="jobqueue schema upgrade",
        oldest=version,
        migrations=_MIGRATIONS[kind],
    )
