"""PostgreSQL's words, and its hot statements: finish k and claim n, and look for what is due."""

import functools
from dataclasses import dataclass

from .plans import Words
from .rows import NEWEST
from .tables import FIELDS, FINAL, LEFT, NEXT

NOW = (
    "t AS MATERIALIZED (SELECT COALESCE(CAST(:now AS float8), "
    "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS float8)) + CAST(:ahead AS float8) AS now)"
)
_PAST = (
    "USING (SELECT id FROM jobqueue_claims WHERE until <= :now FOR UPDATE SKIP LOCKED) p "
    "WHERE c.id = p.id AND"
)
_PAST_OF = _PAST.replace("USING", "FROM")
_OF_NOTE = "FROM jobqueue_jobs j WHERE j.seq = ANY(c.seqs) AND j.status = 'processing'"
_STILL = f"SELECT 1 {_OF_NOTE}"
_UNTIL = f"SELECT min(j.lease_until) {_OF_NOTE}"


@dataclass(frozen=True)
class PostgresWords(Words):
    """PostgreSQL's."""

    lock: str = " FOR UPDATE"
    skip: str = " FOR UPDATE SKIP LOCKED"
    bulk: bool = False
    new: str = " ON CONFLICT DO NOTHING RETURNING id"
    ready: str = "ready_queue = :queue"
    due: str = "due_at <= :now"
    next_due: str = "SELECT min(due_at) FROM jobqueue_jobs"
    expired: str = (
        "status = 'processing' AND lease_until < :now "
        "AND seq IN (SELECT unnest(seqs) FROM jobqueue_claims WHERE until <= :now)"
    )
    next_expiry: str = "SELECT min(until) FROM jobqueue_claims"
    owing: str = "owes = 1"
    keyed: str = "live_key"
    over: str = "over_at < :moment"
    noting: str = (
        "INSERT INTO jobqueue_claims (id, until, seqs) "
        "VALUES (:note, :until, CAST(:seqs AS bigint[]))"
    )
    noted: tuple[str, ...] = (
        f"DELETE FROM jobqueue_claims c {_PAST} NOT EXISTS ({_STILL})",  # noqa: S608
        (
            f"UPDATE jobqueue_claims c SET until = COALESCE(({_UNTIL}), c.until) "  # noqa: S608
            f"{_PAST_OF} TRUE"
        ),
    )
    scanning: str = "SET LOCAL enable_bitmapscan = on"


_ENDED = FINAL.replace("status", "j.status")
_ENDS = "o.kind IN ('completed', 'failed')"
# the test of the id is not for its index: the row is found by its number
_HELD = "j.seq = o.seq AND NOT j.id <> o.id AND j.fence = o.fence AND j.status = 'processing'"
_PLACE = "(j.children = 0 AND j.gate = 0)"
CLAIMED = tuple(
    name
    for name in FIELDS
    if name not in {"status", "started_at", "finished_at", "lease_until", "worker", "result"}
)
"""What is read of a claimed job: the rest is known, or empty."""
_OUTCOME = {
    "id": ("ids", "text"), "seq": ("seqs", "bigint"), "fence": ("fences", "int"),
    "result": ("results", "bytea"),
}  # fmt: skip
_UNUSUAL = {
    "kind": ("kinds", "text"), "error": ("errors", "text"), "delay": ("delays", "float8"),
    "progress": ("reached", "float8"),
}  # fmt: skip
_FLEETING = {"fleeting": ("fleeting", "bool")}
_GONE = (
    f"gone AS (DELETE FROM jobqueue_jobs j USING o WHERE o.fleeting AND {_HELD} AND {_PLACE} "  # noqa: S608
    "RETURNING j.id)"
)
_OWES = f"(j.gate = {LEFT} OR (j.children = 1 AND {_ENDED})) AS owes"
_LEAVE = f"gate = CASE WHEN j.gate > 0 THEN {LEFT} ELSE 0 END"
_COMPLETE = (
    "ended AS (UPDATE jobqueue_jobs j SET status = 'completed', finished_at = t.now, "  # noqa: S608
    "result = o.result, error = NULL, progress = 100, lease_until = NULL, worker = NULL, "
    f"{_LEAVE} FROM o, t WHERE {_HELD}{{}} "
    f"RETURNING j.id, j.seq, {_OWES}, COALESCE(j.result_ttl = 0, FALSE) AS doomed)"
)
_FINISH = (
    "ended AS (UPDATE jobqueue_jobs j SET status = CASE WHEN o.kind = 'retry' AND o.delay > 0 "  # noqa: S608
    f"THEN 'delayed' WHEN {_ENDS} THEN o.kind ELSE 'pending' END, "
    f"finished_at = CASE WHEN {_ENDS} THEN t.now END, "
    f"result = CASE WHEN {_ENDS} THEN o.result ELSE j.result END, "
    "error = CASE WHEN o.kind = 'released' THEN j.error ELSE o.error END, "
    "progress = CASE WHEN o.kind = 'completed' THEN 100 WHEN o.kind = 'failed' THEN o.progress "
    "ELSE j.progress END, "
    "run_at = CASE WHEN o.kind = 'retry' THEN t.now + o.delay ELSE j.run_at END, "
    "attempts = j.attempts - CASE WHEN o.kind = 'released' THEN 1 ELSE 0 END, "
    f"lease_until = NULL, worker = NULL, {_LEAVE} FROM o, t WHERE {_HELD}{{}} "
    f"RETURNING j.id, j.seq, {_OWES}, "
    "(j.status = 'completed' AND COALESCE(j.result_ttl = 0, FALSE)) AS doomed)"
)
_CLAIM = (
    "q AS MATERIALIZED (SELECT q.name, q.n "  # noqa: S608  our own words
    "FROM unnest(CAST(:queues AS text[]), CAST(:slots AS int[])) AS q(name, n) "
    "WHERE NOT EXISTS (SELECT 1 FROM jobqueue_paused p WHERE p.queue = q.name)), "
    "best AS MATERIALIZED (SELECT b.seq FROM q, LATERAL (SELECT seq FROM jobqueue_jobs "
    f"WHERE ready_queue = q.name AND version <= {NEWEST} "
    "ORDER BY turn, seq LIMIT q.n FOR UPDATE SKIP LOCKED) b), "
    "claimed AS (UPDATE jobqueue_jobs j SET status = 'processing', attempts = j.attempts + 1, "
    "fence = j.fence + 1, started_at = t.now, lease_until = t.now + CAST(:lease AS float8), "
    f"worker = :worker, gate = CASE WHEN j.gate = {NEXT} THEN {LEFT} ELSE j.gate END "
    f"FROM best, t WHERE j.seq = best.seq RETURNING j.seq, j.turn, j.gate, "
    f"{', '.join(f'j.{name}' for name in CLAIMED)}), "
    # a note that is over is written anew: a row that changes costs less than two
    "noted AS (INSERT INTO jobqueue_claims (id, until, seqs) SELECT CAST(:note AS bigint), "
    "t.now + CAST(:lease AS float8), (SELECT array_agg(seq) FROM claimed) FROM t "
    "WHERE EXISTS (SELECT 1 FROM claimed) "
    "ON CONFLICT (id) DO UPDATE SET until = EXCLUDED.until, seqs = EXCLUDED.seqs)"
)
_IDS, _IDS_GONE = "SELECT id FROM ended", "SELECT id FROM gone"
_NOTHING_ENDED = "FALSE AS owes, CAST(NULL AS bigint[]) AS doomed, CAST(NULL AS text[]) AS refused"
_LOST = (
    "(SELECT array_agg(h.id) FROM unnest(CAST(:held AS text[]), CAST(:held_fences AS int[])) "
    "AS h(id, fence) WHERE NOT EXISTS (SELECT 1 FROM jobqueue_jobs j WHERE j.id = h.id "
    "AND j.fence = h.fence AND j.status = 'processing'))"
)


