"""The command ``jobqueue``: run workers, look at jobs, steer them."""

import argparse
import asyncio
import io
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from ..errors import JobNotFound, JobQueueError
from . import looking, running, steering, top
from .logs import log_to_stderr
from .parsing import Command, Commands
from .targets import load

__all__ = ["load", "main"]
_EPILOG = """\
Every command but worker and cron asks the broker that --url names, else JOBQUEUE_URL or the file
JOBQUEUE_CONFIG. Exit codes: 0 done, 1 there is no such job (or it is in another state), 2 wrong use
or a broker that fails, 130 interrupted.

  jobqueue worker app.jobs:queue --reload     run jobs, anew when a file changes
  jobqueue top                                watch queues, jobs and failures
  jobqueue list --status failed --since 1h    what failed within the last hour
  jobqueue retry --all                        run all dead letters again
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 not found, 2 wrong use."""
    arguments = _parser().parse_args(argv)
    log_to_stderr(arguments.log_level)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a name that the terminal's encoding does not have must not end the command
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return _run(arguments)
    except BrokenPipeError:
        # "jobqueue list | head": nobody reads on; Python must not complain at its exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130


def _run(arguments: argparse.Namespace) -> int:
    command: Command = arguments.command
    try:
        code = asyncio.run(command(arguments))
        sys.stdout.flush()
    except JobNotFound as exc:
        print(f"jobqueue: {exc}", file=sys.stderr)
        return 1
    except JobQueueError as exc:
        print(f"jobqueue: {exc}", file=sys.stderr)
        return 2
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jobqueue",
        description="Background jobs.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--log-level",
        default="info",
        choices=["debug", "info", "warning", "error"],
        help="of the log on standard error; info",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('jobqueue')}")
    commands = Commands(parser.add_subparsers(required=True, metavar="COMMAND"))
    for each in (running, looking, top, steering):
        each.add_to(commands)
    return parser
