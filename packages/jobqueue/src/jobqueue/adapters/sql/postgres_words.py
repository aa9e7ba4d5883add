"""PostgreSQL's two hot statements: store many, and finish k and claim n."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...ports import Outcome, Record
from .listening import RING
from .rows import NEWEST, clean
from .tables import COLUMNS, FINAL, LEFT, NEXT, READY

NOW = (
    "t AS MATERIALIZED (SELECT COALESCE(CAST(:now AS float8), "
    "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS float8)) + CAST(:ahead AS float8) AS now)"
)
# each column of a new job that differs from job to job, and its type
_GIVEN = {
    "id": "text", "name": "text", "queue": "text", "data": "bytea", "priority": "int",
    "max_attempts": "int", "delay": "float8", "run_at": "float8", "timeout": "float8",
    "backoff": "text", "unique_key": "text", "result_ttl": "float8", "headers": "text",
    "version": "int", "aging": "float8", "on_parent_failure": "text", "limit_key": "text",
}  # fmt: skip
_SAME = [name for name in _GIVEN if name not in {"delay", "run_at"}]
_FIRST = ["created_at", "turn", "status", "attempts", "fence", "progress"]
_NONE = ["depends_on", "waits", "children", "gate"]
_STORED = [*_SAME, "run_at", *_FIRST, *_NONE]
_ARRAYS = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in _GIVEN.items())
ENQUEUE = (
    f"WITH {NOW}, made AS (INSERT INTO jobqueue_jobs ({', '.join(_STORED)}) "  # noqa: S608
    f"SELECT {', '.join(f'r.{name}' for name in _SAME)}, d.run_at, t.now, "
    "CASE WHEN r.aging = 0 THEN -r.priority ELSE t.now - r.priority * r.aging END, "
    "CASE WHEN d.run_at > t.now THEN 'delayed' ELSE 'pending' END, 0, 0, 0, '[]', 0, 0, 0 "
    f"FROM unnest({_ARRAYS}) WITH ORDINALITY AS r({', '.join(_GIVEN)}, n), t, "
    "LATERAL (SELECT COALESCE(r.run_at, CASE WHEN r.delay > 0 THEN t.now + r.delay END) AS run_at) "
    "AS d "
    "ORDER BY r.n ON CONFLICT DO NOTHING RETURNING id, created_at), "
    f"rung AS MATERIALIZED (SELECT {RING} AS x) SELECT id, created_at, x FROM made, rung"
)
_ALONE = [name for name in _SAME if name != "aging"]
ENQUEUE_ONE = (
    f"INSERT INTO jobqueue_jobs ({', '.join([*_ALONE, *_FIRST, *_NONE])}, aging) "  # noqa: S608
    f"VALUES ({', '.join(f'CAST(:{name} AS {_GIVEN[name]})' for name in _ALONE)}, "
    "COALESCE(CAST(:now AS float8), CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS float8)) "
    "+ CAST(:ahead AS float8), -CAST(:priority AS int), 'pending', 0, 0, 0, '[]', 0, 0, 0, 0) "
    f"ON CONFLICT DO NOTHING RETURNING id, created_at, {RING}"
)
"""Stores a job that is due now, in half the time of ENQUEUE: it neither joins nor sorts."""
_ENDED = FINAL.replace("status", "j.status")
_ENDS = "o.kind IN ('completed', 'failed')"
# not written so that the index of leased jobs fits: it is full of those that have just ended
_HELD = (
    "j.seq = COALESCE(o.seq, (SELECT i.seq FROM jobqueue_jobs i WHERE i.id = o.id)) "
    "AND j.id = o.id AND j.fence = o.fence AND COALESCE(j.status, '') = 'processing'"
)
_PLACE = "(j.children = 0 AND j.gate = 0)"
_CLAIM = (
    "best AS MATERIALIZED (SELECT b.seq "  # noqa: S608  our own words
    "FROM unnest(CAST(:queues AS text[]), CAST(:slots AS int[])) "
    "AS q(name, n), LATERAL (SELECT seq FROM jobqueue_jobs "
    f"WHERE {READY} AND queue = q.name AND version <= {NEWEST} "
    "ORDER BY turn, seq LIMIT q.n FOR UPDATE SKIP LOCKED) b "
    "WHERE NOT EXISTS (SELECT 1 FROM jobqueue_paused p WHERE p.queue = q.name)), "
    "claimed AS (UPDATE jobqueue_jobs j SET status = 'processing', attempts = j.attempts + 1, "
    "fence = j.fence + 1, started_at = t.now, lease_until = t.now + CAST(:lease AS float8), "
    f"worker = :worker, gate = CASE WHEN j.gate = {NEXT} THEN {LEFT} ELSE j.gate END "
    f"FROM best, t WHERE j.seq = best.seq RETURNING j.seq, j.turn, j.gate, "
    f"{', '.join(f'j.{name}' for name in COLUMNS.split(', '))})"
)
STEP = (
    f"WITH {NOW}, o AS MATERIALIZED (SELECT * FROM unnest(CAST(:ids AS text[]), "  # noqa: S608
    "CAST(:seqs AS bigint[]), CAST(:fences AS int[]), CAST(:kinds AS text[]), "
    "CAST(:results AS bytea[]), CAST(:errors AS text[]), CAST(:delays AS float8[]), "
    "CAST(:progress AS float8[]), CAST(:fleeting AS bool[])) "
    "AS o(id, seq, fence, kind, result, error, delay, progress, fleeting)), "
    f"gone AS (DELETE FROM jobqueue_jobs j USING o WHERE o.fleeting AND {_HELD} AND {_PLACE} "
    "RETURNING j.id), "
    "ended AS (UPDATE jobqueue_jobs j SET status = CASE WHEN o.kind = 'retry' AND o.delay > 0 "
    f"THEN 'delayed' WHEN {_ENDS} THEN o.kind ELSE 'pending' END, "
    f"finished_at = CASE WHEN {_ENDS} THEN t.now END, "
    f"result = CASE WHEN {_ENDS} THEN o.result ELSE j.result END, "
    "error = CASE WHEN o.kind = 'released' THEN j.error ELSE o.error END, "
    "progress = CASE WHEN o.kind = 'completed' THEN 100 WHEN o.kind = 'failed' THEN o.progress "
    "ELSE j.progress END, "
    "run_at = CASE WHEN o.kind = 'retry' THEN t.now + o.delay ELSE j.run_at END, "
    "attempts = j.attempts - CASE WHEN o.kind = 'released' THEN 1 ELSE 0 END, "
    f"lease_until = NULL, worker = NULL, gate = CASE WHEN j.gate > 0 THEN {LEFT} ELSE 0 END "
    f"FROM o, t WHERE {_HELD} AND NOT (o.fleeting AND {_PLACE}) "
    f"RETURNING j.id, j.seq, (j.gate = {LEFT} OR (j.children = 1 AND {_ENDED})) "
    "AS owes, (j.status = 'completed' AND COALESCE(j.result_ttl = 0, FALSE)) AS doomed), "
    f"{_CLAIM}, info AS MATERIALIZED (SELECT t.now, "
    "(SELECT bool_or(owes) FROM ended) AS owes, "
    "(SELECT array_agg(seq) FROM ended WHERE doomed AND NOT owes) AS doomed, "
    "(SELECT array_agg(o.id) FROM o WHERE o.id NOT IN (SELECT id FROM ended UNION ALL "
    "SELECT id FROM gone)) AS refused, "
    "(SELECT array_agg(h.id) FROM unnest(CAST(:held AS text[]), CAST(:held_fences AS int[])) "
    "AS h(id, fence) WHERE NOT EXISTS (SELECT 1 FROM jobqueue_jobs j WHERE j.id = h.id "
    "AND j.fence = h.fence AND COALESCE(j.status, '') = 'processing')) AS lost FROM t) "
    "SELECT info.*, claimed.* FROM info LEFT JOIN claimed ON TRUE"
)
LOOK = (
    f"WITH {NOW} SELECT LEAST((SELECT min(run_at) FROM jobqueue_jobs WHERE status = 'delayed' "  # noqa: S608
    "AND waits = 0), (SELECT min(lease_until) FROM jobqueue_jobs WHERE status = 'processing' "
    "AND CAST(:reclaims AS bool))) "
    "- t.now, EXISTS (SELECT 1 FROM jobqueue_jobs "
    f"WHERE gate = {LEFT} OR (children = 1 AND {FINAL})) FROM t"
)


class Claimed(NamedTuple):
    """What a broker remembers of a job that it leased.

    Attributes:
        seq: The row, found faster than by the job's id.
        fleeting: Whether nothing is kept of it once it completed.
    """

    seq: int
    fleeting: bool


def given(records: Sequence[Record]) -> dict[str, Any]:
    """Return the columns of ``records`` for ENQUEUE."""
    return {name: [getattr(r, name) for r in records] for name in _GIVEN}


def alone(record: Record) -> dict[str, Any]:
    """Return the columns of ``record`` for ENQUEUE_ONE."""
    return {name: getattr(record, name) for name in _ALONE}


def reported(outcomes: Sequence[Outcome], known: Mapping[str, Claimed]) -> dict[str, Any]:
    """Return ``outcomes`` for STEP; ``known`` is where their jobs are, as far as we remember."""
    places = [known.get(each.lease.id) for each in outcomes]
    return {
        "ids": [each.lease.id for each in outcomes],
        "seqs": [None if place is None else place.seq for place in places],
        "fences": [each.lease.fence for each in outcomes],
        "kinds": [each.kind for each in outcomes],
        "results": [each.result for each in outcomes],
        "errors": [clean(each.error) for each in outcomes],
        "delays": [each.delay for each in outcomes],
        "progress": [each.lease.progress for each in outcomes],
        "fleeting": [
            each.kind == "completed" and place is not None and place.fleeting
            for each, place in zip(outcomes, places, strict=True)
        ],
    }
