"""What workers hold: updates cost them no I/O, a background thread stores the newest."""

from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from ..models import ProgressOptions
from ..rules import checks
from .loops import AsyncCounting, Counting
from .reporting import Reporting

__all__ = ["ProgressHandle"]

T = TypeVar("T")


class ProgressHandle(Reporting):
    """One epoch of an operation, in the hands of its worker.

    A context manager, with and without ``async``: it creates the operation (or takes it over, with
    the next epoch) on entry; on exit it completes it, fails it by an exception, and cancels it by
    ``CancelledError``, ``KeyboardInterrupt`` or :class:`ProgressCancelled`. All other methods are
    plain calls without I/O, for any thread; they raise :class:`ProgressCancelled` once somebody has
    asked to cancel.

    A handle belongs to its process: after a fork the child's calls are not stored.
    """

    __slots__ = ()

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
                    self._looped.add(self._place or "")
                self._dirty = True
            self._keeper.wake()
        return AsyncCounting(self, items) if hasattr(items, "__aiter__") else Counting(self, items)

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
