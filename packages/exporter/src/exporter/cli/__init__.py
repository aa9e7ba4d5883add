"""The command ``exporter``: convert files, look at them, list formats, care for the history."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence

from ..errors import ExportError
from .converting import convert
from .listing import formats
from .previewing import preview
from .schema import schema

Command = Callable[[argparse.Namespace], int]
_INPUT = "talk.json (ours, Whisper's, WhisperX's), .jsonl, .srt, .vtt, .csv"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 2 wrong use or bad input."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(
        level=arguments.log_level.upper(), format="%(levelname)s %(name)s %(message)s"
    )
    command: Command = arguments.command
    try:
        return command(arguments)
    except ExportError as exc:
        print(f"exporter: {exc}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # the reader has had enough; nothing more can be said to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="exporter", description="Turn transcripts into files.")
    parser.add_argument(
        "--log-level", default="warning", choices=["debug", "info", "warning", "error"]
    )
    parser.add_argument("--version", action=_Version, help="show the version and leave")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Command, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(command=run)
        return made

    _add_convert(add("convert", convert, "read JSON, SRT, VTT or CSV and write another format"))
    looking = add("preview", preview, "show how a file would begin in a text format")
    looking.add_argument("input", help=_INPUT)
    looking.add_argument("--lines", type=int, default=24, help="how many lines (24)")
    looking.add_argument("--to", dest="format", default="txt", help="a text format (txt)")
    _add_shared(looking)
    listed = add("formats", formats, "list the formats, and what is missing to use them")
    listed.add_argument("--config", help="a YAML file with a section 'export'")
    care = add("schema", schema, "create or upgrade the history's tables, or print them as SQL")
    care.add_argument("action", choices=["upgrade", "sql"])
    care.add_argument("--url", help="the history; else history.url of EXPORTER_CONFIG")
    return parser


def _add_convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", help=_INPUT)
    parser.add_argument("output", help="talk.pdf; - for standard output (needs --to)")
    parser.add_argument("--to", dest="format", help="the output's format, if not by name")
    parser.add_argument("--quiet", action="store_true", help="say nothing but errors")
    _add_shared(parser)


def _add_shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="source_format", help="the input's format, if not by name")
    parser.add_argument("--title", help="in place of the title in the file")
    parser.add_argument("--template", help="a template in the settings' template_dir")
    parser.add_argument("--no-metadata", action="store_true", help="content only: no title block")
    parser.add_argument("--config", help="a YAML file with a section 'export'")


class _Version(argparse.Action):
    """Says the version; looked up only when asked for, since that takes longer than all else."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"exporter {version('exporter')}")
        parser.exit()
