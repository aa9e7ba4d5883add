"""``exporter preview``: the first lines, without making the rest."""

import argparse
import codecs
import sys
from typing import Any

from ..errors import ConfigurationError
from ..texts import clean
from .reading import service_of, source_of

_TEXT = frozenset({"csv", "html", "json", "jsonl", "md", "srt", "tsv", "txt", "vtt"})
_WIDEST = 2000


def preview(arguments: argparse.Namespace) -> int:
    """Print how the input would begin in a text format."""
    if arguments.format not in _TEXT:
        known = ", ".join(sorted(_TEXT))
        raise ConfigurationError(f"preview shows text: --to one of {known}")
    if arguments.lines < 1:
        raise ConfigurationError("--lines must be 1 or more")
    service, source = service_of(arguments.config), source_of(arguments)
    page = _Page(arguments.lines)
    file: Any = page  # of an open file, export_to uses write() alone
    try:
        service.export_to(
            file,
            source,
            arguments.format,
            template=arguments.template,
            include_metadata=not arguments.no_metadata,
        )
        page.end()
    except _Full:
        pass
    for row in page.rows:
        print(row)
    if page.is_cut:
        print("…", file=sys.stderr)
    return 0


class _Full(Exception):
    """The page has all its lines: nothing more need be made."""


class _Page:
    """Takes lines until it is full."""

    def __init__(self, lines: int) -> None:
        self.rows: list[str] = []
        self.is_cut = False
        self._lines, self._rest = lines, ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def write(self, data: bytes) -> int:
        *whole, self._rest = (self._rest + self._decoder.decode(data)).split("\n")
        for row in whole:
            self._take(row)
        return len(data)

    def end(self) -> None:
        """Take the last line, which ends without a break."""
        if self._rest:
            self._take(self._rest)

    def _take(self, row: str) -> None:
        if len(self.rows) == self._lines:
            self.is_cut = True
            raise _Full
        # a file's escape sequences are not for this terminal
        self.rows.append(clean(row.rstrip("\r"))[:_WIDEST])
