"""Progress for people at a terminal: live bars by rich, plain lines where there is no terminal."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import IO

from ..errors import MissingExtraError, ProgressError
from ..models import Progress
from ..service import ProgressTracker
from .bars import Bars
from .boards import Board, Lines
from .words import detail, label, plain

__all__ = ["Board", "board", "detail", "follow", "label", "plain", "show"]

States = Callable[[str], AsyncIterator[Progress]]
Parts = Callable[[str], Awaitable[Sequence[Progress]]]
_LOOK_EVERY = 1.0
MOST_PARTS = 100
"""How many parts of an operation are looked at."""


async def show(
    tracker: ProgressTracker,
    ids: Sequence[str],
    *,
    file: IO[str] | None = None,
    live: bool | None = None,
    wait_for_create: float = 10.0,
) -> dict[str, Progress]:
    """Show operations until all of them have ended; return their last states by id.

    Args:
        tracker: Where they are.
        ids: Which ones, from top to bottom.
        file: Where to write; standard output if None.
        live: Whether to draw bars; if None, where ``file`` is a terminal and rich is installed.
        wait_for_create: Seconds to wait for operations that do not exist yet.

    Raises:
        ProgressNotFound: One of them does not exist.
        MissingExtraError: ``live`` is true and rich is not installed.
    """

    def states(id: str) -> AsyncIterator[Progress]:
        return tracker.watch(id, wait_for_create=wait_for_create)

    def parts(id: str) -> Awaitable[Sequence[Progress]]:
        return tracker.list_progress(parent_id=id, limit=MOST_PARTS)

    return await follow(ids, states, parts, file=file, live=live)


async def follow(
    ids: Sequence[str],
    states: States,
    parts: Parts | None = None,
    *,
    file: IO[str] | None = None,
    live: bool | None = None,
) -> dict[str, Progress]:
    """Show what ``states(id)`` yields for each of ``ids``; return the last of each.

    ``parts(id)`` returns the parts of an operation; nobody asks for them where they are not shown.
    """
    last: dict[str, Progress] = {}

    async def one(id: str) -> None:
        async for state in states(id):
            last[id] = state
            shown.show(state)

    async def all_parts() -> None:
        while parts is not None:
            for id, state in list(last.items()):
                if state.children and not state.is_final:
                    with contextlib.suppress(ProgressError):  # the bar above is what counts
                        shown.show_parts(id, await parts(id))
            await asyncio.sleep(_LOOK_EVERY)

    with board(file, live=live) as shown:
        tasks = [asyncio.ensure_future(one(id)) for id in ids]
        beside = [asyncio.ensure_future(all_parts())] if shown.wants_parts else []
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in (*tasks, *beside):
                task.cancel()
            await asyncio.gather(*tasks, *beside, return_exceptions=True)
    return last


def board(file: IO[str] | None = None, *, live: bool | None = None) -> Board:
    """Return bars for a terminal, lines for anything else.

    Raises:
        MissingExtraError: ``live`` is true and rich is not installed.
    """
    out = file or sys.stdout
    wanted = live if live is not None else out.isatty()
    if wanted:
        with contextlib.nullcontext() if live else contextlib.suppress(MissingExtraError):
            return Bars(out)
    return Lines(out)
