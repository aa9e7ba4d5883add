"""The application that the fault tests run in worker processes.

Handlers write to a ledger of their own, apart from the broker: one line per start and per end.
"""

import asyncio
import os
import time
from pathlib import Path

from jobqueue import Job, JobContext, JobQueue, Settings

FOLDER = Path(os.environ["CHAOS_FOLDER"])
queue = JobQueue(
    Settings.from_mapping(
        {
            "broker": {"connection_string": os.environ["CHAOS_URL"]},
            "lease": float(os.environ["CHAOS_LEASE"]),
            "defaults": {"max_attempts": 100},
        }
    )
)

if twin := os.environ.get("CHAOS_TWIN"):
    from twins import TWINS

    TWINS[twin](queue)


def note(word: str, job: Job) -> None:
    """Append a line to the ledger in one write, so that lines of many processes never mix."""
    line = f"{word} {job.id} {os.getpid()} {time.monotonic():.3f}\n"
    with (FOLDER / "ledger").open("ab", buffering=0) as file:
        file.write(line.encode())


@queue.worker("short")
async def short(job: Job) -> int:
    """Take 20 ms."""
    note("start", job)
    await asyncio.sleep(0.02)
    note("end", job)
    return int(job.data["n"])


@queue.worker("long")
async def long(job: Job) -> int:
    """Take as long as the job says."""
    note("start", job)
    await asyncio.sleep(job.data["seconds"])
    note("end", job)
    return os.getpid()


@queue.worker("held")
async def held(job: Job) -> int:
    """Take until there is a file of this process's name."""
    note("start", job)
    while not (FOLDER / f"go{os.getpid()}").exists():
        await asyncio.sleep(0.01)
    note("end", job)
    return os.getpid()


@queue.worker("endless")
async def endless(job: Job) -> None:
    """Run until it is cancelled."""
    note("start", job)
    try:
        await asyncio.sleep(3600)
    finally:
        note("cancelled", job)


@queue.worker("thread")
def thread(job: Job, ctx: JobContext) -> None:
    """Run in a thread until it is cancelled."""
    note("start", job)
    while not ctx.cancelled:
        time.sleep(0.01)
    note("cancelled", job)


@queue.worker("process", run_in="process")
def process(job: Job) -> None:
    """Run in a process until that is ended."""
    note("start", job)
    time.sleep(3600)


if catch_up := os.environ.get("CHAOS_CRON"):

    @queue.cron("* * * * * *", name="tick", catch_up=catch_up)  # type: ignore[arg-type]  # a test's
    async def tick(job: Job) -> None:
        """Note each second."""
        note("tick", job)


@queue.worker("poison", max_attempts=3)
async def poison(job: Job) -> None:
    """Kill the worker."""
    note("start", job)
    os._exit(9)
