"""A command that writes a table of any length to a file: exporter as a plain library.

``python export_cli.py readings.xlsx --hours 100000``: the name says which format. Rows are made
while they are written: a million of them take no more memory than ten.
"""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence

from exporter import Document, ExportError, Table, export_to

COLUMNS = ("hour", "celsius", "note")


def readings(hours: int) -> Iterator[tuple[int, float, str]]:
    """Yield what a thermometer says; a note that looks like a formula stays text everywhere."""
    for hour in range(hours):
        celsius = round(12 + 8 * math.sin(hour / 24 * 2 * math.pi), 1)
        yield hour, celsius, "=cold" if celsius < 5 else ""


def progress(done: int, _total: int | None) -> None:
    """Show how far it is, where somebody looks."""
    if sys.stderr.isatty():
        print(f"\r{done:,} rows", end="", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the file; 2 if it cannot be written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", default="readings.csv")
    parser.add_argument("--hours", type=int, default=1000)
    arguments = parser.parse_args(argv)
    table = Document("Readings", "custom", [Table(COLUMNS, readings(arguments.hours))])
    try:
        made = export_to(arguments.file, table, on_progress=progress)
    except ExportError as exc:  # an unknown format, a full disk: no half of a file is left
        print(f"{arguments.file}: {exc}", file=sys.stderr)
        return 2
    print(f"{arguments.file}: {made.size:,} bytes, sha256 {made.sha256[:8]}…")
    return 0


if __name__ == "__main__":
    sys.exit(main())
