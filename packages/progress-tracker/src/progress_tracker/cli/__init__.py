"""The command ``progress-tracker``: watch operations, list, show and cancel them, make tables."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence

from ..errors import ProgressError, ProgressNotFound
from ..terminal.words import plain
from .parsing import Command, parser

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0: done, and all watched operations completed. 1: one failed, was cancelled or does not exist.
    2: wrong use. 130: interrupted.
    """
    arguments = parser().parse_args(argv)
    logging.basicConfig(level="WARNING", format="%(levelname)s %(name)s %(message)s")
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except ProgressError as exc:
        # what a server of others says may be in it
        print(f"progress-tracker: {plain(str(exc))}", file=sys.stderr)
        return 1 if isinstance(exc, ProgressNotFound) else 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # whoever read our lines has left; the interpreter must not complain at its end either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _run(arguments: argparse.Namespace) -> int:
    command: Command = arguments.command
    return asyncio.run(command(arguments))
