"""Twenty kinds of jobs for the soak: each notes in the ledger that it began and ended."""

import asyncio
import dataclasses
import os
import random
import time
from pathlib import Path

import msgspec

from jobqueue import Job, JobContext, JobQueue, RetryJob, Settings

FOLDER = Path(os.environ["CHAOS_FOLDER"])
broker = {"connection_string": os.environ["CHAOS_URL"]}
if "CHAOS_STORE" in os.environ:
    broker["store"] = os.environ["CHAOS_STORE"]
queue = JobQueue(
    Settings.from_mapping(
        {
            "broker": broker,
            "queues": {"default": {"workers": 20}, "slow": {"workers": 6}, "bulk": {"workers": 20}},
            "lease": float(os.environ["CHAOS_LEASE"]),
            "shutdown_timeout": 2,
            "defaults": {"max_attempts": 1000, "timeout": 60},
        }
    )
)


def note(word: str, job: Job) -> None:
    line = f"{word} {job.id} {os.getpid()} {time.monotonic():.3f}\n"
    with (FOLDER / "ledger").open("ab", buffering=0) as file:
        file.write(line.encode())


@dataclasses.dataclass
class Mail:
    to: str
    copies: int = 1


class Point(msgspec.Struct):
    x: float
    y: float


@queue.worker("quick")
async def quick(job: Job) -> int:
    note("end", job)
    return int(job.data["n"])


@queue.worker("nap")
async def nap(job: Job) -> None:
    await asyncio.sleep(random.uniform(0.01, 0.5))
    note("end", job)


@queue.worker("long", queue="slow")
async def long(job: Job, ctx: JobContext) -> None:
    for step in range(10):
        await asyncio.sleep(job.data["seconds"] / 10)
        ctx.progress(step * 10)
    note("end", job)


@queue.worker("thread", queue="slow")
def thread(job: Job) -> str:
    time.sleep(0.05)
    note("end", job)
    return "done"


@queue.worker("process", queue="slow", run_in="process")
def process(job: Job) -> int:
    note("end", job)
    return sum(range(1000))


@queue.worker("mail")
async def mail(mail: Mail, ctx: JobContext) -> str:
    with (FOLDER / "ledger").open("ab", buffering=0) as file:
        file.write(f"end {ctx.job_id} {os.getpid()} 0\n".encode())
    return mail.to * mail.copies


@queue.worker("point")
async def point(point: Point, ctx: JobContext) -> float:
    with (FOLDER / "ledger").open("ab", buffering=0) as file:
        file.write(f"end {ctx.job_id} {os.getpid()} 0\n".encode())
    return point.x + point.y


@queue.worker("shaky", backoff="fixed")
async def shaky(job: Job) -> None:
    if random.random() < 0.5:
        raise RetryJob(delay=random.uniform(0, 0.3))
    note("end", job)


@queue.worker("dead", max_attempts=2)
async def dead(job: Job) -> None:
    raise ValueError("on purpose")


@queue.worker("overdue", timeout=0.2, max_attempts=1)
async def overdue(job: Job) -> None:
    await asyncio.sleep(60)


@queue.worker("limited", concurrency=2)
async def limited(job: Job) -> None:
    await asyncio.sleep(0.02)
    note("end", job)


@queue.worker("rated", rate_limit="40/s")
async def rated(job: Job) -> None:
    note("end", job)


@queue.worker("parent")
async def parent(job: Job) -> int:
    note("end", job)
    return 1


@queue.worker("child")
async def child(job: Job, ctx: JobContext) -> int:
    note("end", job)
    return len(ctx.parents)


@queue.worker("fleeting", queue="bulk", result_ttl=0)
async def fleeting(job: Job) -> None:
    note("end", job)


@queue.worker("bulk", queue="bulk")
async def bulk(job: Job) -> None:
    note("end", job)


@queue.worker("breeder")
async def breeder(job: Job) -> str:
    child = await queue.enqueue("quick", {"n": 1}, id=f"{job.id}-child")
    note("end", job)
    return child.id


@queue.worker("heavy", queue="bulk")
async def heavy(job: Job) -> str:
    note("end", job)
    return str(job.data["text"])


@queue.worker("poison", queue="slow", max_attempts=3)
async def poison(job: Job) -> None:
    os._exit(9)


@queue.cron("* * * * * *", name="ticking")
async def ticking(job: Job) -> None:
    note("end", job)


if "CHAOS_STORE" in os.environ:
    app = queue.celery_app()
