"""What the command prints: hits for people or as JSON, and a bar."""

import contextlib
import html
import io
import json
import os
import re
import sys
from collections.abc import Callable, Generator, Sequence
from typing import Any

from ..models import SearchResult

Advance = Callable[[int], None]


def print_hits(hits: Sequence[SearchResult]) -> None:
    """Print hits with their titles and passages."""
    start, end = ("\033[1;33m", "\033[0m") if _is_coloured() else ("[", "]")
    for hit in hits:
        title = hit.metadata.get("title")
        named = f"  {plain(title)}" if isinstance(title, str) else ""
        print(f"{hit.score:.3f}  {plain(hit.id)}{named}")
        for passage in hit.highlights or []:
            # of a document's own text nothing reaches a terminal as a command
            parts = re.split("<mark>(.*?)</mark>", passage, flags=re.DOTALL)
            texts = [plain(html.unescape(each)) for each in parts]
            marked = (f"{start}{t}{end}" if n % 2 else t for n, t in enumerate(texts))
            print(f"       {''.join(marked)}")


def print_json(value: Any) -> None:
    """Print a value as one line of ASCII."""
    print(json.dumps(value))


def as_json(hit: SearchResult) -> dict[str, Any]:
    """Return a hit without its whole text."""
    return {
        "id": hit.id,
        "score": hit.score,
        "scores": dict(hit.scores),
        "metadata": dict(hit.metadata),
        "highlights": hit.highlights,
    }


def plain(text: str) -> str:
    """Return a text without control characters, which are spaces where they part words."""
    return "".join(c for c in re.sub(r"[\t\r\n]", " ", text) if c.isprintable())


def _is_coloured() -> bool:
    return (
        sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def say_what_can_be_said() -> None:
    """Let characters that the output's encoding does not have be written as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def nobody_listens() -> None:
    """Let what is still to be written to a pipe that was closed go nowhere."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def bar(total: int) -> Generator[Advance, None, None]:
    """Show a progress bar on the standard error where rich and a terminal are there."""
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        yield lambda _: None
        return
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("indexing", total=total)
        yield lambda done: progress.update(task, completed=done)
