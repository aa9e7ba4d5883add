"""Limits in memory: what nobody uses any more is forgotten."""

import pytest

from jobqueue.adapters.memory_gates import Gates
from jobqueue.ports import Limit, Record


@pytest.mark.parametrize("limit", [Limit(concurrency=1), Limit(starts=1, period=60.0)])
def test_keys_are_forgotten_when_their_time_is_over(limit: Limit) -> None:
    gates = Gates(lambda job_id: None)
    for n in range(300):
        job = Record(id=f"j{n}", name="x", queue="q", data=b"", limit_key=f"user {n}")
        assert gates.pass_one(job, (0.0, n, job.id), limit, float(n)) == n
        gates.leave(job)
    assert len(gates._known) < 150


def test_starts_are_noted_only_where_they_count() -> None:
    gates = Gates(lambda job_id: None)
    for n in range(100):
        job = Record(id=f"j{n}", name="x", queue="q", data=b"")
        gates.pass_one(job, (0.0, n, job.id), Limit(concurrency=1), float(n))
        gates.leave(job)
    assert not next(iter(gates._known.values())).starts
