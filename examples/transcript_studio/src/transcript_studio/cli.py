"""The command ``studio``."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from .correlation import LogFilter
from .errors import StudioError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = _parser().parse_args(argv)
    shown = logging.StreamHandler()
    shown.addFilter(LogFilter())
    logging.basicConfig(
        level="WARNING",
        format="%(levelname)s %(name)s %(message)s correlation_id=%(correlation_id)s",
        handlers=[shown],
    )
    try:
        if arguments.command == "demo":
            from .demo import run

            return asyncio.run(run(arguments.keep))
        from .serve import run as serve

        return asyncio.run(serve(arguments.data, arguments.port, arguments.workers))
    except StudioError as exc:
        print(f"studio: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="studio", description="Speech to text, made of six libraries."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="work on two samples without a browser, and check all")
    demo.add_argument("--keep", type=Path, metavar="FOLDER", help="keep data and files there")
    serve = commands.add_parser("serve", help="open the page on this machine")
    serve.add_argument("--data", type=Path, default=Path("studio-data"), metavar="FOLDER")
    serve.add_argument("--port", type=int, default=8000)
    serve.add_argument("--workers", type=int, default=1, choices=range(1, 9))
    return parser
