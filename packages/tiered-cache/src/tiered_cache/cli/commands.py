"""The command ``tiered-cache``: look at a shared level, and invalidate in it."""

import argparse
import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from importlib.metadata import version
from typing import Any

import msgspec

from ..errors import CacheError, ConfigurationError
from ..models import MISSING, check_seconds
from ..service import CacheProvider
from ..settings import Settings
from .figures import CLEAR, Figures, decoded, table

Command = Callable[[argparse.Namespace], Coroutine[Any, Any, int]]
_PATIENCE = 20.0
_MOST_COUNTED = 100_000


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 not found, 2 wrong use."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level="ERROR")
    command: Command = arguments.command
    try:
        return asyncio.run(command(arguments))
    except CacheError as exc:
        print(f"tiered-cache: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tiered-cache", description="A two-level cache.")
    release = version("tiered-cache")
    parser.add_argument("--version", action="version", version=f"%(prog)s {release}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, text, argument in (
        ("get", _get, "print a value", "key"),
        ("delete", _delete, "drop a value in every process", "key"),
        ("invalidate", _invalidate, "make every value with these tags a miss", "tags"),
        ("clear", _clear, "make every value a miss", None),
        ("stats", _stats, "print the figures of all processes that share theirs", None),
        ("top", _top, "show them, and what changes, until interrupted", None),
    ):
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(command=run)
        made.add_argument("--url", help="the shared level; else TIERED_CACHE_URL or _CONFIG")
        if argument is not None:
            made.add_argument(argument, nargs="+" if argument == "tags" else None)
        if name == "invalidate":
            made.add_argument(
                "--soft", action="store_true", help="they may still stand in as stale"
            )
        if name == "top":
            made.add_argument("--interval", type=_interval, default=2.0, help="seconds")
            made.add_argument("--count", type=int, default=0, help="stop after so many; 0: never")
    return parser


def _interval(text: str) -> float:
    try:
        check_seconds("it", number := float(text), zero=False)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"must be seconds over 0, not {text!r}") from exc
    return number


@contextlib.asynccontextmanager
async def _cache(arguments: argparse.Namespace) -> AsyncGenerator[CacheProvider, None]:
    settings = Settings.from_url(arguments.url) if arguments.url else Settings.discover()
    settings = settings or Settings()
    # a person waits longer than an application
    patient = msgspec.structs.replace(settings.l2, timeout=max(settings.l2.patience, _PATIENCE))
    async with CacheProvider(msgspec.structs.replace(settings, l2=patient)) as cache:
        shared = (await cache.opened()).shared
        if shared is None:
            raise ConfigurationError(
                "no shared level is named: give --url redis://…, or set TIERED_CACHE_URL"
            )
        if await shared.read([], []) is None:
            why = shared.last_error or "no reason given"
            raise ConfigurationError(f"the shared level does not answer: {why}")
        yield cache


async def _get(arguments: argparse.Namespace) -> int:
    async with _cache(arguments) as cache:
        value = await cache.get(arguments.key, MISSING)
    if value is MISSING:
        print("nothing is cached under this key", file=sys.stderr)
        return 1
    print(repr(value))
    return 0


async def _delete(arguments: argparse.Namespace) -> int:
    async with _cache(arguments) as cache:
        done = await cache.delete(arguments.key)
    return _told(done.confirmed)


async def _invalidate(arguments: argparse.Namespace) -> int:
    async with _cache(arguments) as cache:
        done = await cache.invalidate(arguments.tags, soft=arguments.soft)
    return _told(done.confirmed)


async def _clear(arguments: argparse.Namespace) -> int:
    async with _cache(arguments) as cache:
        done = await cache.clear()
    return _told(done.confirmed)


def _told(confirmed: bool) -> int:  # noqa: FBT001  one use
    print("done in every process" if confirmed else "not confirmed by the shared level")
    return 0 if confirmed else 1


async def _stats(arguments: argparse.Namespace) -> int:
    async with _cache(arguments) as cache:
        engine = await cache.opened()
        assert engine.shared is not None
        count = await engine.shared.count(_MOST_COUNTED)
        print(f"values in the shared level: {'unknown' if count is None else count}")
        print(table(decoded(await engine.shared.reports()), {}))
    return 0


async def _top(arguments: argparse.Namespace) -> int:
    async with _cache(arguments) as cache:
        engine = await cache.opened()
        assert engine.shared is not None
        before: dict[str, Figures] = {}
        left = arguments.count
        while True:
            now = decoded(await engine.shared.reports())
            print(f"{CLEAR if sys.stdout.isatty() else ''}{table(now, before)}", flush=True)
            left -= 1
            if left == 0:
                return 0
            before = now
            await asyncio.sleep(arguments.interval)
