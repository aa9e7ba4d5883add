"""What a handle knows, and what the flusher takes from it. No I/O, safe for threads."""

import logging
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import InvalidProgress, ProgressCancelled, ProgressError
from ..models import ProgressOptions
from ..ports import Line, Record
from ..rules import checks
from ..rules.reports import Report

if TYPE_CHECKING:
    from . import ProgressHandle

logger = logging.getLogger(__name__)
_LINES = 50


class Keeper(Protocol):
    """What a handle needs of the flusher."""

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


class HandleState:
    """The inside of a handle: the newest figures, and how much of them is stored."""

    __slots__ = (
        "__weakref__", "_base", "_cancelled", "_children", "_closed", "_dirty",
        "_error", "_fresh", "_keeper", "_lock", "_logs", "_looped", "_lost", "_message", "_percent",
        "_place", "_released", "_resting", "_result", "_sent_at", "_sent_current", "_sequence",
        "_skipped", "_stages", "_table", "_total", "_totals", "_urgent", "_weak_total", "count",
        "id", "is_live", "plan", "resume", "writer",
    )  # fmt: skip

    def __init__(self, keeper: Keeper, plan: Record, *, writer: str, resume: bool) -> None:
        """Made by ``tracker.track`` and ``child``."""
        self.id, self.plan, self.writer, self.resume = plan.id, plan, writer, resume
        self._keeper = keeper
        self._lock = threading.Lock()
        self._base: Record | None = None
        self._children: weakref.WeakSet[HandleState] = weakref.WeakSet()
        self.count: int | float = 0
        self._total: float | None = None
        self._weak_total = True
        self._looped: set[str] = set()
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
        self._released = self._resting = False
        self.is_live = self._cancelled = self._lost = self._closed = False
        self._dirty = self._urgent = False
        self._fresh = True
        self._sequence, self._sent_at, self._sent_current = 0, -1e9, 0.0

    def check(self) -> None:
        """Raise what the worker must know; afterwards the fast paths are open."""
        if self.is_live:
            return
        if self._base is None:
            raise ProgressError("enter the handle first: `with tracker.track(…) as p`")
        # before looking: what the flusher's thread tells meanwhile closes the fast paths again
        self.is_live = True
        if self._cancelled:
            self.is_live = False
            raise ProgressCancelled(f"operation {self.id!r} was asked to cancel")
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _known(self, stage: str | None) -> None:
        if stage is not None and stage not in self._stages:
            known = ", ".join(map(repr, self._stages)) or "none"
            raise InvalidProgress(
                f"unknown stage {ascii(stage)[:210]}; the operation's stages: {known}"
            )

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
            if "" in self._looped:
                self._looped ^= {"", self._place}

    def _set_total(self, total: float) -> None:
        """Take what the worker says in place of the lengths of its loops."""
        self._total, self._weak_total = total, False
        self._looped.discard(self._place or "")

    def _figures(self) -> tuple[float | None, float | None, float | None]:
        counted = self.count or self._total is not None
        return self._percent, checks.units(self.count) if counted else None, self._total

    def adopt(self, record: Record) -> None:
        """Begin from what is stored; called by the flusher."""
        state = record.state
        self._base = record
        self._stages = tuple(each.name for each in state.stages)
        self._totals = {each.name: each.total for each in state.stages}
        self.count = self._sent_current = state.current or 0
        self._total = state.total
        first = state.stages[0].total if state.stages else None
        self._weak_total = state.total is None and first is None
        if self.resume:
            self._logs.extend(state.logs)
            self._looped.update(state.looped)
            self._place = state.stage
        if record.cancel_requested:
            self.flag_cancel()

    def due(self, now: float, interval: float) -> bool:
        """Whether there is something to store now; called by the flusher."""
        if self._lost or self._base is None:
            return False
        changed = self._dirty or self.count != self._sent_current
        return self._urgent or (changed and (self._fresh or now - self._sent_at >= interval))

    def snapshot(self, now: float) -> tuple[Record, Report]:
        """Return all that is known, and take it as sent; called by the flusher."""
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
                looped=tuple(sorted(self._looped)),
            )
            self._sent_current, self._sent_at = self.count, now
            self._dirty = self._urgent = False
            return base, report

    def stored(self, outcome: Record | ProgressError) -> None:
        """Take in what became of a report; called by the flusher."""
        if isinstance(outcome, Record):
            self._base, self._fresh, self._resting = outcome, False, False
            if outcome.cancel_requested:
                self.flag_cancel()
            return
        if not (self._lost or self._closed):
            self._lost = True
            logger.warning(
                "progress.refused", extra={"progress_id": self.id, "reason": str(outcome)}
            )

    def close(self) -> None:
        """Take the last report as the last one; called by the flusher."""
        self._closed = True

    def unsent(self, error: Exception | None) -> None:
        """Send again: the store failed. ``error`` is raised by the next update, if given."""
        self._dirty, self._sent_at = True, -1e9
        if error is not None:
            self._error, self.is_live = error, False

    def rest(self, until: float) -> bool:
        """Send nothing before ``until``, for that alone failed; return whether that is news."""
        news, self._resting = not self._resting, True
        self._fresh, self._sent_at = False, until
        return news

    def flag_cancel(self) -> None:
        """Let the next update raise; safe for threads."""
        self._cancelled, self.is_live = True, False
        for child in list(self._children):
            child.flag_cancel()
