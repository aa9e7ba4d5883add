"""Commands that change jobs and queues: retry, cancel, purge, pause, resume, schema."""

import argparse
import sys

from ..errors import ConfigurationError
from ..models import JobStatus
from .parsing import Commands, add_statuses, length, name
from .targets import opened


def add_to(commands: Commands) -> None:
    """Add the commands of this module."""
    text = "run a failed or cancelled job again (all failed ones: --all)"
    retry = commands.add("retry", _retry, text)
    retry.add_argument("job_id", nargs="?", type=name)
    retry.add_argument("--all", action="store_true", help="all failed jobs")
    retry.add_argument("--name", type=name, help="with --all: only jobs of this name")
    retry.add_argument("--queue", type=name, help="with --all: only jobs of this queue")
    cancel = commands.add("cancel", _cancel, "cancel a job, also while it runs")
    cancel.add_argument("job_id", type=name)
    purge = commands.add("purge", _purge, "delete ended jobs")
    purge.add_argument(
        "--older-than", type=length, default=0.0, metavar="TIME", help="ended so long ago: 90, 7d"
    )
    add_statuses(purge, JobStatus.COMPLETED, JobStatus.CANCELLED, JobStatus.FAILED)
    for word, run, what in (
        ("pause", _pause, "hand out no more jobs of a queue"),
        ("resume", _resume, "hand out the jobs of a paused queue again"),
    ):
        commands.add(word, run, what).add_argument("queue", type=name)
    schema = commands.add("schema", _schema, "create or upgrade the tables, or print them as SQL")
    schema.add_argument("action", choices=["upgrade", "sql"])


async def _retry(arguments: argparse.Namespace) -> int:
    if bool(arguments.job_id) == arguments.all:
        raise ConfigurationError("give a job's id, or --all")
    if arguments.job_id and (arguments.name or arguments.queue):
        raise ConfigurationError("--name and --queue go with --all")
    async with opened(arguments) as queue:
        if arguments.all:
            count = await queue.requeue_failed(arguments.name, arguments.queue)
            print(f"{count} jobs are pending again")
            return 0
        done = await queue.retry_job(arguments.job_id)
    print(
        f"{arguments.job_id} is pending again" if done else "no failed or cancelled job has this id"
    )
    return 0 if done else 1


async def _cancel(arguments: argparse.Namespace) -> int:
    async with opened(arguments) as queue:
        done = await queue.cancel_job(arguments.job_id)
    print(f"{arguments.job_id} is cancelled" if done else "no unfinished job has this id")
    return 0 if done else 1


async def _purge(arguments: argparse.Namespace) -> int:
    chosen = arguments.status or [JobStatus.COMPLETED, JobStatus.CANCELLED]
    statuses = [JobStatus(each) for each in chosen]
    async with opened(arguments) as queue:
        count = await queue.purge(statuses, older_than=arguments.older_than)
    print(f"{count} jobs deleted")
    return 0


async def _pause(arguments: argparse.Namespace) -> int:
    async with opened(arguments) as queue:
        known = arguments.queue in await queue.get_queues()
        await queue.pause(arguments.queue)
    print(f"{arguments.queue} is paused")
    if not known:
        print("jobqueue: no job is in a queue of this name at present", file=sys.stderr)
    return 0


async def _resume(arguments: argparse.Namespace) -> int:
    async with opened(arguments) as queue:
        paused = (await queue.get_queues()).get(arguments.queue, False)
        await queue.resume(arguments.queue)
    print(f"{arguments.queue} {'goes on' if paused else 'was not paused'}")
    return 0


async def _schema(arguments: argparse.Namespace) -> int:
    async with opened(arguments) as queue:
        sql = queue.broker.schema_sql()
        if not sql:
            print("this broker needs no tables")
        elif arguments.action == "sql":
            print(sql)
        else:
            await queue.setup()
            print("the tables are up to date")
    return 0
