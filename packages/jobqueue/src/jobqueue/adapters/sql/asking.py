"""Questions that change nothing: listings and figures."""

from typing import Any

from ..._common.sql_statements import Params
from ...models import JobFilters
from .tables import COLUMNS

BY_ID = f"SELECT {COLUMNS} FROM jobqueue_jobs WHERE id = :id"  # noqa: S608
LAST_TICK = "SELECT at FROM jobqueue_ticks WHERE name = :name"
QUEUES = "SELECT DISTINCT queue FROM jobqueue_jobs"
PAUSED = "SELECT queue FROM jobqueue_paused"
WORKERS = "SELECT count(*) FROM jobqueue_workers WHERE until > :now"


def figures(queue: str | None, now: float) -> list[tuple[str, Params]]:
    """Return the questions behind ``stats``: counts, oldest, done in the last minute, workers."""
    one = "" if queue is None else "AND queue = :queue "
    some: dict[str, Any] = {} if queue is None else {"queue": queue}
    count = "SELECT status, count(*) FROM jobqueue_jobs WHERE 1 = 1"
    oldest = "SELECT min(COALESCE(run_at, created_at)) FROM jobqueue_jobs WHERE status = 'pending'"
    done = "SELECT count(*) FROM jobqueue_jobs WHERE status = 'completed' AND finished_at > :since"
    return [
        (f"{count} {one}GROUP BY status", some),
        (f"{oldest} {one}", some),
        (f"{done} {one}", {**some, "since": now - 60}),
        (WORKERS, {"now": now}),
    ]


def listing(filters: JobFilters, limit: int, cursor: str | None) -> tuple[str, Params]:
    """Return the question for one page and one job more."""
    tests: dict[str, tuple[str, Any]] = {}
    if filters.name is not None:
        tests["name"] = "name = :name", filters.name
    if filters.queue is not None:
        tests["queue"] = "queue = :queue", filters.queue
    if filters.created_after is not None:
        tests["after"] = "created_at >= :after", filters.created_after.timestamp()
    if filters.created_before is not None:
        tests["before"] = "created_at < :before", filters.created_before.timestamp()
    params = {name: value for name, (_, value) in tests.items()}
    words = [test for test, _ in tests.values()]
    if statuses := filters.statuses:
        params |= {f"s{i}": str(status) for i, status in enumerate(statuses)}
        words.append(f"status IN ({', '.join(f':s{i}' for i in range(len(statuses)))})")
    where = "".join(f"AND {word} " for word in words)
    params |= {"cursor": 1 << 62 if cursor is None else int(cursor), "limit": limit + 1}
    text = (
        f"SELECT seq, {COLUMNS} FROM jobqueue_jobs WHERE seq < :cursor {where}"  # noqa: S608  own words
        "ORDER BY seq DESC LIMIT :limit"
    )
    return text, params
