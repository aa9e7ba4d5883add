"""The command ``studio``."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

from .correlation import LogFilter
from .errors import StudioError
from .profile import Profile

_LAST_PORT: Final = 65535


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = parser().parse_args(argv)
    shown = logging.StreamHandler()
    shown.addFilter(LogFilter())
    logging.basicConfig(
        level="WARNING",
        format="%(levelname)s %(name)s %(message)s correlation_id=%(correlation_id)s",
        handlers=[shown],
    )
    try:
        return asyncio.run(_command(arguments))
    except StudioError as exc:
        print(f"studio: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception as exc:
        from .outages import OUTAGES  # late: it imports all six

        if not isinstance(exc, OUTAGES):
            raise
        print(f"studio: {exc}", file=sys.stderr)
        return 2


def _command(arguments: argparse.Namespace) -> Coroutine[Any, Any, int]:
    if arguments.command == "demo":
        from .demo import run as demo

        return demo(arguments.keep)
    from .serve import run as serve
    from .serve import setup

    profile = Profile.from_env(os.environ, folder=arguments.data)
    if arguments.command == "setup":
        return setup(profile)
    return serve(profile, arguments.host, arguments.port, arguments.workers)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= _LAST_PORT):
        raise argparse.ArgumentTypeError(f"not a port, 0 to {_LAST_PORT}: {text!r}")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="studio", description="Speech to text, made of six libraries."
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="work on two samples without a browser, and check all")
    demo.add_argument("--keep", type=Path, metavar="FOLDER", help="keep data and files there")
    setup = commands.add_parser("setup", help="make the tables on servers; serve does it, too")
    serve = commands.add_parser("serve", help="open the page on this machine")
    for each in (setup, serve):
        each.add_argument("--data", type=Path, metavar="FOLDER", help="default: $STUDIO_DATA")
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    serve.add_argument("--port", type=_port, default=8000, help="0: a free one; 8000")
    serve.add_argument(
        "--workers", type=int, default=1, choices=range(9), help="processes beside the page"
    )
    return made
