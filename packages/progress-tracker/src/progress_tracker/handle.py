"""What workers hold: updates cost them no I/O, a background thread stores the newest."""

import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, overload

from . import checks
from .counting import AsyncCounting, Counting
from .errors import InvalidProgress, ProgressCancelled, ProgressError
from .models import LogLevel, ProgressOptions
from .ports import Line, Record
from .reports import Report

T = TypeVar("T")
logger = logging.getLogger(__name__)
_LEVELS = {"debug", "info", "warning", "error"}
_LINES = 50


class Keeper(Protocol):
    """What a handle needs of the tracker's lane."""

    def wake(self) -> None:
        """Look at the handles now."""

    def enter(self, handle: "ProgressHandle") -> None:
        """Begin it, blocking."""

    async def aenter(self, handle: "ProgressHandle") -> None:
        """Begin it."""

    def leave(self, handle: "ProgressHandle", error: BaseException | None) -> None:
        """End it, blocking."""

    async def aleave(self, handle: "ProgressHandle", error: BaseException | None) -> None:
        """End it."""

    def handle(self, options: ProgressOptions, *, resume: bool = False) -> "ProgressHandle":
        """Return a handle that has not begun."""
        ...


class ProgressHandle:
    """One epoch of an operation, in the hands of its worker.

    A context manager, with and without ``async``: it creates the operation (or takes it over, with
    the next epoch) on entry; on exit it completes it, fails it by an exception, and cancels it by
    ``CancelledError``, ``KeyboardInterrupt`` or :class:`ProgressCancelled`. All other methods are
    plain calls without I/O, for any thread; they raise :class:`ProgressCancelled` once somebody has
    asked to cancel.

    A handle belongs to its process: after a fork the child's calls are not stored.
    """

    __slots__ = (
        "__weakref__", "_base", "_cancelled", "_children", "_closed", "_dirty",
        "_error", "_fresh", "_keeper", "_lock", "_logs", "_lost", "_message", "_percent",
        "_place", "_result", "_sent_at", "_sent_current", "_sequence", "_skipped", "_stages",
        "_table", "_total", "_totals", "_urgent", "_weak_total", "count", "id", "is_live", "plan",
        "resume", "writer",
    )  # fmt: skip

    def __init__(self, keeper: Keeper, plan: Record, *, writer: str, resume: bool) -> None:
        """Made by ``tracker.track`` and ``child``."""
        self.id, self.plan, self.writer, self.resume = plan.id, plan, writer, resume
        self._keeper = keeper
        self._lock = threading.Lock()
        self._base: Record | None = None
        self._children: weakref.WeakSet[ProgressHandle] = weakref.WeakSet()
        self.count: int | float = 0
        self._total: float | None = None
        self._weak_total = True
        self._percent: float | None = None
        self._message: str | None = None
        self._place: str | None = None
        self._stages: tuple[str, ...] = ()
        self._totals: dict[str, float | None] = {}
        self._table: dict[str, tuple[float | None, float | None, float | None]] = {}
        self._skipped: list[str] = []
        self._logs: deque[Line] = deque(maxlen=_LINES)
        self._result: Any = None
        self._error: Exception | None = None
        self.is_live = self._cancelled = self._lost = self._closed = False
        self._dirty = self._urgent = False
        self._fresh = True
        self._sequence, self._sent_at, self._sent_current = 0, -1e9, 0.0

    # -- what users call -----------------------------------------------------------------------

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked to cancel the operation, or the one that it is part of."""
        return self._cancelled

    @property
    def fenced(self) -> bool:
        """Whether the operation has ended or was taken over, so that updates are dropped."""
        return self._lost

    @property
    def epoch(self) -> int:
        """The epoch that this handle writes; 0 before it is entered."""
        return 0 if self._base is None else self._base.epoch

    @property
    def result(self) -> Any:
        """What the operation will be completed with: set it to anything that JSON can hold."""
        return self._result

    @result.setter
    def result(self, value: Any) -> None:
        self._result = checks.plain(value, "a result")

    def update(
        self,
        progress: float | None = None,
        stage: str | None = None,
        *,
        message: str | None = None,
        current: float | None = None,
        total: float | None = None,
    ) -> None:
        """Report a percent of the stage (of the whole, without stages), a message or counts.

        Args:
            progress: 0 to 100.
            stage: The stage it is about; it runs from now on.
            message: A line for people.
            current: Units done, instead of ``progress``.
            total: Units in all; may grow.

        Raises:
            InvalidProgress: A value is out of range; nothing changes.
            ProgressCancelled: Somebody asked to cancel.
        """
        share = None if progress is None else checks.percent(progress)
        line = checks.text(message, "a message")
        units = None if current is None else checks.number(current, "current")
        whole = None if total is None else checks.number(total, "total")
        self._known(stage)
        self.check()
        with self._lock:
            self._message = self._message if line is None else line
            if stage is None or self._enter(stage):
                if share is not None:
                    self._percent = max(share, self._percent or 0.0)
                if units is not None:
                    self.count = max(self.count, units)
                if whole is not None:
                    self._total, self._weak_total = whole, False
            self._dirty = True
            self._urgent = urgent = self._urgent or self._fresh
        if urgent:
            self._keeper.wake()

    def advance(self, n: int | float = 1, stage: str | None = None) -> None:
        """Count ``n`` more units of the running stage, of ``stage``, or of the whole.

        Raises:
            InvalidProgress: ``n`` is negative or no number.
            ProgressCancelled: Somebody asked to cancel.
        """
        if stage is None and n.__class__ is int and n >= 0 and self.is_live:
            self.count += n
            return
        n = checks.number(n, "n")
        self._known(stage)
        self.check()
        with self._lock:
            if stage is None or self._enter(stage):
                self.count += n
            self._urgent = urgent = self._urgent or self._fresh
        if urgent:
            self._keeper.wake()

    def stage(self, name: str, *, total: float | None = None, message: str | None = None) -> None:
        """Begin a stage; the one that ran is completed. Units are counted anew.

        Raises:
            InvalidProgress: The operation has no such stage.
            ProgressCancelled: Somebody asked to cancel.
        """
        whole = None if total is None else checks.number(total, "total")
        line = checks.text(message, "a message")
        self._known(name)
        self.check()
        with self._lock:
            if self._enter(name) and whole is not None:
                self._total, self._weak_total = whole, False
            self._message = self._message if line is None else line
            self._dirty = True
        self._keeper.wake()

    def skip_stage(self, name: str) -> None:
        """Leave a stage out; the others share its weight.

        Raises:
            InvalidProgress: The operation has no such stage.
        """
        self._known(name)
        with self._lock:
            self._skipped.append(name)
            self._dirty = self._urgent = True
        self._keeper.wake()

    def log(self, message: str, level: LogLevel = "info") -> None:
        """Keep a line with the operation (the last 50); one of level ``error`` is stored at once.

        Never raises :class:`ProgressCancelled`: cleaning up may log.

        Raises:
            InvalidProgress: ``level`` is unknown or the message no text.
        """
        if level not in _LEVELS:
            raise InvalidProgress(f"level must be debug, info, warning or error, not {level!r}")
        text = checks.text(message, "a message") or ""
        with self._lock:
            self._logs.append(Line(time.time(), level, text, self._place))
            self._dirty = True
            self._urgent = self._urgent or level == "error"
        if level == "error":
            self._keeper.wake()

    def child(
        self,
        id: str | None = None,
        *,
        stages: Sequence[str] | None = None,
        weights: Mapping[str, float] | Sequence[float] | None = None,
        total: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        kind: str | None = None,
        weight: float | None = None,
    ) -> "ProgressHandle":
        """Return a handle for a part of this operation: enter it like this one.

        A cancellation of this operation reaches it. In another process use
        ``tracker.track(parent_id=…)``.
        """
        options = ProgressOptions(
            id=id,
            stages=stages,
            weights=weights,
            total=total,
            metadata=metadata,
            kind=kind,
            weight=weight,
            parent_id=self.id,
            user_id=self.plan.user_id if self._base is None else self._base.user_id,
        )
        made = self._keeper.handle(options)
        self._children.add(made)
        if self._cancelled:
            made.flag_cancel()
        return made

    @overload
    def iter(self, items: AsyncIterable[T], total: float | None = None) -> "AsyncCounting[T]": ...
    @overload
    def iter(self, items: Iterable[T], total: float | None = None) -> "Counting[T]": ...
    def iter(self, items: Any, total: float | None = None) -> Any:
        """Count the items of a ``for`` or ``async for`` loop as they are done.

        Args:
            items: Any iterable, or asynchronous iterable.
            total: How many; the length of ``items`` if it has one.
        """
        if total is None and hasattr(items, "__len__"):
            total = len(items)
        if total is not None:
            whole = checks.number(total, "total")
            with self._lock:
                if self._weak_total:
                    self._total = (self._total or 0) + whole
                self._dirty = True
            self._keeper.wake()
        return AsyncCounting(self, items) if hasattr(items, "__aiter__") else Counting(self, items)

    # -- with and async with -------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._keeper.enter(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._keeper.leave(self, exc)

    async def __aenter__(self) -> Self:
        await self._keeper.aenter(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._keeper.aleave(self, exc)

    # -- inside --------------------------------------------------------------------------------

    def _known(self, stage: str | None) -> None:
        if stage is not None and stage not in self._stages:
            known = ", ".join(map(repr, self._stages)) or "none"
            raise InvalidProgress(
                f"unknown stage {ascii(stage)[:210]}; the operation's stages: {known}"
            )

    def check(self) -> None:
        """Raise what the worker must know; afterwards the fast paths are open."""
        if self.is_live:
            return
        if self._base is None:
            raise ProgressError("enter the handle first: `with tracker.track(…) as p`")
        if self._cancelled:
            raise ProgressCancelled(f"operation {self.id!r} was asked to cancel")
        if self._error is not None:
            error, self._error = self._error, None
            self.is_live = True
            raise error
        self.is_live = True

    def _enter(self, stage: str) -> bool:
        """Make ``stage`` the running one; False if it is over, and what is said of it too late."""
        self._anchor()
        if stage == self._place:
            return True
        if self._place is not None:
            if self._stages.index(stage) < self._stages.index(self._place):
                return False
            self._table[self._place] = self._figures()
        self._place = stage
        missing = (None, None, self._totals.get(stage))
        self._percent, units, self._total = self._table.get(stage, missing)
        self.count, self._sent_current = units or 0, -1.0
        self._weak_total = self._total is None
        self._urgent = True
        return True

    def _anchor(self) -> None:
        """Let what was reported before any stage was named be about the first one."""
        if self._place is None and self._stages and self._figures() != (None, None, None):
            self._place = next((s for s in self._stages if s not in self._skipped), self._stages[0])
            self._total = self._totals.get(self._place) if self._total is None else self._total

    def _figures(self) -> tuple[float | None, float | None, float | None]:
        counted = self.count or self._total is not None
        return self._percent, self.count if counted else None, self._total

    def adopt(self, record: Record) -> None:
        """Begin from what is stored; called by the lane."""
        state = record.state
        self._base = record
        self._stages = tuple(each.name for each in state.stages)
        self._totals = {each.name: each.total for each in state.stages}
        self.count = self._sent_current = state.current or 0
        self._total = state.total
        self._weak_total = state.total is None
        if self.resume:
            self._logs.extend(state.logs)
            self._place = state.stage
        if record.cancel_requested:
            self.flag_cancel()

    def due(self, now: float, interval: float) -> bool:
        """Whether there is something to store now; called by the lane."""
        if self._lost or self._base is None:
            return False
        changed = self._dirty or self.count != self._sent_current
        return self._urgent or (changed and (self._fresh or now - self._sent_at >= interval))

    def snapshot(self, now: float) -> tuple[Record, Report]:
        """Return all that is known, and take it as sent; called by the lane."""
        with self._lock:
            base = self._base
            assert base is not None
            self._sequence += 1
            self._anchor()
            percent, current, total = self._figures()
            table = dict(self._table)
            if self._place is not None:
                table.pop(self._place, None)
                table[self._place] = (percent, current, total)
            report = Report(
                epoch=base.epoch,
                writer=self.writer,
                sequence=self._sequence,
                percent=None if self._stages else percent,
                current=None if self._stages else current,
                total=total,
                stage=self._place,
                stages=tuple((name, *figures) for name, figures in table.items()),
                skipped=tuple(self._skipped),
                message=self._message,
                logs=tuple(self._logs),
            )
            self._sent_current, self._sent_at = self.count, now
            self._dirty = self._urgent = False
            return base, report

    def stored(self, outcome: Record | ProgressError) -> None:
        """Take in what became of a report; called by the lane."""
        if isinstance(outcome, Record):
            self._base, self._fresh = outcome, False
            if outcome.cancel_requested:
                self.flag_cancel()
            return
        if not (self._lost or self._closed):
            self._lost = True
            logger.warning(
                "progress.refused", extra={"progress_id": self.id, "reason": str(outcome)}
            )

    def close(self) -> None:
        """Take the last report as the last one; called by the lane."""
        self._closed = True

    def unsent(self, error: Exception | None) -> None:
        """Send again: the store failed. ``error`` is raised by the next update, if given."""
        self._dirty, self._sent_at = True, -1e9
        if error is not None:
            self._error, self.is_live = error, False

    def flag_cancel(self) -> None:
        """Let the next update raise; safe for threads."""
        self._cancelled, self.is_live = True, False
        for child in list(self._children):
            child.flag_cancel()
