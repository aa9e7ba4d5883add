"""The command ``jobqueue``: run workers, look at jobs, steer them."""

import argparse
import asyncio
import contextlib
import dataclasses
import importlib
import logging
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Any

import msgspec

from .errors import ConfigurationError, JobNotFound, JobQueueError
from .models import Job, JobFilters, JobStatus
from .service import JobQueue
from .worker import Worker

Command = Callable[[argparse.Namespace], Coroutine[Any, Any, int]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 not found, 2 wrong use."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(
        level=arguments.log_level.upper(), format="%(levelname)s %(name)s %(message)s"
    )
    command: Command = arguments.command
    try:
        code = asyncio.run(command(arguments))
        sys.stdout.flush()
        return code
    except JobNotFound as exc:
        print(f"jobqueue: {exc}", file=sys.stderr)
        return 1
    except JobQueueError as exc:
        print(f"jobqueue: {exc}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # "jobqueue list | head": nobody reads on; Python must not complain at its exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="jobqueue", description="Background jobs.")
    parser.add_argument(
        "--log-level", default="info", choices=["debug", "info", "warning", "error"]
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Command, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(command=run)
        return made

    worker = add("worker", _worker, "run the jobs of a queue until SIGTERM or Ctrl-C")
    worker.add_argument("target", help="module:queue, for example app.jobs:queue")
    worker.add_argument("--queues", type=_queues, help="high=2,default=4: jobs at once, by queue")
    worker.add_argument("--shutdown-timeout", type=float, help="seconds for running jobs to finish")
    for name, run, text in (
        ("stats", _stats, "print the figures of the queue"),
        ("list", _list, "list jobs, newest first"),
        ("show", _show, "print one job as JSON"),
        ("retry", _retry, "run a failed or cancelled job again (all failed ones: --all)"),
        ("cancel", _cancel, "cancel a job, also while it runs"),
        ("purge", _purge, "delete ended jobs"),
        ("schema", _schema, "create or upgrade the tables, or print them as SQL"),
    ):
        made = add(name, run, text)
        made.add_argument("--url", help="the broker; else JOBQUEUE_URL or JOBQUEUE_CONFIG")
        if name in {"show", "cancel"}:
            made.add_argument("job_id")
        if name == "retry":
            made.add_argument("job_id", nargs="?")
            made.add_argument("--all", action="store_true")
        if name == "schema":
            made.add_argument("action", choices=["upgrade", "sql"])
        if name in {"list", "stats"}:
            made.add_argument("--queue")
        if name == "list":
            made.add_argument("--status", choices=[str(each) for each in JobStatus])
            made.add_argument("--name")
            made.add_argument("--limit", type=int, default=50)
        if name == "purge":
            made.add_argument("--older-than", type=float, default=0.0, metavar="SECONDS")
    return parser


def _queues(text: str) -> dict[str, int]:
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return {name.strip(): int(count) for name, count in pairs}
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is not like high=2,default=4") from exc


def load(target: str) -> JobQueue:
    """Return the queue that ``module:attribute`` names.

    Raises:
        ConfigurationError: There is no such module or attribute, or it is no queue.
    """
    module, _, attribute = target.partition(":")
    if not all(part.isidentifier() for part in module.split(".")):
        raise ConfigurationError(
            f"{target!a} names no module; expected module:queue, for example app.jobs:queue"
        )
    sys.path.insert(0, os.getcwd())  # noqa: PTH109  a str, as sys.path holds
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if exc.name is None or not (module == exc.name or module.startswith(f"{exc.name}.")):
            raise
        raise ConfigurationError(f"no module {module!r} for {target!r}") from exc
    for part in (attribute or "queue").split("."):
        found = getattr(found, part, None)
    found = getattr(found, "asynchronous", found)
    if not isinstance(found, JobQueue):
        raise ConfigurationError(f"{target!r} is no JobQueue; expected module:queue")
    return found


async def _worker(arguments: argparse.Namespace) -> int:
    queue = load(arguments.target)
    worker = Worker(queue, arguments.queues, shutdown_timeout=arguments.shutdown_timeout)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        # the second signal ends hard: leases run out, nothing is lost
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        worker.stop()

    async with queue:
        if not queue.broker.capabilities.shared:
            raise ConfigurationError(
                "this queue keeps jobs in the memory of one process, so a worker process would see "
                "none: set JOBQUEUE_URL, for example sqlite:///jobs.db, or call configure()"
            )
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, stop)
        await worker.run()
    if worker.abandoned:
        # threads past their grace cannot be ended; their jobs are released already
        logging.shutdown()
        os._exit(0)
    return 0


@contextlib.asynccontextmanager
async def _queue(arguments: argparse.Namespace) -> AsyncGenerator[JobQueue, None]:
    queue = JobQueue.from_url(arguments.url) if arguments.url else JobQueue()
    if not queue.broker.capabilities.durable:
        raise ConfigurationError(
            "no broker is named: give --url, or set JOBQUEUE_URL or JOBQUEUE_CONFIG"
        )
    async with queue:
        yield queue


async def _stats(arguments: argparse.Namespace) -> int:
    async with _queue(arguments) as queue:
        stats = await queue.get_stats(arguments.queue)
    for name, value in dataclasses.asdict(stats).items():
        print(f"{name:20} {'-' if value is None else value}")
    return 0


async def _list(arguments: argparse.Namespace) -> int:
    status = JobStatus(arguments.status) if arguments.status else None
    filters = JobFilters(name=arguments.name, queue=arguments.queue, status=status)
    async with _queue(arguments) as queue:
        page = await queue.get_jobs(filters, arguments.limit)
    for job in page:
        print(_line(job))
    return 0


def _line(job: Job) -> str:
    when = job.created_at.isoformat(timespec="seconds")
    error = (job.error or "").partition("\n")[0][:80]
    attempts = f"{job.attempts}/{job.max_attempts}"
    return f"{job.id}  {job.status:10} {attempts}  {when}  {job.name}  {error}".rstrip()


async def _show(arguments: argparse.Namespace) -> int:
    async with _queue(arguments) as queue:
        job = await queue.get_job(arguments.job_id)
    if job is None:
        raise JobNotFound(f"no job {arguments.job_id!r}")
    print(msgspec.json.format(msgspec.json.encode(job), indent=2).decode())
    return 0


async def _retry(arguments: argparse.Namespace) -> int:
    if bool(arguments.job_id) == arguments.all:
        raise ConfigurationError("give a job's id, or --all")
    async with _queue(arguments) as queue:
        if arguments.all:
            print(f"{await queue.requeue_failed()} jobs are pending again")
            return 0
        done = await queue.retry_job(arguments.job_id)
    print(
        f"{arguments.job_id} is pending again" if done else "no failed or cancelled job has this id"
    )
    return 0 if done else 1


async def _cancel(arguments: argparse.Namespace) -> int:
    async with _queue(arguments) as queue:
        done = await queue.cancel_job(arguments.job_id)
    print(f"{arguments.job_id} is cancelled" if done else "no unfinished job has this id")
    return 0 if done else 1


async def _purge(arguments: argparse.Namespace) -> int:
    async with _queue(arguments) as queue:
        print(f"{await queue.purge(older_than=arguments.older_than)} jobs deleted")
    return 0


async def _schema(arguments: argparse.Namespace) -> int:
    async with _queue(arguments) as queue:
        if arguments.action == "sql":
            print(queue.broker.schema_sql())
        else:
            await queue.setup()
            print("the tables are up to date")
    return 0
