"""Jobs by the clock, with retries: jobqueue without a scheduler process.

For real: ``jobqueue worker cron_jobs:queue``. Run as a program, it lets a day pass in a moment.
"""

import asyncio
import os

from jobqueue import Job, JobQueue, Retry

# a file in place of memory lets several workers share the work
queue = JobQueue.from_url(os.environ.get("JOBQUEUE_URL", "memory://"))
reports: list[str] = []
pulses = 0
failures = 2


@queue.cron("*/15 * * * *", name="pulse")
async def pulse() -> None:
    """Runs each quarter of an hour."""
    global pulses
    pulses += 1


@queue.cron("30 6 * * *", name="report", tz="Europe/Berlin", catch_up="one")
async def report(job: Job) -> None:
    """Runs each morning; after a night without workers once, late."""
    day = job.data["scheduled_at"][:10]
    await queue.enqueue("send_report", {"day": day}, unique_key=f"report:{day}")


@queue.worker("send_report", max_attempts=5, backoff=Retry("fixed", base=60))
async def send_report(job: Job) -> None:
    """Fails twice, as mail servers do, and is tried again after a minute each time."""
    if job.attempts <= failures:
        raise ConnectionError("the mail server is away")
    reports.append(f"{job.data['day']} in attempt {job.attempts}")


async def main() -> None:
    """Let a day pass."""
    async with queue:
        await queue.run_until_idle(advance=86_400)
        stats = await queue.get_stats()
    print(f"{pulses} pulses, {len(reports)} report ({reports[0].partition(' ')[2]})")
    print(f"{stats.failed} failed")


if __name__ == "__main__":
    asyncio.run(main())
