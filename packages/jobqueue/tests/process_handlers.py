"""Handlers that other processes import."""

import asyncio
import os
import time
from datetime import timedelta
from pathlib import Path

from jobqueue import Job, JobContext, RetryJob


def in_process(job: Job, ctx: JobContext) -> dict[str, object]:
    ctx.progress(30)
    return {"pid": os.getpid(), "data": job.data}


async def async_in_process(job: Job) -> int:
    await asyncio.sleep(0)
    return os.getpid()


def dies(job: Job) -> None:
    os._exit(7)


def raises(job: Job) -> None:
    raise ValueError("from the child")


def logs(job: Job, ctx: JobContext) -> None:
    ctx.logger.info("half way")


def no_number(job: Job) -> dict[str, float]:
    return {"x": float("nan")}


def not_yet(job: Job) -> None:
    raise RetryJob(delay=timedelta(hours=1))


def naps(job: Job) -> str:
    Path(job.data).write_text(str(os.getpid()))
    time.sleep(0.5)
    return "rested"


def sleeps(job: Job) -> None:
    Path(job.data).write_text(str(os.getpid()))
    while True:
        time.sleep(0.05)  # a blocking handler that only a kill ends


def enqueues(job: Job) -> dict[str, str]:
    from jobqueue.sync import JobQueue

    with JobQueue.from_url(job.data["url"]) as queue:
        return dict(queue.enqueue("child", {"from": "process"}).headers)


def takes_nothing() -> str:
    return "nothing"
