"""Telling others that a job has ended: those that depend on it, and those that wait at its gate.

Whoever ends a job only marks it; settling follows in the same transaction, or, where that is one
statement, right after it. Should the process die in between, the marked row is found by any other.
"""

from collections.abc import Sequence

from ..._common.sql_statements import Params
from ...models import JobStatus
from .enqueuing import parent_failed
from .plans import Plan, Words, among, asked, parts
from .rows import waits_for
from .tables import LEFT, NEXT, PARKED

_PART = 500
_LEAVE = f"CASE WHEN gate > 0 THEN {LEFT} ELSE 0 END"
END = (
    "UPDATE jobqueue_jobs SET status = :status, finished_at = :now, result = :result, "  # noqa: S608
    "error = :error, progress = :progress, lease_until = NULL, worker = NULL, waits = 0, "
    f"gate = {_LEAVE} WHERE seq = :seq"
)
AGAIN = (
    "UPDATE jobqueue_jobs SET status = :status, run_at = :run_at, attempts = :attempts, "  # noqa: S608
    f"error = :error, lease_until = NULL, worker = NULL, gate = {_LEAVE} WHERE seq = :seq"
)
_END_CHILD = (
    "UPDATE jobqueue_jobs SET status = :status, finished_at = :now, error = :error, waits = 0, "  # noqa: S608
    f"gate = {_LEAVE} WHERE seq = :seq"
)
_LINE = (
    "SELECT j.queue, EXISTS (SELECT 1 FROM jobqueue_jobs n WHERE n.gate_key = j.gate_key "  # noqa: S608
    f"AND n.gate = {NEXT} AND n.queue = j.queue) FROM jobqueue_jobs j "
    f"WHERE j.gate_key = :key AND j.gate = {PARKED} AND j.queue > :after ORDER BY j.queue LIMIT 1"
)
_BEST = (
    f"SELECT seq FROM jobqueue_jobs WHERE gate_key = :key AND gate = {PARKED} "  # noqa: S608
    "AND queue = :queue ORDER BY turn, seq"
)
_WAIT_LESS = "UPDATE jobqueue_jobs SET waits = :waits, status = :status WHERE seq = :seq"


def settle(words: Words, now: float) -> Plan[None]:
    """Let go of what waits for jobs that have ended or left their gate."""
    while True:
        rows = yield (
            (
                "SELECT seq, id, status, gate, gate_key, children, result_ttl "  # noqa: S608  our own words
                f"FROM jobqueue_jobs WHERE {words.owing} ORDER BY seq LIMIT {_PART}{words.skip}"
            ),
            {},
        )
        if not rows:
            return
        over = [row for row in rows if row[5] and JobStatus(row[2]).is_final]
        left: dict[str, list[int]] = {}
        for row in rows:
            if row[3] == LEFT:
                left.setdefault(row[4], []).append(row[0])
        for _, job_id, status, *_ in over:
            yield from _tell(words, job_id, JobStatus(status), now)
        for key in sorted(left):
            yield from leave(words, key, left[key])
        yield from _told([row[0] for row in over])
        gone = [row[0] for row in rows if row[2] == JobStatus.COMPLETED and row[6] == 0]
        yield from delete(gone)


def _told(seqs: Sequence[int]) -> Plan[None]:
    if seqs:
        test, params = among("s", seqs)
        yield f"UPDATE jobqueue_jobs SET children = 0 WHERE seq {test}", params  # noqa: S608


def delete(seqs: Sequence[int]) -> Plan[None]:
    """Delete jobs."""
    for some in parts(seqs):
        test, params = among("s", some)
        yield f"DELETE FROM jobqueue_jobs WHERE seq {test}", params  # noqa: S608


def _tell(words: Words, parent: str, status: JobStatus, now: float) -> Plan[None]:
    rows = yield "SELECT child FROM jobqueue_edges WHERE parent = :parent", {"parent": parent}
    for some in parts([row[0] for row in rows]):
        test, params = among("c", some)
        found = yield (
            (
                "SELECT seq, waits, on_parent_failure, run_at, depends_on "  # noqa: S608
                "FROM jobqueue_jobs "
                f"WHERE id {test} AND status = 'delayed' AND waits > 0 ORDER BY seq{words.lock}"
            ),
            params,
        )
        ends: list[Params] = []
        less: list[Params] = []
        for seq, waits, rule, run_at, depends_on in found:
            if not waits_for(depends_on, parent):
                continue  # another job of that id waited for it, and was deleted meanwhile
            if status is not JobStatus.COMPLETED and rule != "run":
                to = JobStatus.FAILED if rule == "fail" else JobStatus.CANCELLED
                error = parent_failed(parent, status)
                ends.append({"seq": seq, "status": str(to), "now": now, "error": error})
                continue
            ready = waits == 1 and (run_at is None or run_at <= now)
            to = JobStatus.PENDING if ready else JobStatus.DELAYED
            less.append({"seq": seq, "waits": waits - 1, "status": str(to)})
        yield from asked((*words.finishing(_END_CHILD, ends), *words.finishing(_WAIT_LESS, less)))
    if rows:
        yield "DELETE FROM jobqueue_edges WHERE parent = :parent", {"parent": parent}


def lock_gate(words: Words, key: str) -> Plan[str]:
    """Lock a key's gate, made if need be, and return its latest starts as JSON."""
    make = words.insert_once("jobqueue_gates", "gate_key", "starts", "expires")
    while True:
        text = f"SELECT starts FROM jobqueue_gates WHERE gate_key = :key{words.lock}"  # noqa: S608
        if rows := (yield text, {"key": key}):
            return str(rows[0][0])
        yield make, {"gate_key": key, "starts": "[]", "expires": 0.0}


def leave(words: Words, key: str, seqs: Sequence[int]) -> Plan[None]:
    """Note that jobs have left a gate, and let as many others out of it."""
    yield from lock_gate(words, key)
    if seqs:
        test, params = among("s", seqs)
        free = f"UPDATE jobqueue_jobs SET gate = 0, gate_key = NULL WHERE seq {test}"  # noqa: S608
        # claimed again meanwhile, it stands at the gate anew
        yield f"{free} AND gate = {LEFT}", params
    yield from let_out(words, key, max(1, len(seqs)))


def let_out(words: Words, key: str, most: int) -> Plan[None]:
    """Make the best parked jobs of a key claimable: of each queue, unless one of it is already.

    Of each, so that a queue that is paused, or that no worker serves, does not hold up others.
    """
    queue = ""
    while rows := (yield _LINE, {"key": key, "after": queue}):
        queue, is_out = rows[0]
        if is_out:
            continue
        at = {"key": key, "queue": queue}
        best = yield f"{_BEST} LIMIT {int(most)}{words.lock}", at
        if best:
            test, params = among("s", [row[0] for row in best])
            yield f"UPDATE jobqueue_jobs SET gate = {NEXT} WHERE seq {test}", params  # noqa: S608
