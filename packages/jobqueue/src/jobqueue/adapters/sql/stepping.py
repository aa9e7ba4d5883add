"""A worker's step: ends, upkeep and claims in one transaction."""

from collections.abc import Sequence

from ..._common.sql_statements import Params
from ...ports import Lease, Outcome, Step, WorkerCall
from .gates import claim_limited
from .plans import Plan, Time, Words, among, asked, parts
from .rows import NEWEST, clean
from .settling import AGAIN, END, delete, settle
from .tables import COLUMNS
from .taking import Taken, in_order, take

_PART = 1000


def step(words: Words, time: Time, call: WorkerCall) -> Plan[Step]:
    """Finish, promote, take back, claim, and say what is lost and what is next."""
    now = yield from time.now()
    refused = yield from finish(words, call.outcomes, now)
    yield from upkeep(words, now, reclaims=call.reclaims)
    yield from _alive(words, call, now)
    taken = yield from claim(words, call, now)
    if taken:
        yield from settle(words, now)  # a job let out of its gate was taken without regard to it
    lost = yield from missing(call.held)
    due = yield from next_due(words, now, leases=call.reclaims)
    return Step(claimed=in_order(taken), refused=refused, lost=lost, next_due=due)


def finish(words: Words, outcomes: Sequence[Outcome], now: float) -> Plan[list[str]]:
    """Take in how attempts ended; return the ids of those whose lease is lost."""
    refused: list[str] = []
    for some in parts(outcomes):
        test, params = among("i", [each.lease.id for each in some])
        rows = yield (
            (
                "SELECT id, fence, seq, attempts, error, result_ttl, children, gate, run_at "  # noqa: S608
                f"FROM jobqueue_jobs WHERE id {test} AND status = 'processing'{words.lock}"
            ),
            params,
        )
        found = {(row[0], row[1]): row for row in rows}
        ends: list[Params] = []
        again: list[Params] = []
        gone: list[int] = []
        for outcome in some:
            row = found.pop((outcome.lease.id, outcome.lease.fence), None)
            if row is None:
                refused.append(outcome.lease.id)
                continue
            _, _, seq, attempts, error, ttl, children, gate, run_at = row
            if outcome.kind in {"completed", "failed"}:
                if outcome.kind == "completed" and ttl == 0 and not (children or gate):
                    gone.append(seq)
                else:
                    ends.append(_ending(seq, outcome, now))
            else:
                again.append(_again(seq, outcome, attempts, error, run_at, now))
        yield from delete(gone)
        yield from asked((*words.finishing(END, ends), *words.finishing(AGAIN, again)))
    return refused


def _ending(seq: int, outcome: Outcome, now: float) -> Params:
    progress = 100.0 if outcome.kind == "completed" else outcome.lease.progress
    values = {"result": outcome.result, "error": clean(outcome.error), "progress": progress}
    return {"seq": seq, "status": outcome.kind, "now": now, **values}


def _again(
    seq: int, outcome: Outcome, attempts: int, error: str | None, run_at: float | None, now: float
) -> Params:
    if outcome.kind == "released":
        values: Params = {"attempts": attempts - 1, "error": error, "run_at": run_at}
        return {"seq": seq, "status": "pending", **values}
    status = "delayed" if outcome.delay > 0 else "pending"
    due = now + outcome.delay
    said = clean(outcome.error)
    return {"seq": seq, "status": status, "attempts": attempts, "error": said, "run_at": due}


def upkeep(words: Words, now: float, *, reclaims: bool) -> Plan[None]:
    """Promote what is due, take back expired leases, tell others of what has ended."""
    due = yield (
        f"SELECT seq FROM jobqueue_jobs WHERE {words.due} LIMIT {_PART}{words.skip}",  # noqa: S608
        {"now": now},
    )
    if due:
        test, params = among("s", [row[0] for row in due])
        yield f"UPDATE jobqueue_jobs SET status = 'pending' WHERE seq {test}", params  # noqa: S608
    if reclaims:
        yield from _reclaim(words, now)
    yield from settle(words, now)


