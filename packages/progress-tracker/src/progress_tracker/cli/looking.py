"""``watch``, ``list`` and ``show``."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence

import msgspec

from ..errors import UnsupportedOperationError
from ..models import Page, Progress, ProgressStatus
from ..terminal import MOST_PARTS, detail, follow, label, plain
from ..terminal.words import STYLES, counts, duration, plain_json, timing
from ..wire import to_json
from .targets import remote, tracker


async def watch(arguments: argparse.Namespace) -> int:
    """Show operations until they end; 0 if all of them completed."""
    live = False if arguments.plain else None
    web = remote(arguments)
    if web is not None:

        def distant(id: str) -> AsyncIterator[Progress]:
            return web.watch(id, wait_for_create=arguments.wait)

        def far_parts(id: str) -> Awaitable[Sequence[Progress]]:
            return asyncio.to_thread(web.list_progress, parentId=id, limit=MOST_PARTS)

        last = await follow(arguments.id, distant, far_parts, live=live)
    else:
        async with tracker(arguments.url) as ours:

            def states(id: str) -> AsyncIterator[Progress]:
                return ours.watch(id, wait_for_create=arguments.wait)

            def parts(id: str) -> Awaitable[Sequence[Progress]]:
                return ours.list_progress(parent_id=id, limit=MOST_PARTS)

            last = await follow(arguments.id, states, parts, live=live)
    done = all(each.status is ProgressStatus.COMPLETED for each in last.values())
    return 0 if done else 1


async def list_(arguments: argparse.Namespace) -> int:
    """List operations."""
    web = remote(arguments)
    if web is not None:
        if arguments.user is not None:
            raise UnsupportedOperationError(
                "a web application lists your own operations: no --user"
            )
        page = await asyncio.to_thread(
            web.list_progress,
            status=arguments.status,
            kind=arguments.kind,
            parentId=arguments.parent,
            limit=arguments.limit,
        )
    else:
        async with tracker(arguments.url) as ours:
            page = await ours.list_progress(
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
            print(plain_json(msgspec.json.encode(to_json(each))))
        else:
            name = "" if label(each) == each.id else f"  {plain(label(each))}"
            percent = f"{each.progress:5.1f}%"
            line = f"{plain(each.id)}  {each.status:<10} {percent}{name}  {plain(detail(each))}"
            print(line.rstrip())


async def show(arguments: argparse.Namespace) -> int:
    """Show all that is known of one operation."""
    web = remote(arguments)
    if web is not None:
        found = await asyncio.to_thread(web.get, arguments.id)
    else:
        async with tracker(arguments.url) as ours:
            found = await ours.get(arguments.id)
    if arguments.json:
        print(plain_json(msgspec.json.format(msgspec.json.encode(to_json(found)))))
    else:
        for line in _lines(found):
            print(plain(line))
    return 0


def _lines(found: Progress) -> Iterator[str]:
    yield f"{STYLES[found.status][0]} {label(found)}  {found.progress:.1f}%  {found.status}"
    facts = {
        "id": found.id,
        "user": found.user_id,
        "kind": found.kind,
        "part of": found.parent_id,
        "done": counts(found) or None,
        "rate": None if found.rate is None else f"{found.rate:,.3g} a second",
        "took" if found.is_final else "left": timing(found).removeprefix("~") or None,
        "message": found.message,
        "error": found.error and f"{found.error_type or 'error'}: {found.error}",
        "reason": found.reason,
        "result": None if found.result is None else msgspec.json.encode(found.result).decode(),
        "cancel": "asked for" if found.cancel_requested and not found.is_final else None,
        "created": found.created_at.isoformat(timespec="seconds"),
        "epoch": found.epoch if found.epoch > 1 else None,
    }
    yield from (f"  {name:<8} {value}" for name, value in facts.items() if value is not None)
    for stage in found.stages or ():
        took = ""
        if stage.started_at is not None and stage.completed_at is not None:
            took = duration((stage.completed_at - stage.started_at).total_seconds())
        state = "skipped" if stage.skipped else f"{stage.progress:5.1f}%"
        yield f"  {STYLES[stage.status][0]} {stage.name:<24} {state}  {took}".rstrip()
    for line in found.logs:
        yield f"  {line.at.isoformat(timespec='seconds')} {line.level:<7} {line.message}"
