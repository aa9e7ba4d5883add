"""What the command line takes."""

import argparse
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from typing import Any

from ..models import ProgressStatus
from .looking import list_, show, watch
from .steering import cancel, schema

Command = Callable[[argparse.Namespace], Coroutine[Any, Any, int]]
_WHERE = (
    "the store, or the web application (http://…); else what PROGRESS_TRACKER_URL or _CONFIG name"
)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    made = argparse.ArgumentParser(prog="progress-tracker", description="Follow long-running work.")
    release = version("progress-tracker")
    made.add_argument("--version", action="version", version=f"%(prog)s {release}")
    commands = made.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Command, text: str, *, header: bool = True) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(command=run, header=[])
        command.add_argument("--url", help=_WHERE)
        if header:
            hint = "for http://…: 'Authorization: Bearer …'"
            command.add_argument("--header", action="append", default=[], help=hint)
        return command

    watching = add("watch", watch, "show operations until they end")
    watching.add_argument("id", nargs="+")
    wait = "seconds to wait for their creation"
    watching.add_argument("--wait", type=float, default=0.0, help=wait)
    watching.add_argument("--plain", action="store_true", help="lines instead of bars")
    listing = add("list", list_, "list operations, newest first")
    listing.add_argument("--status", choices=[str(each) for each in ProgressStatus])
    listing.add_argument("--kind")
    listing.add_argument("--user")
    listing.add_argument("--parent")
    listing.add_argument("--limit", type=int, default=20)
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    showing = add("show", show, "show all that is known of an operation")
    showing.add_argument("id")
    showing.add_argument("--json", action="store_true", help="as JSON")
    add("cancel", cancel, "ask the workers of operations to stop").add_argument("id", nargs="+")
    tables = add(
        "schema", schema, "create or upgrade the tables, or print them as SQL", header=False
    )
    tables.add_argument("action", choices=["upgrade", "sql"])
    return made
