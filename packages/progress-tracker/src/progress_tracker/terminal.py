"""Progress for people at a terminal: live bars by rich, plain lines where there is no terminal."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import IO, Any, Protocol, Self

from ._common.extras import require
from .errors import MissingExtraError
from .models import Progress, ProgressStatus
from .service import ProgressTracker

_STYLES = {
    ProgressStatus.PENDING: ("·", "dim"),
    ProgressStatus.PROCESSING: ("●", "cyan"),
    ProgressStatus.COMPLETED: ("✓", "green"),
    ProgressStatus.FAILED: ("✗", "red"),
    ProgressStatus.CANCELLED: ("∅", "yellow"),
}
_STEP = 10.0


class Board(Protocol):
    """Shows operations; a context manager."""

    def show(self, progress: Progress) -> None:
        """Show the newest state of one operation."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End; what was shown stays."""


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

    return await follow(ids, states, file=file, live=live)


async def follow(
    ids: Sequence[str],
    states: Callable[[str], AsyncIterator[Progress]],
    *,
    file: IO[str] | None = None,
    live: bool | None = None,
) -> dict[str, Progress]:
    """Show what ``states(id)`` yields for each of ``ids``; return the last of each."""
    last: dict[str, Progress] = {}

    async def one(id: str) -> None:
        async for state in states(id):
            last[id] = state
            shown.show(state)

    with board(file, live=live) as shown:
        tasks = [asyncio.ensure_future(one(id)) for id in ids]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
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


def label(progress: Progress) -> str:
    """Return what an operation is called: its title in the metadata, its kind, or its id."""
    title = progress.metadata.get("title")
    return str(title) if title else progress.kind or progress.id


def detail(progress: Progress) -> str:
    """Return what happens now, in a few words."""
    if progress.error:
        return progress.error.partition("\n")[0]
    children = progress.children
    parts = [
        progress.stage if not progress.is_final else None,
        f"{children.completed}/{children.total} parts" if children else None,
        progress.message,
    ]
    return " · ".join(part for part in parts if part)


class Lines:
    """One line at the beginning, for each stage, for each ten percent and at the end."""

    def __init__(self, out: IO[str]) -> None:
        """Write to ``out``."""
        self._out = out
        self._said: dict[str, tuple[Any, ...]] = {}

    def show(self, progress: Progress) -> None:
        """Write a line, if it is news."""
        step = int(progress.progress // _STEP)
        news = (progress.epoch, progress.status, progress.stage, step)
        if self._said.get(progress.id) == news:
            return
        self._said[progress.id] = news
        words = f"{label(progress)}: {progress.status} {progress.progress:.0f}%"
        more = plain(detail(progress))
        print(f"{plain(words)}{f' ({more})' if more else ''}", file=self._out, flush=True)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""


class Bars:
    """One live bar for each operation. Needs the extra ``cli``."""

    def __init__(self, out: IO[str]) -> None:
        """Draw on ``out``."""
        rich = require("rich.progress", dist="progress-tracker", extra="cli")
        console = require("rich.console", dist="progress-tracker", extra="cli")
        self._text = require("rich.text", dist="progress-tracker", extra="cli").Text
        self._bars: Any = rich.Progress(
            _field(rich, "sign"),
            _field(rich, "label"),
            rich.BarColumn(
                bar_width=28, complete_style="cyan", finished_style="green", pulse_style="cyan"
            ),
            rich.TextColumn("{task.percentage:>3.0f}%"),
            _field(rich, "time"),
            _field(rich, "detail"),
            console=console.Console(file=out),
            refresh_per_second=10,
        )
        self._tasks: dict[str, Any] = {}

    def show(self, progress: Progress) -> None:
        """Move the operation's bar."""
        sign, style = _STYLES[progress.status]
        fields = {
            "sign": self._text(sign, style=style),
            "label": self._text(_short(label(progress), 32), style="bold"),
            "detail": self._text(
                _short(detail(progress), 48), style=style if progress.error else "dim"
            ),
            "time": self._text(_time(progress), style="dim"),
        }
        if (task := self._tasks.get(progress.id)) is None:
            task = self._tasks[progress.id] = self._bars.add_task("", total=100.0, **fields)
        self._bars.update(task, completed=progress.progress, **fields)

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the bars as they are."""
        self._bars.stop()


def _field(rich: Any, name: str) -> Any:
    """Return a column that shows a field as it is: rich's own would read markup in it."""

    class Field(rich.ProgressColumn):  # type: ignore[misc]  # rich is imported when it is needed
        def render(self, task: Any) -> Any:
            return task.fields[name]

    return Field()


def _time(progress: Progress) -> str:
    if progress.completed_at is not None:
        begun = progress.started_at or progress.created_at
        return _clock((progress.completed_at - begun).total_seconds())
    return "" if progress.eta is None else f"~{_clock(progress.eta)}"


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(max(0.0, seconds)))).removeprefix("0:")


def _short(text: str, width: int) -> str:
    clean = plain(text)
    return clean if len(clean) <= width else f"{clean[: width - 1]}…"


def plain(text: str) -> str:
    """Return ``text`` without what a terminal would take for commands."""
    return "".join(c if c.isprintable() else " " for c in text)