@functools.cache
def step(*, ends: bool, unusual: bool, fleeting: bool, held: bool) -> str:
    """Return the statement that finishes k jobs and claims n.

    What a part of a statement costs before it has a row to work on is a third of a small step: it
    is left out where nothing needs it.

    Args:
        ends: Whether a job ended at all: mostly not where a job has come to an idle worker.
        unusual: Whether a job ended in another way than completed.
        fleeting: Whether jobs are deleted that completed.
        held: Whether leases are asked after.
    """
    parts, told = [NOW], _NOTHING_ENDED
    if ends:
        there = f"{_IDS} UNION ALL {_IDS_GONE}" if fleeting else _IDS
        parts += [_outcomes(unusual=unusual, fleeting=fleeting), *([_GONE] if fleeting else ())]
        ended = _FINISH if unusual else _COMPLETE
        parts.append(ended.format(f" AND NOT (o.fleeting AND {_PLACE})" if fleeting else ""))
        told = (
            "(SELECT bool_or(owes) FROM ended) AS owes, "  # noqa: S608  our own words
            "(SELECT array_agg(seq) FROM ended WHERE doomed AND NOT owes) AS doomed, "
            f"(SELECT array_agg(o.id) FROM o WHERE o.id NOT IN ({there})) AS refused"
        )
    return (
        f"WITH {', '.join([*parts, _CLAIM])}, info AS MATERIALIZED (SELECT t.now, {told}, "  # noqa: S608
        f"{_LOST if held else 'CAST(NULL AS text[])'} AS lost FROM t) "
        "SELECT info.*, claimed.* FROM info LEFT JOIN claimed ON TRUE"
    )


def _outcomes(*, unusual: bool, fleeting: bool) -> str:
    given = _OUTCOME | (_UNUSUAL if unusual else {}) | (_FLEETING if fleeting else {})
    names = ", ".join(f"o.{name}" for name in given if name != "seq")
    arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in given.values())
    return (
        f"o AS MATERIALIZED (SELECT {names}, "  # noqa: S608  our own words
        "COALESCE(o.seq, (SELECT i.seq FROM jobqueue_jobs i WHERE i.id = o.id)) AS seq "
        f"FROM unnest({arrays}) AS o({', '.join(given)}))"
    )


LOOK = (
    f"WITH {NOW}, spare AS (DELETE FROM jobqueue_claims WHERE id = ANY(CAST(:spare AS bigint[]))) "  # noqa: S608
    "SELECT LEAST((SELECT min(due_at) FROM jobqueue_jobs), (SELECT min(until) FROM jobqueue_claims "
    "WHERE CAST(:reclaims AS bool) AND id <> ALL(CAST(:spare AS bigint[])))) "
    "- t.now, EXISTS (SELECT 1 FROM jobqueue_jobs WHERE owes = 1) FROM t"
)
"""Asks for the seconds until something is due, and whether others must be told of an end."""
