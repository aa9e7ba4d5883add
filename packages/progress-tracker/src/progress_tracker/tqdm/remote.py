"""What makes a bar of tqdm an operation that others can watch."""

import atexit
import contextlib
import functools
import logging
import math
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .. import _default
from ..errors import ProgressError
from ..handle import ProgressHandle
from ..service import ProgressTracker

logger = logging.getLogger(__name__)
_LASTS = 0.5
"""Seconds after which a bar inside another bar's loop becomes an operation of its own."""
_MESSAGE = 200
_open = threading.local()
_living: "weakref.WeakSet[Remote]" = weakref.WeakSet()


@dataclass(slots=True)
class Defaults:
    """What bars do that are not told otherwise."""

    tracker: ProgressTracker | None = None
    user_id: str | None = None
    kind: str = "tqdm"


defaults = Defaults()


def configure(
    tracker: ProgressTracker | None = None, *, user_id: str | None = None, kind: str = "tqdm"
) -> None:
    """Say where bars are told of from now on.

    Args:
        tracker: The tracker; ``progress_tracker.tracker``, the default instance, if None.
        user_id: Whose operations they are.
        kind: What sort of operations they are; ``progress-tracker list --kind tqdm`` finds them.
    """
    defaults.tracker, defaults.user_id, defaults.kind = tracker, user_id, kind


class _Unseen:
    """Counts for a bar that is no operation (yet); closed to the fast path, to look again."""

    is_live = False

    def __init__(self) -> None:
        self.count: float = 0

    def check(self) -> None:
        """Know of nothing to raise."""


