"""What a board is, and the one for logs: a line for each piece of news."""

from collections.abc import Sequence
from types import TracebackType
from typing import IO, Any, Protocol, Self

from ..models import Progress
from .words import detail, label, plain

_STEP = 10.0


class Board(Protocol):
    """Shows operations; a context manager."""

    wants_parts: bool
    """Whether :meth:`show_parts` makes a difference."""

    def show(self, progress: Progress) -> None:
        """Show the newest state of one operation."""

    def show_parts(self, id: str, parts: Sequence[Progress]) -> None:
        """Show the parts of an operation."""

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


class Lines:
    """One line at the beginning, for each stage, for each ten percent and at the end."""

    wants_parts = False

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

    def show_parts(self, id: str, parts: Sequence[Progress]) -> None:
        """Write nothing: thousands of parts would hide the rest."""

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