def _reclaim(words: Words, now: float) -> Plan[None]:
    expired = yield (
        (
            "SELECT seq, attempts, max_attempts, error, result, progress FROM jobqueue_jobs "  # noqa: S608
            f"WHERE {words.expired} LIMIT {_PART}{words.skip}"
        ),
        {"now": now},
    )
    ends: list[Params] = []
    again: list[Params] = []
    for seq, attempts, most, error, result, progress in expired:
        if attempts >= most:
            said = f"LeaseExpired: the worker vanished in attempt {attempts}"
            values: Params = {"result": result, "error": said, "progress": progress}
            ends.append({"seq": seq, "status": "failed", "now": now, **values})
        else:
            values = {"attempts": attempts, "error": error, "run_at": None}
            again.append({"seq": seq, "status": "pending", **values})
    yield from asked((*words.finishing(END, ends), *words.finishing(AGAIN, again)))
    yield from asked((text, {"now": now}) for text in words.noted)


def _alive(words: Words, call: WorkerCall, now: float) -> Plan[None]:
    text = words.upsert("jobqueue_workers", "id", "until")
    yield text, {"id": call.worker, "until": now + call.lease}


def claim(words: Words, call: WorkerCall, now: float) -> Plan[list[Taken]]:
    """Lease the best jobs of each queue that is not paused."""
    queues = [queue for queue, slots in call.slots.items() if slots > 0]
    if not queues:
        return []
    test, params = among("q", queues)
    rows = yield f"SELECT queue FROM jobqueue_paused WHERE queue {test}", params  # noqa: S608
    paused = {row[0] for row in rows}
    made: list[Taken] = []
    for queue in queues:
        if queue in paused:
            continue
        if call.limits:
            made += yield from claim_limited(words, call, queue, call.slots[queue], now)
            continue
        rows = yield (
            (
                f"SELECT seq, turn, gate, {COLUMNS} FROM jobqueue_jobs WHERE {words.ready} "  # noqa: S608
                f"AND version <= {NEWEST} ORDER BY turn, seq LIMIT :slots{words.skip}"
            ),
            {"queue": queue, "slots": call.slots[queue]},
        )
        made += yield from take(words, rows, call, now)
    return made


def missing(held: Sequence[Lease]) -> Plan[list[str]]:
    """Return the ids of the leases in ``held`` that are gone."""
    there: set[tuple[str, int]] = set()
    for some in parts(held):
        test, params = among("h", [each.id for each in some])
        rows = yield (
            f"SELECT id, fence FROM jobqueue_jobs WHERE id {test} AND status = 'processing'",  # noqa: S608
            params,
        )
        there |= {(row[0], row[1]) for row in rows}
    return [each.id for each in held if (each.id, each.fence) not in there]


def next_due(words: Words, now: float, *, leases: bool) -> Plan[float | None]:
    """Return the seconds until a delayed job is due or, with ``leases``, one runs out."""
    expiry = words.next_expiry if leases else "NULL"
    rows = yield f"SELECT ({words.next_due}), ({expiry})", {}
    times = [float(moment) for moment in rows[0] if moment is not None]
    return max(0.0, min(times) - now) if times else None


def extend(words: Words, time: Time, call: WorkerCall) -> Plan[list[str]]:
    """Renew leases and note that the worker lives; return the ids that are lost."""
    now = yield from time.now()
    lost: list[str] = []
    for some in parts(call.held):
        test, params = among("h", [each.id for each in some])
        rows = yield (
            (
                "SELECT id, fence, seq FROM jobqueue_jobs "  # noqa: S608
                f"WHERE id {test} AND status = 'processing'{words.lock}"
            ),
            params,
        )
        found = {(row[0], row[1]): row[2] for row in rows}
        lost += [each.id for each in some if (each.id, each.fence) not in found]
        renewed: list[Params] = [
            {
                "seq": found[each.id, each.fence],
                "until": now + call.lease,
                "progress": each.progress,
            }
            for each in some
            if (each.id, each.fence) in found
        ]
        text = (
            "UPDATE jobqueue_jobs SET lease_until = :until, progress = :progress WHERE seq = :seq"
        )
        yield from asked(words.finishing(text, renewed))
    yield from _alive(words, call, now)
    yield from forget(now)
    return lost


def forget(now: float) -> Plan[None]:
    """Delete workers of long ago, and the gates of keys that nobody uses any more."""
    yield "DELETE FROM jobqueue_workers WHERE until < :then", {"then": now - 60}
    yield (
        (
            "DELETE FROM jobqueue_gates WHERE expires < :then AND NOT EXISTS (SELECT 1 FROM "
            "jobqueue_jobs j WHERE j.gate_key = jobqueue_gates.gate_key)"
        ),
        {"then": now - 60},
    )