class Remote:
    """Stands before a class of tqdm; adds ``operation_id``, and the keywords that begin with it.

    A store that fails never breaks the loop: the bar goes on unseen. A request to cancel does:
    the loop's next step raises ``ProgressCancelled``.
    """

    # what tqdm's classes have
    n: Any
    total: Any
    desc: Any
    postfix: Any
    iterable: Any
    disable: bool

    _handle: ProgressHandle | None = None
    _failure: BaseException | None = None
    _exhausted = False
    _loops = False
    _plan: "tuple[ProgressTracker, dict[str, Any]] | None" = None

    def __init__(
        self,
        *args: Any,
        operation_id: str | None = None,
        user_id: str | None = None,
        kind: str | None = None,
        metadata: dict[str, Any] | None = None,
        tracker: ProgressTracker | None = None,
        **kwargs: Any,
    ) -> None:
        """Take what tqdm takes, and what ``tracker.track`` takes."""
        super().__init__(*args, **kwargs)
        self._pid, self._begun_at = os.getpid(), time.monotonic()
        if self.disable:
            return
        title = (self.desc or "").rstrip(": ")
        self._plan = (
            tracker or defaults.tracker or _default.tracker,
            {
                "id": operation_id,
                "user_id": user_id or defaults.user_id,
                "kind": kind or defaults.kind,
                "metadata": {**({"title": title} if title else {}), **(metadata or {})},
            },
        )
        is_inner = any(bar._plan is not None for bar in _stack())  # noqa: SLF001 - of our class
        _open.bars.append(weakref.ref(self))
        _living.add(self)
        if not is_inner or operation_id is not None:
            self._begin()

    @property
    def operation_id(self) -> str | None:
        """What others watch it by; None for a bar that is no operation."""
        return None if self._handle is None else self._handle.id

    def _begin(self) -> None:
        plan = self._plan
        if plan is None or self._handle is not None:
            return
        tracker, options = plan
        handle: ProgressHandle | None = None
        try:
            handle = tracker.track(total=_finite(self.total), **options)
            handle.__enter__()
        except ProgressError as exc:
            self._plan = None
            logger.warning("progress.bar_unseen", extra={"reason": str(exc)})
            return
        _end_all_at_exit()
        self._handle = handle
        handle.count = self.n
        self._sync()

    def __iter__(self) -> Iterator[Any]:
        if not self.disable:
            # tqdm's generator takes the items when its first one is asked for
            self.iterable = self._noted(self.iterable)
        return iter(super().__iter__())  # type: ignore[misc]  # tqdm's, which comes after us

    def _noted(self, items: Any) -> Iterator[Any]:
        self.iterable = items
        counter = self._handle or _Unseen()
        counter.count = self.n
        self._loops = True
        try:
            for item in items:
                yield item
                # as in handle/loops.py: asking for the next item says that this one is done
                counter.count += 1
                if not counter.is_live:
                    counter = self._handle or counter
                    counter.check()
        except GeneratorExit:
            raise
        except BaseException as exc:
            self._failure = exc
            raise
        finally:
            self._loops = False
        self._exhausted = True

    def update(self, n: float | None = 1) -> Any:
        """Count ``n`` more, as tqdm does.

        Raises:
            ProgressCancelled: Somebody asked to cancel the operation.
        """
        shown = super().update(n)  # type: ignore[misc]  # as above
        handle = self._handle
        if handle is not None:
            if not self._loops:
                handle.count = self.n
            if not handle.is_live:
                handle.check()
        return shown

    def refresh(self, *args: Any, **kwargs: Any) -> Any:
        """Draw the bar, and tell its description and total."""
        shown = super().refresh(*args, **kwargs)  # type: ignore[misc]  # as above
        if self._handle is not None:
            self._sync()
        elif self._plan is not None and time.monotonic() - self._begun_at >= _LASTS:
            self._begin()
        return shown

    def reset(self, total: float | None = None) -> None:
        """Begin anew, as the operation's next epoch if it had begun already."""
        plan, handle = self._plan, self._handle
        if handle is not None and plan is not None and self.n:
            plan[1]["id"] = handle.id
            self._leave()
            self._failure, self._exhausted, self._handle = None, False, None
            self._plan = plan
        super().reset(total)  # type: ignore[misc]  # as above
        if handle is not None and self._handle is None:
            self._begin()

    def close(self) -> None:
        """Take the bar away, as tqdm does, and end the operation."""
        super().close()  # type: ignore[misc]  # as above
        self._leave()

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        self._failure = self._failure or exc
        super().__exit__(kind, exc, trace)  # type: ignore[misc]  # as above

    def __del__(self) -> None:
        if not sys.is_finalizing():  # the thread that stores stands still by then
            self.close()

    def _sync(self) -> None:
        """Tell what changes seldom; also called by tqdm's monitor, in which nothing may raise."""
        handle = self._handle
        if handle is None:
            return
        words = [(self.desc or "").rstrip(": "), self.postfix]
        message = " · ".join(each for each in words if isinstance(each, str) and each)
        with contextlib.suppress(ProgressError):
            handle.update(total=_finite(self.total), message=message[:_MESSAGE] or None)

    def _leave(self) -> None:
        # `self` is not in the stack of another thread, nor any more when it is being deleted
        _open.bars = [weakref.ref(bar) for bar in _stack() if bar is not self]
        _living.discard(self)
        handle, self._plan = self._handle, None
        if handle is None or handle.epoch == 0 or self._pid != os.getpid():
            return
        self._handle = None
        handle.count = self.n
        total = _finite(self.total)
        error = self._failure
        if error is None and not self._exhausted and total is not None and self.n < total:
            # a `break`, or a bar that was closed early
            error = GeneratorExit()
            with contextlib.suppress(ProgressError):
                handle.update(message=f"ended at {self.n:g} of {total:g}")
        try:
            handle.__exit__(None if error is None else type(error), error, None)
        except ProgressError as exc:
            logger.warning("progress.bar_unseen", extra={"reason": str(exc)})


def _stack() -> "list[Remote]":
    """Return the bars that this thread has open, outermost first."""
    if not hasattr(_open, "bars"):
        _open.bars = []
    found: list[Remote | None] = [each() for each in _open.bars]
    return [bar for bar in found if bar is not None]


def _finite(total: Any) -> float | None:
    good = isinstance(total, int | float) and not isinstance(total, bool) and math.isfinite(total)
    return total if good and total >= 0 else None


def _end_all() -> None:
    """End the bars that were never closed, while the thread that stores still runs."""
    for bar in list(_living):
        bar._leave()  # noqa: SLF001 - of our class


@functools.cache
def _end_all_at_exit() -> None:
    # atexit comes too late, as in handle/background.py; what is registered last runs first, so this
    # comes after the thread that stores has begun
    getattr(threading, "_register_atexit", atexit.register)(_end_all)
