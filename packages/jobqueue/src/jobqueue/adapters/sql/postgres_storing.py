"""Storing new jobs in PostgreSQL: one statement, unless a job is there already."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from ..._common.sql import Database
from ..._common.sql_statements import Params, code_of
from ...errors import BackendError
from ...ports import FORMAT, Enqueued, Record
from .listening import RING
from .postgres_words import NOW
from .rows import placed

_TAKEN = "23505"
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
_CLOCK = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS float8)"
_ZEROS = "'pending', 0, 0, 0, '[]', 0, 0, 0, 0"
ENQUEUE_ONE = (
    f"INSERT INTO jobqueue_jobs ({', '.join([*_ALONE, *_FIRST, *_NONE])}, aging) "  # noqa: S608
    f"VALUES ({', '.join(f'CAST(:{name} AS {_GIVEN[name]})' for name in _ALONE)}, "
    f"COALESCE(CAST(:now AS float8), {_CLOCK}) + CAST(:ahead AS float8), "
    f"-CAST(:priority AS int), {_ZEROS}) ON CONFLICT DO NOTHING RETURNING id, created_at, {RING}"
)
"""Stores a job that is due now, in half the time of ENQUEUE: it neither joins nor sorts."""
_USUAL = {
    "backoff": None, "unique_key": None, "headers": "{}", "version": FORMAT,
    "on_parent_failure": "fail", "limit_key": None,
}  # fmt: skip
_QUICK = [name for name in _ALONE if name not in _USUAL]
ENQUEUE_QUICK = (
    f"INSERT INTO jobqueue_jobs ({', '.join([*_QUICK, *_FIRST, *_NONE])}, aging, "  # noqa: S608
    "headers, version, on_parent_failure) "
    f"VALUES ({', '.join(f'CAST(:{name} AS {_GIVEN[name]})' for name in _QUICK)}, {_CLOCK}, "
    f"-CAST(:priority AS int), {_ZEROS}, '{{}}', {FORMAT}, 'fail') RETURNING created_at, {RING}"
)
"""Stores a job of which nothing is unusual; that its id is taken is an error.

To look for that before the insert, as ON CONFLICT does, takes as long as the rest of it together.
"""
_OWN = ["id", "data"]
_ALL_ALIKE = [name for name in _ALONE if name not in _OWN]
_SHARED = ", ".join(f"CAST(:{name} AS {_GIVEN[name]})" for name in _ALL_ALIKE)
ENQUEUE_ALIKE = (
    f"WITH {NOW}, made AS (INSERT INTO jobqueue_jobs "  # noqa: S608
    f"({', '.join([*_OWN, *_ALL_ALIKE, *_FIRST, *_NONE])}, aging) "
    f"SELECT r.id, r.data, {_SHARED}, (SELECT now FROM t), -CAST(:priority AS int), 'pending', "
    "0, 0, 0, '[]', 0, 0, 0, 0 "
    "FROM unnest(CAST(:ids AS text[]), CAST(:contents AS bytea[])) AS r(id, data)) "
    f"SELECT t.now, {RING} FROM t"
)
"""Stores jobs of which only ids and data differ, all or none: an id that is taken is an error.

To look whether one is taken before each insert would cost as much as the insert. The rows of a
function come, and are numbered, in their order where nothing is joined to them: no sort.
"""


async def stored(db: Database, moment: Params, records: Sequence[Record]) -> dict[int, Enqueued]:
    """Store the jobs whose ids and keys are free; return what became of these, by their place.

    None of them may depend on others.
    """
    if len(records) > 1 and are_alike(records):
        try:
            rows = await db.fetch(ENQUEUE_ALIKE, {**_alike(records), **moment})
        except BackendError as exc:
            if code_of(exc.__cause__) != _TAKEN:
                raise
        else:
            now = rows[0][0]
            for record in records:
                record.created_at = now
            return {i: Enqueued(record, "created") for i, record in enumerate(records)}
    if len(records) == 1 and _is_plain(records[0]):
        rows = await db.fetch(ENQUEUE_ONE, {**_alone(records[0]), **moment})
    else:
        rows = await db.fetch(ENQUEUE, {**_given(records), **moment})
    times = {row[0]: row[1] for row in rows}
    made: dict[int, Enqueued] = {}
    for i, record in enumerate(records):
        if (now := times.pop(record.id, None)) is not None:  # else there already, or twice
            made[i] = Enqueued(placed(record, now), "created")
    return made


async def store_quickly(db: Database, record: Record) -> bool:
    """Store a job of which nothing is unusual; whether its id was free."""
    try:
        rows = await db.fetch(ENQUEUE_QUICK, {name: getattr(record, name) for name in _QUICK})
    except BackendError as exc:
        if code_of(exc.__cause__) != _TAKEN:
            raise
        return False
    record.created_at = rows[0][0]
    return True


_shared, _rest = attrgetter(*_ALL_ALIKE), attrgetter(*_USUAL)
_AS_USUAL = tuple(_USUAL.values())


def are_alike(records: Sequence[Record]) -> bool:
    """Whether only the ids and data of jobs differ, which are due at once and have no key."""
    first = _shared(records[0])
    if records[0].unique_key is not None:
        return False
    return all(_is_plain(record) and _shared(record) == first for record in records)


def _is_plain(record: Record) -> bool:
    """Whether a job is due at once, in strict order."""
    return record.delay == 0 and record.run_at is None and record.aging == 0


def is_usual(record: Record) -> bool:
    """Whether :func:`store_quickly` can store a job."""
    return _is_plain(record) and not record.depends_on and _rest(record) == _AS_USUAL


def _given(records: Sequence[Record]) -> dict[str, Any]:
    return {name: [getattr(r, name) for r in records] for name in _GIVEN}


def _alike(records: Sequence[Record]) -> dict[str, Any]:
    own = {"ids": [r.id for r in records], "contents": [r.data for r in records]}
    return {**own, **{name: getattr(records[0], name) for name in _ALL_ALIKE}}


def _alone(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in _ALONE}
