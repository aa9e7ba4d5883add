"""The command ``exporter``: convert files, list formats, look after the history's tables."""

import argparse
import asyncio
import dataclasses
import logging
import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import ConfigurationError, ExportError
from .models import ExportSource
from .readers import read_document
from .registry import history_from_url
from .service import ExportService
from .settings import Settings

Command = Callable[[argparse.Namespace], int]
Tell = Callable[[int, int | None], None]


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
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Command, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(command=run)
        return made

    convert = add("convert", _convert, "read JSON, SRT, VTT or CSV and write another format")
    convert.add_argument("input", help="talk.json (ours, Whisper's, WhisperX's), .srt, .vtt, .csv")
    convert.add_argument("output", help="talk.pdf; - for standard output (needs --to)")
    convert.add_argument("--from", dest="source_format", help="the input's format, if not by name")
    convert.add_argument("--to", dest="format", help="the output's format, if not by name")
    convert.add_argument("--title", help="in place of the title in the file")
    convert.add_argument("--template", help="a template in the settings' template_dir")
    convert.add_argument("--no-metadata", action="store_true", help="content only: no title block")
    convert.add_argument("--config", help="a YAML file with a section 'export'")
    convert.add_argument("--quiet", action="store_true", help="say nothing but errors")

    formats = add("formats", _formats, "list the formats")
    formats.add_argument("--config", help="a YAML file with a section 'export'")

    schema = add("schema", _schema, "create or upgrade the history's tables, or print them as SQL")
    schema.add_argument("action", choices=["upgrade", "sql"])
    schema.add_argument("--url", help="the history; else history.url of EXPORTER_CONFIG")
    return parser


def _service(config: str | None) -> ExportService:
    settings = Settings.from_yaml(config) if config else Settings.discover() or Settings()
    return ExportService(settings)


def _convert(arguments: argparse.Namespace) -> int:
    service = _service(arguments.config)
    document = read_document(arguments.input, arguments.source_format)
    if arguments.title is not None:
        document = dataclasses.replace(document, title=arguments.title)
    to_stdout = arguments.output == "-"
    if to_stdout and arguments.format is None:
        raise ConfigurationError("name the format with --to when writing to standard output")
    target: Any = sys.stdout.buffer if to_stdout else Path(arguments.output)
    with _progress(quiet=arguments.quiet or to_stdout) as tell:
        made = service.export_to(
            target,
            ExportSource(document.kind, Path(arguments.input).stem[:500] or "input", document),
            arguments.format,
            on_progress=tell,
            template=arguments.template,
            include_metadata=not arguments.no_metadata,
        )
    if to_stdout:
        sys.stdout.buffer.flush()
    elif not arguments.quiet:
        pages = f", {made.pages} pages" if made.pages is not None else ""
        print(f"{arguments.output}: {made.records} records{pages}, {made.size} bytes")
    for warning in made.warnings:
        print(f"exporter: note: {warning}", file=sys.stderr)
    return 0


@contextmanager
def _progress(*, quiet: bool) -> Generator[Tell | None, None, None]:
    """Yield what shows progress on a terminal that can, else None."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        yield None
        return
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("converting", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _formats(arguments: argparse.Namespace) -> int:
    for name in _service(arguments.config).list_formats():
        print(name)
    return 0


def _schema(arguments: argparse.Namespace) -> int:
    settings = None if arguments.url else Settings.discover()
    url = arguments.url or (settings.history.url if settings else None)
    if url is None:
        raise ConfigurationError("name the history with --url, for example sqlite:///history.db")
    from ._common.clock import SystemClock

    history = history_from_url(url, clock=SystemClock())
    if arguments.action == "sql":
        print(history.schema_sql(), end="")
        return 0

    async def upgrade() -> None:
        try:
            await history.setup()
        finally:
            await history.aclose()

    asyncio.run(upgrade())
    return 0
