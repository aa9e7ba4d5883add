"""What a SQL broker does by itself: enqueue_many, drain, one by one, and claims over a backlog.

``bench_sql_broker.py URL [JOBS]``; the database must be empty. A broker is driven without worker
and handlers: one loop that finishes a hundred jobs and claims a hundred.
"""

import asyncio
import sys
import time
from collections.abc import Sequence

from jobqueue._common.clock import SystemClock, new_id
from jobqueue.ports import Broker, Lease, Outcome, Record, WorkerCall
from jobqueue.registry import broker_from_url

BATCH = 100


def records(count: int, **fields: object) -> list[Record]:
    """Return new jobs."""
    return [
        Record(id=new_id(), name="noop", queue="default", data=b"{}", **fields)  # type: ignore[arg-type]
        for _ in range(count)
    ]


async def fill(broker: Broker, jobs: Sequence[Record]) -> float:
    """Enqueue a thousand at a time; return jobs a second."""
    begun = time.perf_counter()
    for start in range(0, len(jobs), 1000):
        await broker.enqueue(jobs[start : start + 1000])
    return len(jobs) / (time.perf_counter() - begun)


async def drain(broker: Broker, worker: str = "bench") -> float:
    """Finish and claim until nothing is left; return jobs a second."""
    outcomes: list[Outcome] = []
    count, begun = 0, time.perf_counter()
    while True:
        step = await broker.step(WorkerCall(worker, 30.0, {"default": BATCH}, outcomes))
        count += len(outcomes)
        outcomes = [
            Outcome(Lease(each.id, each.fence), "completed", result=b"null")
            for each in step.claimed
        ]
        if not outcomes:
            return count / (time.perf_counter() - begun)


async def claims(broker: Broker, rounds: int = 20) -> float:
    """Return the milliseconds of a claim of ten, its jobs given back after."""
    took = []
    for _ in range(rounds):
        begun = time.perf_counter()
        step = await broker.step(WorkerCall("bench", 30.0, {"default": 10}))
        took.append(time.perf_counter() - begun)
        back = [Outcome(Lease(each.id, each.fence), "completed") for each in step.claimed]
        await broker.step(WorkerCall("bench", 30.0, {}, back))
    return sorted(took)[rounds // 2] * 1000


async def main() -> None:
    """Print the figures."""
    url, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 20_000
    broker = broker_from_url(url, clock=SystemClock())
    await broker.setup()
    await fill(broker, records(1000))
    await drain(broker)
    for name, fields in (("kept", {}), ("deleted", {"result_ttl": 0.0})):
        for _ in range(3):
            rate = await fill(broker, records(count, **fields))
            print(f"enqueue_many {rate:10,.0f} /s")
            print(f"drain, {name:8} {await drain(broker):7,.0f} /s", flush=True)
    jobs, begun = records(500), time.perf_counter()
    for each in jobs:
        await broker.enqueue([each])
    print(f"one by one   {len(jobs) / (time.perf_counter() - begun):10,.0f} /s")
    print(f"claim of ten over 500: {await claims(broker):.2f} ms", flush=True)
    if len(sys.argv) > 3:
        await fill(broker, records(int(sys.argv[3])))
        print(f"claim of ten over {sys.argv[3]}: {await claims(broker):.2f} ms")
    await broker.aclose()


if __name__ == "__main__":
    asyncio.run(main())
