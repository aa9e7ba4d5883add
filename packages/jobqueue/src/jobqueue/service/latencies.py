"""How long jobs waited and ran, out of their stored times."""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime

from ..models import Job, Latencies


def wait_of(job: Job) -> float | None:
    """Return the seconds between the moment when a job was due and its last attempt's start.

    None where nobody knows when it was due: it has not begun, or it waited for other jobs.
    """
    due = job.scheduled_at or (None if job.depends_on else job.created_at)
    return None if due is None else _between(due, job.started_at)


def run_of(job: Job) -> float | None:
    """Return the seconds that the last attempt at an ended job ran; None without one."""
    return None if job.started_at is None else _between(job.started_at, ended_at(job))


def ended_at(job: Job) -> datetime | None:
    """Return when a job completed, was cancelled or failed for good."""
    return job.completed_at or job.failed_at


def _between(begin: datetime, end: datetime | None) -> float | None:
    return None if end is None else max(0.0, (end - begin).total_seconds())


def summarize(jobs: Iterable[Job]) -> Latencies:
    """Return the figures of some ended jobs."""
    looked_at = list(jobs)
    waits = sorted(each for each in map(wait_of, looked_at) if each is not None)
    runs = sorted(each for each in map(run_of, looked_at) if each is not None)
    return Latencies(
        count=len(looked_at),
        wait_p50=quantile(waits, 0.5),
        wait_p95=quantile(waits, 0.95),
        run_p50=quantile(runs, 0.5),
        run_p95=quantile(runs, 0.95),
    )


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the least of the sorted ``values`` that so large a share does not exceed."""
    if not values:
        return None
    return values[max(0, math.ceil(len(values) * share) - 1)]
