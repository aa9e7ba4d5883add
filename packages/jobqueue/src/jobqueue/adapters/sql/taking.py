"""Leasing jobs that were chosen, and failing those that nobody can read."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..._common.sql_lanes import Row
from ..._common.sql_statements import Params
from ...errors import BackendError
from ...models import JobStatus
from ...ports import Record, WorkerCall
from .plans import Plan, Words, among, asked, parts
from .rows import record_of
from .settling import END
from .tables import LEFT, NEXT

_LEASE = (
    "UPDATE jobqueue_jobs SET status = 'processing', attempts = attempts + 1, fence = fence + 1, "  # noqa: S608
    "started_at = :now, lease_until = :until, worker = :worker, "
    f"gate = CASE WHEN gate = {NEXT} THEN {LEFT} ELSE gate END WHERE seq "
)


@dataclass(frozen=True, slots=True)
class Taken:
    """A claimed job and what claims are ordered by."""

    turn: float
    seq: int
    record: Record


def take(words: Words, rows: Sequence[Row], call: WorkerCall, now: float) -> Plan[list[Taken]]:
    """Lease the jobs in ``rows`` (seq, turn, gate, then ``FIELDS``), which we have locked."""
    made: list[Taken] = []
    bad: list[Params] = []
    for row in rows:
        try:
            record = record_of(row[3:])
        except BackendError as exc:
            bad.append(unreadable(row[0], exc, now))
            continue
        record.status, record.worker, record.started_at = JobStatus.PROCESSING, call.worker, now
        record.attempts, record.fence = record.attempts + 1, record.fence + 1
        record.lease_until = now + call.lease
        made.append(Taken(row[1], row[0], record))
    for some in parts([each.seq for each in made]):
        test, params = among("s", some)
        times: Params = {"now": now, "until": now + call.lease, "worker": call.worker}
        yield _LEASE + test, {**params, **times}
        if words.noting:
            until = now + call.lease
            yield words.noting, {"note": words.draw(), "seqs": list(some), "until": until}
    yield from asked(words.finishing(END, bad))
    return made


def unreadable(seq: int, exc: BackendError, now: float) -> Params:
    """Return how a job ends whose columns hold what no release wrote; its bytes stay."""
    values = {"result": None, "error": f"UnreadableRecord: {exc}"[:2000], "progress": 0.0}
    return {"seq": seq, "status": "failed", "now": now, **values}


def in_order(taken: Sequence[Taken]) -> list[Record]:
    """Return the claimed jobs, best first."""
    return [each.record for each in sorted(taken, key=lambda each: (each.turn, each.seq))]
