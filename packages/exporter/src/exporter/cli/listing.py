"""``exporter formats``."""

import argparse
import sys
from collections.abc import Sequence

from ..documents import Document
from ..errors import ExportError
from ..formats import Format, Formats
from ..ports import RenderContext
from ..settings import FormatsSettings
from .reading import service_of

_HEAD = ("format", "file", "media type", "ready")
Row = tuple[str, ...]


def formats(arguments: argparse.Namespace) -> int:
    """Show a table of the formats, plain where standard output is no terminal."""
    settings, known = service_of(arguments.config).settings.formats, Formats()
    rows = [_row(known.find(name, settings), settings) for name in known.names(settings)]
    if not sys.stdout.isatty() or not _show(rows):
        widths = [max(map(len, column)) for column in zip(_HEAD, *rows, strict=True)]
        for row in (_HEAD, *rows):
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            print("  ".join(cells).rstrip())
    return 0


def _row(format: Format, settings: FormatsSettings) -> Row:
    kind = format.content_type.partition(";")[0]
    return format.name, f".{format.extension}", kind, _ready(format, settings)


def _ready(format: Format, settings: FormatsSettings) -> str:
    """Return ``yes``, or what is missing: each format looks for its library when it is begun."""
    if format.renderer is None:
        return "yes"
    context = RenderContext(settings=settings.of(format.name))
    try:
        renderer = format.renderer(_Nowhere(), context)
        try:
            renderer.begin(Document())
        finally:
            renderer.close()
    except ExportError as exc:  # a library that is not installed, no fonts
        return f"no: {exc}"
    return "yes"


class _Nowhere:
    """A sink that keeps nothing."""

    def write(self, data: bytes, /) -> int:
        return len(data)

    def flush(self) -> None:
        pass


def _show(rows: Sequence[Row]) -> bool:
    """Show the table in colours; False where the library for it is not installed."""
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return False
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in _HEAD:
        table.add_column(name)
    for *cells, ready in rows:
        table.add_row(*map(Text, cells), Text(ready, "green" if ready == "yes" else "yellow"))
    Console().print(table)
    return True
