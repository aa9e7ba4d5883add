"""``exporter convert``."""

import argparse
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from ..models import ExportResult
from .reading import service_of, source_of

Tell = Callable[[int, int | None], None]


def convert(arguments: argparse.Namespace) -> int:
    """Convert one file; a bar on standard error where that is a terminal."""
    service, source = service_of(arguments.config), source_of(arguments)
    to_stdout = arguments.output == "-"
    if to_stdout and arguments.format is None:
        raise ConfigurationError("name the format with --to when writing to standard output")
    target: Any = sys.stdout.buffer if to_stdout else Path(arguments.output)
    with _progress(Path(arguments.output).name, quiet=arguments.quiet or to_stdout) as tell:
        made = service.export_to(
            target,
            source,
            arguments.format,
            on_progress=tell,
            template=arguments.template,
            include_metadata=not arguments.no_metadata,
        )
    if to_stdout:
        sys.stdout.buffer.flush()
    elif not arguments.quiet:
        print(f"{arguments.output}: {_described(made)}")
    for warning in made.warnings:
        print(f"exporter: note: {warning}", file=sys.stderr)
    return 0


def _described(made: ExportResult) -> str:
    pages = f", {made.pages} pages" if made.pages is not None else ""
    return f"{made.records} records{pages}, {made.size} bytes"


@contextmanager
def _progress(name: str, *, quiet: bool) -> Generator[Tell | None, None, None]:
    """Yield what shows progress on a terminal that can, else None."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    try:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )
    except ImportError:
        yield None
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("records"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(name), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
