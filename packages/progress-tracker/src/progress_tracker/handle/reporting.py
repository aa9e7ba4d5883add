"""What a worker tells: ``p.update``, ``p.advance``, ``p.stage``, ``p.skip_stage``, ``p.log``."""

import time
from typing import Any

from ..errors import InvalidProgress
from ..models import LogLevel
from ..ports import Line
from ..rules import checks
from .state import HandleState

_LEVELS = ("debug", "info", "warning", "error")


class Reporting(HandleState):
    """The calls that cost no I/O: they change what the flusher stores next."""

    __slots__ = ()

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
    def released(self) -> bool:
        """Whether the end of the block ends nothing: see :meth:`release`."""
        return self._released

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
                    self._set_total(whole)
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
                self._set_total(whole)
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

    def release(self, message: str | None = None) -> None:
        """Let the end of the block end nothing, whether an exception leaves it or not.

        For a worker that gives its job back: it is being stopped, or a server is away and there
        will be another attempt. The operation goes on ``processing`` with all that was reported,
        and belongs to nobody: ``track(…, resume=True)`` goes on with it. If that takes longer than
        its ``stale_after`` it is stalled. Never raises :class:`ProgressCancelled`.

        Args:
            message: What people see meanwhile.

        Raises:
            InvalidProgress: The message is no text.
        """
        line = checks.text(message, "a message")
        with self._lock:
            self._released = True
            self._message = self._message if line is None else line

    def log(self, message: str, level: LogLevel = "info") -> None:
        """Keep a line with the operation (the last 50); one of level ``error`` is stored at once.

        Never raises :class:`ProgressCancelled`: cleaning up may log.

        Raises:
            InvalidProgress: ``level`` is unknown or the message no text.
        """
        if level not in _LEVELS:
            raise InvalidProgress(
                f"level must be debug, info, warning or error, not {checks.shown(level)}"
            )
        text = checks.text(message, "a message") or ""
        with self._lock:
            self._logs.append(Line(time.time(), level, text, self._place))
            self._dirty = True
            self._urgent = self._urgent or level == "error"
        if level == "error":
            self._keeper.wake()
