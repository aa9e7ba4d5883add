"""The tracker for blocking code: the same names without ``await``, on one background event loop.

It is a facade over the *same* instance: an operation written here is seen by the asynchronous
tracker, and the other way round. A call costs a hop between threads; inside a running event loop it
raises ``RuntimeError``, because it would block that loop. ``track`` and ``tracked`` never do.
"""

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self, TypeVar, overload

from . import _default, service
from ._common.portal import Portal
from .handle import ProgressHandle
from .models import Page, Progress, ProgressOptions, ProgressStatus, Sweep, TrackerStats
from .ports import Position
from .settings import Settings
from .watching.subscriptions import Callback

F = TypeVar("F", bound=Callable[..., Any])
_portal: Final = Portal("progress_tracker.sync")


class ProgressTracker:
    """A blocking view of a :class:`progress_tracker.ProgressTracker`. Safe for threads."""

    def __init__(self, tracker: service.ProgressTracker | None = None) -> None:
        """Show ``tracker``; a new, unconfigured one if None."""
        self.asynchronous = tracker or service.ProgressTracker()

    @classmethod
    def from_url(cls, url: str, **kwargs: Any) -> Self:
        """Return a tracker on the store of ``url``; see the asynchronous one."""
        return cls(service.ProgressTracker.from_url(url, **kwargs))

    def configure(self, settings: Settings | Mapping[str, Any] | str) -> None:
        """Set the configuration, before the first operation."""
        self.asynchronous.configure(settings)

    @property
    def settings(self) -> Settings:
        """The settings in force; asking settles them."""
        return self.asynchronous.settings

    def setup(self) -> None:
        """Create or upgrade the store's tables."""
        _portal.run(self.asynchronous.setup)

    def schema_sql(self) -> str:
        """Return the store's tables as SQL; empty where it has none."""
        return self.asynchronous.schema_sql()

    def create(
        self,
        options: ProgressOptions | None = None,
        *,
        id: str | None = None,
        stages: Sequence[str] | None = None,
        weights: Mapping[str, float] | Sequence[float] | None = None,
        total: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        user_id: str | None = None,
        parent_id: str | None = None,
        kind: str | None = None,
        weight: float | None = None,
        exist_ok: bool = False,
    ) -> Progress:
        """Store a new, pending operation."""
        return _portal.run(
            self.asynchronous.create,
            options,
            id=id,
            stages=stages,
            weights=weights,
            total=total,
            metadata=metadata,
            user_id=user_id,
            parent_id=parent_id,
            kind=kind,
            weight=weight,
            exist_ok=exist_ok,
        )

    def update(
        self,
        id: str,
        progress: float,
        stage: str | None = None,
        *,
        message: str | None = None,
        epoch: int | None = None,
        user_id: str | None = None,
    ) -> None:
        """Set the percent of a stage, or of the whole."""
        _portal.run(
            self.asynchronous.update,
            id,
            progress,
            stage,
            message=message,
            epoch=epoch,
            user_id=user_id,
        )

    def advance(
        self,
        id: str,
        n: float = 1,
        stage: str | None = None,
        *,
        epoch: int | None = None,
        user_id: str | None = None,
    ) -> None:
        """Count ``n`` more units."""
        _portal.run(self.asynchronous.advance, id, n, stage, epoch=epoch, user_id=user_id)

    def complete(
        self,
        id: str,
        result: Any | None = None,
        *,
        epoch: int | None = None,
        user_id: str | None = None,
    ) -> None:
        """End an operation well."""
        _portal.run(self.asynchronous.complete, id, result, epoch=epoch, user_id=user_id)

    def fail(
        self,
        id: str,
        error: BaseException | str,
        *,
        epoch: int | None = None,
        user_id: str | None = None,
    ) -> None:
        """End an operation badly."""
        _portal.run(self.asynchronous.fail, id, error, epoch=epoch, user_id=user_id)

    def cancel(self, id: str, *, epoch: int | None = None, user_id: str | None = None) -> None:
        """End an operation as cancelled."""
        _portal.run(self.asynchronous.cancel, id, epoch=epoch, user_id=user_id)

    def restart(self, id: str, stage: str | None = None, *, user_id: str | None = None) -> Progress:
        """Open an ended operation again, in its next epoch."""
        return _portal.run(self.asynchronous.restart, id, stage, user_id=user_id)

    def skip_stage(self, id: str, stage: str, *, user_id: str | None = None) -> None:
        """Leave a stage out."""
        _portal.run(self.asynchronous.skip_stage, id, stage, user_id=user_id)

    def request_cancel(self, id: str, *, user_id: str | None = None) -> None:
        """Ask the worker to stop."""
        _portal.run(self.asynchronous.request_cancel, id, user_id=user_id)

    def get(self, id: str, *, user_id: str | None = None) -> Progress:
        """Return an operation."""
        return _portal.run(self.asynchronous.get, id, user_id=user_id)

    def list_progress(
        self,
        user_id: str | None = None,
        status: ProgressStatus | Sequence[ProgressStatus] | None = None,
        parent_id: str | None = None,
        kind: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Progress]:
        """Return operations, newest first."""
        return _portal.run(
            self.asynchronous.list_progress, user_id, status, parent_id, kind, limit, cursor
        )

    def learned_weights(
        self, kind: str, stages: Sequence[str] | None = None, *, runs: int = 20
    ) -> dict[str, float]:
        """Return weights for stages by how long those of earlier operations took."""
        return _portal.run(self.asynchronous.learned_weights, kind, stages, runs=runs)

    def delete(self, id: str, *, user_id: str | None = None) -> bool:
        """Delete an operation with its parts."""
        return _portal.run(self.asynchronous.delete, id, user_id=user_id)

    def sweep(self) -> Sweep:
        """Fail what has stalled and delete what was kept long enough."""
        return _portal.run(self.asynchronous.sweep)

    def get_stats(self) -> TrackerStats:
        """Return this process's figures."""
        return self.asynchronous.get_stats()

    def watch(
        self,
        id: str,
        since: Position | str | None = None,
        *,
        wait_for_create: float | timedelta = 0,
        user_id: str | None = None,
    ) -> Iterator[Progress]:
        """Yield the current state, then newer ones, blocking between them."""
        states = self.asynchronous.watch(
            id, since, wait_for_create=wait_for_create, user_id=user_id
        )
        try:
            while (state := _portal.run(_next, states)) is not None:
                yield state
        finally:
            _portal.run(states.aclose)

    def subscribe(
        self,
        id: str,
        callback: Callback,
        *,
        user_id: str | None = None,
        wait_for_create: float | timedelta = 0,
    ) -> Callable[[], None]:
        """Call ``callback`` with every state, in the facade's thread."""

        async def begin() -> Callable[[], None]:
            return self.asynchronous.subscribe(
                id, callback, user_id=user_id, wait_for_create=wait_for_create
            )

        return _portal.run(begin)

    def track(
        self,
        id: str | None = None,
        options: ProgressOptions | None = None,
        *,
        stages: Sequence[str] | None = None,
        weights: Mapping[str, float] | Sequence[float] | None = None,
        total: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        user_id: str | None = None,
        parent_id: str | None = None,
        kind: str | None = None,
        weight: float | None = None,
        resume: bool = False,
    ) -> ProgressHandle:
        """Return a handle: ``with tracker.track(…) as p``; works inside a running loop too."""
        return self.asynchronous.track(
            id,
            options,
            stages=stages,
            weights=weights,
            total=total,
            metadata=metadata,
            user_id=user_id,
            parent_id=parent_id,
            kind=kind,
            weight=weight,
            resume=resume,
        )

    @overload
    def tracked(self, function: F, /) -> F: ...
    @overload
    def tracked(
        self,
        /,
        *,
        id: Callable[..., str] | None = None,
        stages: Sequence[str] | None = None,
        weights: Mapping[str, float] | Sequence[float] | None = None,
        total: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        user_id: str | None = None,
        kind: str | None = None,
    ) -> Callable[[F], F]: ...
    def tracked(
        self,
        function: Any = None,
        /,
        *,
        id: Callable[..., str] | None = None,
        stages: Sequence[str] | None = None,
        weights: Mapping[str, float] | Sequence[float] | None = None,
        total: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        user_id: str | None = None,
        kind: str | None = None,
    ) -> Any:
        """Track each call of the decorated function; works inside a running loop too."""
        decorate = self.asynchronous.tracked(
            id=id,
            stages=stages,
            weights=weights,
            total=total,
            metadata=metadata,
            user_id=user_id,
            kind=kind,
        )
        return decorate if function is None else decorate(function)

    def close(self) -> None:
        """Finish, disconnect and return to the state after construction. Idempotent."""
        _portal.run(self.asynchronous.aclose)

    def __enter__(self) -> Self:
        """Return the tracker itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the tracker."""
        self.close()


async def _next(states: AsyncGenerator[Progress, None]) -> Progress | None:
    return await anext(states, None)


tracker: Final = ProgressTracker(_default.tracker)
