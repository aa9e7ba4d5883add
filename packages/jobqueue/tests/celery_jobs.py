"""The application that Celery's workers run in the tests.

Handlers write to a ledger of their own, apart from store and messages: a line per start and end.
"""

import asyncio
import json
import os
import time
from pathlib import Path

from jobqueue import Job, JobContext, JobQueue, RetryJob, Settings
from process_handlers import in_process
from tracing_to_file import trace_to

FOLDER = Path(os.environ["CHAOS_FOLDER"])
queue = JobQueue(Settings.from_mapping(json.loads(os.environ["CHAOS_SETTINGS"])))
if twin := os.environ.get("CHAOS_TWIN"):
    from celery_twins import TWINS

    TWINS[twin](queue)
if "TRACE_FILE" in os.environ:
    trace_to(Path(os.environ["TRACE_FILE"]))


def note(word: str, job_id: str) -> None:
    """Append a line in one write, so that lines of many processes never mix."""
    line = f"{word} {job_id} {os.getpid()} {time.time():.3f}\n"
    with (FOLDER / "ledger").open("ab", buffering=0) as file:
        file.write(line.encode())


@queue.worker("short")
async def short(job: Job) -> int:
    note("start", job.id)
    await asyncio.sleep(0.02)
    note("end", job.id)
    return os.getpid()


@queue.worker("long")
async def long(job: Job) -> int:
    note("start", job.id)
    await asyncio.sleep(job.data["seconds"])
    note("end", job.id)
    return os.getpid()


@queue.worker("threaded")
def threaded(job: Job, ctx: JobContext) -> int:
    note("start", job.id)
    ctx.progress(50)
    end = time.monotonic() + job.data.get("seconds", 0)
    while time.monotonic() < end and not ctx.cancelled:
        time.sleep(0.02)
    note("cancelled" if ctx.cancelled else "end", job.id)
    return os.getpid()


queue.process("processed", in_process, run_in="process")


@queue.worker("again")
async def again(job: Job, ctx: JobContext) -> int:
    if ctx.attempt < 3:
        raise RetryJob(0.05)
    return ctx.attempt


@queue.worker("late", timeout=0.2)
async def late(job: Job) -> None:
    await asyncio.sleep(30)


@queue.worker("other", queue="other queue!")
async def other(job: Job) -> str:
    return job.queue


@queue.cron("* * * * * *", name="ticking")
async def ticking(job: Job) -> None:
    note("tick", job.id)


@queue.worker("mother")
async def mother(job: Job) -> str:
    return (await queue.enqueue("short")).id


app = queue.celery_app()
