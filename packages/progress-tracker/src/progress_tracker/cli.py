"""The command ``progress-tracker``: watch operations, list them, make tables."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

import msgspec

from .errors import ConfigurationError, ProgressError, ProgressNotFound, UnsupportedOperationError
from .models import Page, Progress, ProgressStatus
from .service import ProgressTracker
from .settings import Settings
from .terminal import detail, follow, label, plain
from .web_client import WebClient
from .wire import to_json

Command = Callable[[argparse.Namespace], Coroutine[Any, Any, int]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0: done, and all watched operations completed. 1: one failed, was cancelled or does not exist.
    2: wrong use.
    """
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level="WARNING", format="%(levelname)s %(name)s %(message)s")
    command: Command = arguments.command
    try:
        code = asyncio.run(command(arguments))
        sys.stdout.flush()
    except ProgressNotFound as exc:
        print(f"progress-tracker: {exc}", file=sys.stderr)
        return 1
    except ProgressError as exc:
        print(f"progress-tracker: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # whoever read our lines has left; the interpreter must not complain at its end either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="progress-tracker", description="Follow long-running work."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Command, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(command=run)
        where = "the store, or the web application (http://…)"
        made.add_argument("--url", help=f"{where}; else what PROGRESS_TRACKER_URL or _CONFIG name")
        return made

    watch = add("watch", _watch, "show operations until they end")
    watch.add_argument("id", nargs="+")
    watch.add_argument("--wait", type=float, default=0.0, help="seconds to wait for their creation")
    watch.add_argument("--plain", action="store_true", help="lines instead of bars")
    listing = add("list", _list, "list operations, newest first")
    listing.add_argument("--status", choices=[str(each) for each in ProgressStatus])
    listing.add_argument("--kind")
    listing.add_argument("--user")
    listing.add_argument("--parent")
    listing.add_argument("--limit", type=int, default=20)
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    for each in (watch, listing):
        each.add_argument(
            "--header", action="append", default=[], help="for http://…: 'Authorization: Bearer …'"
        )
    schema = add("schema", _schema, "create or upgrade the tables, or print them as SQL")
    schema.add_argument("action", choices=["upgrade", "sql"])
    return parser


def _settings(url: str | None) -> Settings:
    found = Settings.from_url(url) if url else Settings.discover()
    if found is None:
        raise ConfigurationError(
            "give --url, or set PROGRESS_TRACKER_URL or PROGRESS_TRACKER_CONFIG"
        )
    return found


def _remote(arguments: argparse.Namespace) -> WebClient | None:
    """Return the web application to ask, if one is named by ``--url`` or the settings."""
    url: str | None = arguments.url
    if url is None:
        found = Settings.discover()
        socket = None if found is None else found.realtime.websocket_url
        if socket is not None and found is not None and found.storage.url() == "memory://":
            # memory of another process cannot be read; its web application can be asked
            url = _web_url(socket)
    if url is None or not url.startswith(("http://", "https://")):
        if arguments.header:
            raise ConfigurationError("--header goes with the http:// URL of a web application")
        return None
    headers: dict[str, str] = {}
    for each in arguments.header:
        name, colon, value = each.partition(":")
        if not colon:
            raise ConfigurationError("--header takes 'Name: value'")
        headers[name.strip()] = value.strip()
    return WebClient(url, headers)


def _web_url(socket: str) -> str:
    """Return the address of the web application whose sockets are at ``socket``."""
    base = socket.rstrip("/").removesuffix("/ws/progress")
    return base.replace("ws", "http", 1) if base.startswith("ws") else base


def _tracker(url: str | None) -> ProgressTracker:
    settings = _settings(url)
    if settings.storage.url() == "memory://":
        raise ConfigurationError("memory:// is of one process; name a store that processes share")
    return ProgressTracker(settings)


async def _watch(arguments: argparse.Namespace) -> int:
    live = False if arguments.plain else None
    remote = _remote(arguments)
    if remote is not None:

        def distant(id: str) -> AsyncIterator[Progress]:
            return remote.watch(id, wait_for_create=arguments.wait)

        last = await follow(arguments.id, distant, live=live)
    else:
        async with _tracker(arguments.url) as tracker:

            def states(id: str) -> AsyncIterator[Progress]:
                return tracker.watch(id, wait_for_create=arguments.wait)

            last = await follow(arguments.id, states, live=live)
    done = all(each.status is ProgressStatus.COMPLETED for each in last.values())
    return 0 if done else 1


async def _list(arguments: argparse.Namespace) -> int:
    remote = _remote(arguments)
    if remote is not None:
        if arguments.user is not None:
            raise UnsupportedOperationError(
                "a web application lists your own operations: no --user"
            )
        page = await asyncio.to_thread(
            remote.list_progress,
            status=arguments.status,
            kind=arguments.kind,
            parentId=arguments.parent,
            limit=arguments.limit,
        )
    else:
        async with _tracker(arguments.url) as tracker:
            page = await tracker.list_progress(
                arguments.user,
                arguments.status,
                arguments.parent,
                arguments.kind,
                arguments.limit,
            )
    _print(page, as_json=arguments.json)
    return 0


def _print(page: Page[Progress], *, as_json: bool) -> None:
    for each in page:
        if as_json:
            print(msgspec.json.encode(to_json(each)).decode())
        else:
            name = "" if label(each) == each.id else f"  {plain(label(each))}"
            percent = f"{each.progress:5.1f}%"
            line = f"{each.id}  {each.status:<10} {percent}{name}  {plain(detail(each))}"
            print(line.rstrip())


async def _schema(arguments: argparse.Namespace) -> int:
    async with _tracker(arguments.url) as tracker:
        if arguments.action == "upgrade":
            await tracker.setup()
            print("the tables are up to date")
            return 0
        script = tracker.schema_sql()
        if not script:
            raise UnsupportedOperationError("this store has no schema")
        print(script, end="")
        return 0
