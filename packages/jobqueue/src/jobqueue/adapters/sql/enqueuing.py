"""Storing new jobs: duplicates, unique keys and parents."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from ...errors import BackendError
from ...models import JobStatus
from ...ports import Enqueued, Record
from .plans import Ask, Plan, TakenError, Time, Words, among, asked, parts
from .rows import params_of, placed, record_of
from .tables import COLUMNS, FIELDS, OWN, UNFINISHED

_TRIES = 5
_ALL = (*FIELDS, *OWN)
INSERT = (
    f"INSERT INTO jobqueue_jobs ({', '.join(_ALL)}) "  # noqa: S608  our own names
    f"VALUES ({', '.join(f':{name}' for name in _ALL)})"
)


@dataclass
class _Known:
    """What is stored already, and what this call adds."""

    by_id: dict[str, Record] = field(default_factory=dict)
    by_key: dict[str, Record] = field(default_factory=dict)
    status: dict[str, JobStatus] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        self.by_id[record.id], self.status[record.id] = record, record.status
        if record.unique_key is not None and not record.status.is_final:
            self.by_key[record.unique_key] = record


@dataclass
class _New:
    """A job to insert."""

    record: Record
    waits: list[str]
    children: int = 0

    @property
    def ask(self) -> dict[str, object]:
        return dict(params_of(self.record, len(self.waits), self.children))


def enqueue(words: Words, time: Time, records: Sequence[Record]) -> Plan[list[Enqueued]]:
    """Store ``records``; what is there already is returned instead."""
    now = yield from time.now()
    if words.bulk:
        return (yield from _together(words, records, now))
    known = yield from _look(words, records)
    made: list[Enqueued] = []
    for record in records:
        one = yield from _one(words, record, known, now)
        made.append(one)
    return made


def _together(words: Words, records: Sequence[Record], now: float) -> Plan[list[Enqueued]]:
    known = yield from _look(words, records)
    made: list[Enqueued] = []
    new: dict[str, _New] = {}
    for record in records:
        verdict = _judge(record, known, now)
        if isinstance(verdict, _New):
            new[record.id] = verdict
            known.add(verdict.record)
            for parent in verdict.waits:
                if parent in new:
                    new[parent].children = 1
            made.append(Enqueued(verdict.record, "created"))
        else:
            made.append(verdict)
    if new:
        yield INSERT + words.new, [each.ask for each in new.values()]
        yield from _edges(words, list(new.values()))
    return made


def _one(words: Words, record: Record, known: _Known, now: float) -> Plan[Enqueued]:
    for _ in range(_TRIES):
        verdict = _judge(record, known, now)
        if not isinstance(verdict, _New):
            return verdict
        if (yield from _inserted(words, verdict)):
            known.add(verdict.record)
            yield from _edges(words, [verdict])
            return Enqueued(verdict.record, "created")
        # somebody took the id or the key between our look and the insert
        fresh = yield from _look(words, [record])
        known.by_id |= fresh.by_id
        known.by_key |= fresh.by_key
        known.status |= fresh.status
    raise BackendError(f"job {record.id!r} cannot be stored for duplicates", retryable=True)


def _inserted(words: Words, new: _New) -> Plan[bool]:
    in_call = list(new.waits)
    if in_call:
        yield from _mark(in_call)
    try:
        rows = yield INSERT + words.new, new.ask
    except TakenError:
        return False
    return bool(rows) or "RETURNING" not in words.new


def _mark(parents: Sequence[str]) -> Plan[None]:
    # locks them too: none of these can end until we are done, and whoever ends it sees the mark
    test, params = among("p", sorted(parents))
    text = f"UPDATE jobqueue_jobs SET children = 1 WHERE id {test} AND {UNFINISHED}"  # noqa: S608
    yield text, params


def _edges(words: Words, new: Sequence[_New]) -> Plan[None]:
    # one may be there: of a job that had this id before, and was deleted while it waited
    edge = words.insert_once("jobqueue_edges", "parent", "child")
    rows: list[Ask] = []
    for each in new:
        pairs = [{"parent": parent, "child": each.record.id} for parent in each.waits]
        if pairs:
            rows.append((edge, list(pairs)))
    yield from asked(rows)


def _look(words: Words, records: Sequence[Record]) -> Plan[_Known]:
    known = _Known()
    parents = sorted({parent for record in records for parent in record.depends_on})
    for some in parts(parents):
        yield from _mark(some)
        test, params = among("p", some)
        rows = yield f"SELECT id, status FROM jobqueue_jobs WHERE id {test}", params  # noqa: S608
        known.status |= {row[0]: JobStatus(row[1]) for row in rows}
    ids = list(dict.fromkeys(record.id for record in records))
    for some in parts(ids):
        test, params = among("i", some)
        rows = yield f"SELECT {COLUMNS} FROM jobqueue_jobs WHERE id {test}", params  # noqa: S608
        known.by_id |= {row[0]: record_of(row) for row in rows}
    keys = list(dict.fromkeys(each.unique_key for each in records if each.unique_key is not None))
    for keyed in parts(keys):
        test, params = among("k", keyed)
        text = f"SELECT {COLUMNS} FROM jobqueue_jobs WHERE {words.keyed} {test}"  # noqa: S608
        found = [record_of(row) for row in (yield text, params)]
        known.by_key |= {str(each.unique_key): each for each in found}
    return known


def _judge(record: Record, known: _Known, now: float) -> "Enqueued | _New":
    if (there := known.by_id.get(record.id)) is not None:
        return Enqueued(there, "same_id")
    if record.unique_key is not None and (there := known.by_key.get(record.unique_key)):
        return Enqueued(there, "same_key")
    parents = list(dict.fromkeys(record.depends_on))
    if not known.status.keys() >= set(parents):
        return Enqueued(record, "no_parent")
    made = placed(record, now)
    for parent in parents:
        status = known.status[parent]
        ill = status in {JobStatus.FAILED, JobStatus.CANCELLED}
        if ill and record.on_parent_failure != "run":
            return _New(_ended(made, parent, status, now), [])
    waits = [parent for parent in parents if not known.status[parent].is_final]
    if waits:
        made.status = JobStatus.DELAYED
    return _New(made, waits)


def _ended(made: Record, parent: str, status: JobStatus, now: float) -> Record:
    to = JobStatus.FAILED if made.on_parent_failure == "fail" else JobStatus.CANCELLED
    return msgspec.structs.replace(
        made, status=to, finished_at=now, error=parent_failed(parent, status)
    )


def parent_failed(parent: str, status: str) -> str:
    """Return the error of a job that ends with its parent."""
    return f"ParentFailed: job {parent!r} {status}"
