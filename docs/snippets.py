"""Pytest plugin that runs the Python blocks of Markdown files, each file from top to bottom.

The blocks of a file share their names and one event loop, so that a page reads as one session; a
block may use ``await`` at its top level. Each file starts in an empty folder. A block that follows
the line ``% skip: next`` is shown and not run.
"""

import ast
import asyncio
import inspect
import os
import tempfile
from pathlib import Path
from typing import Any

from sybil import Example, Sybil
from sybil.parsers.myst import CodeBlockParser, SkipParser

ROOT = Path(__file__).parents[1]


def run_block(example: Example) -> None:
    """Run one block in the names and the loop of its file."""
    source = "\n" * (example.line + example.parsed.line_offset) + example.parsed
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(source, example.path, "exec", flags=flags, dont_inherit=True)
    namespace = example.namespace
    waiting = eval(code, namespace)  # noqa: S307 - running the pages is the purpose
    if inspect.iscoroutine(waiting):
        namespace["_runner"].run(waiting)


def start(namespace: dict[str, Any]) -> None:
    """Give a file an empty folder and an event loop, and make its types pickle by name."""
    namespace["__name__"] = "__page__"
    namespace["_folder"] = tempfile.TemporaryDirectory()
    namespace["_back"] = Path.cwd()
    namespace["_runner"] = asyncio.Runner()
    os.chdir(namespace["_folder"].name)


def finish(namespace: dict[str, Any]) -> None:
    """Close the loop and remove the folder."""
    os.chdir(namespace["_back"])
    namespace["_runner"].close()
    namespace["_folder"].cleanup()


pytest_collect_file = Sybil(
    parsers=[CodeBlockParser(language="python", evaluator=run_block), SkipParser()],
    patterns=["*.md"],
    path=str(ROOT),
    setup=start,
    teardown=finish,
).pytest()
