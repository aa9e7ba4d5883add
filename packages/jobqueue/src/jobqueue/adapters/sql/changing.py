"""Cancelling, retrying, removing, purging, and the ticks of cron entries."""

from collections.abc import Sequence

from ..._common.sql_statements import Params
from ...models import JobStatus
from ...ports import Record
from .enqueuing import enqueue
from .plans import Plan, Time, Words, among, asked, parts
from .settling import END, delete, settle
from .tables import FINAL

_STATE = "SELECT id, seq, status, unique_key, result, error, progress, children, gate"
_RETRY = (
    "UPDATE jobqueue_jobs SET status = 'pending', attempts = 0, run_at = NULL, finished_at = NULL "
    "WHERE seq = :seq"
)


def change(words: Words, time: Time, ids: Sequence[str], to: JobStatus) -> Plan[int]:
    """Cancel unfinished jobs, or retry failed and cancelled ones; return how many changed."""
    now = yield from time.now()
    count = 0
    for some in parts(list(dict.fromkeys(ids))):
        test, params = among("i", some)
        text = f"{_STATE} FROM jobqueue_jobs WHERE id {test} ORDER BY seq{words.lock}"
        rows = yield text, params
        if to is JobStatus.CANCELLED:
            steps = [_cancelled(row, now) for row in rows if not JobStatus(row[2]).is_final]
            yield from asked(words.finishing(END, steps))
            yield from settle(words, now)
        else:
            retryable = [row for row in rows if row[2] in {"failed", "cancelled"}]
            held = yield from _held_keys(words, [row[3] for row in retryable if row[3]])
            steps = []
            for row in retryable:
                if row[3] not in held:
                    held |= {row[3]} if row[3] else set()
                    steps.append({"seq": row[1]})
            yield from asked(words.finishing(_RETRY, steps))
        count += len(steps)
    return count


def _cancelled(row: Sequence[object], now: float) -> Params:
    values = {"result": row[4], "error": row[5], "progress": row[6]}
    return {"seq": row[1], "status": "cancelled", "now": now, **values}


def _held_keys(words: Words, keys: Sequence[str]) -> Plan[set[str]]:
    if not keys:
        return set()
    test, params = among("k", keys)
    rows = yield f"SELECT unique_key FROM jobqueue_jobs WHERE {words.keyed} {test}", params  # noqa: S608
    return {row[0] for row in rows}


def remove(words: Words, time: Time, ids: Sequence[str]) -> Plan[int]:
    """Delete jobs that no worker holds; return how many."""
    now = yield from time.now()
    count = 0
    for some in parts(list(dict.fromkeys(ids))):
        test, params = among("i", some)
        text = f"{_STATE} FROM jobqueue_jobs WHERE id {test} ORDER BY seq{words.lock}"
        rows = [row for row in (yield text, params) if row[2] != JobStatus.PROCESSING]
        # others wait for it, or it stands at a gate: it ends first, and they are told
        ends = [_cancelled(row, now) for row in rows if row[7] or row[8]]
        finals = {row[1] for row in rows if JobStatus(row[2]).is_final}
        ends = [each for each in ends if each["seq"] not in finals]
        yield from asked(words.finishing(END, ends))
        yield from settle(words, now)
        yield from delete([row[1] for row in rows])
        count += len(rows)
    return count


def purge(
    words: Words, time: Time, statuses: Sequence[JobStatus], before: float, limit: int
) -> Plan[int]:
    """Delete up to ``limit`` ended jobs; return how many."""
    now = yield from time.now()
    if words.scanning:
        yield words.scanning, {}
    kinds: list[tuple[str, Params]] = [
        (words.over, {"moment": now}),
        *(("status = :status AND finished_at < :moment", {"moment": before, "status": str(each)})
          for each in statuses),
    ]  # fmt: skip
    count = 0
    for where, params in kinds:
        if count < limit:
            rows = yield (
                (
                    f"SELECT seq FROM jobqueue_jobs WHERE {FINAL} AND {where} AND children = 0 "  # noqa: S608
                    f"AND gate = 0 LIMIT :most{words.skip}"
                ),
                {**params, "most": limit - count},
            )
            yield from delete([row[0] for row in rows])
            count += len(rows)
    return count


def tick(words: Words, time: Time, name: str, at: float, records: Sequence[Record]) -> Plan[bool]:
    """Move a cron entry forward and enqueue ``records``, unless another scheduler did."""
    yield words.insert_once("jobqueue_ticks", "name"), {"name": name}
    text = f"SELECT at FROM jobqueue_ticks WHERE name = :name{words.lock}"  # noqa: S608
    [row] = yield text, {"name": name}
    if row[0] is not None and row[0] >= at:
        return False
    yield "UPDATE jobqueue_ticks SET at = :at WHERE name = :name", {"name": name, "at": at}
    if records:
        yield from enqueue(words, time, records)
    return True
