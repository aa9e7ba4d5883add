"""Records to test with, and the two halves of a worker's step."""

from collections.abc import Sequence
from typing import Any

from .._common.clock import new_id
from ..ports import Broker, Lease, Outcome, Record, Step, WorkerCall

LEASE = 10.0
"""Seconds of the leases that :func:`claim` takes."""


def record(name: str = "job", **fields: Any) -> Record:
    """Return a record to enqueue, with a new id and the data ``{}`` unless given."""
    values: dict[str, Any] = {"id": new_id(), "queue": "default", "data": b"{}", **fields}
    return Record(name=name, **values)


async def claim(
    broker: Broker,
    limit: int = 100,
    *,
    worker: str = "w1",
    queue: str = "default",
    held: Sequence[Record] = (),
) -> Step:
    """Take one step that claims up to ``limit`` jobs and goes on holding ``held``."""
    leases = [Lease(each.id, each.fence) for each in held]
    return await broker.step(WorkerCall(worker, LEASE, {queue: limit}, held=leases))


async def finish(
    broker: Broker, job: Record, kind: Any = "completed", *, worker: str = "w1", **values: Any
) -> Step:
    """Take one step that reports the end of a claimed job."""
    outcome = Outcome(Lease(job.id, job.fence), kind, **values)
    return await broker.step(WorkerCall(worker, LEASE, {}, [outcome]))


async def stored(broker: Broker, job_id: str) -> Record:
    """Return a job that must be there."""
    found = await broker.get(job_id)
    assert found is not None
    return found
