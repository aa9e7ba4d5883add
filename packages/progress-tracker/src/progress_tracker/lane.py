"""The way of a tracker's handles to the store: in the background, in one batch, newest wins."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from . import reports, rules
from ._common.clock import new_id
from .background import BACKGROUND
from .engine import Engine
from .errors import BackendError, ProgressCancelled, ProgressConflict, ProgressError
from .handle import ProgressHandle
from .models import ProgressOptions
from .ports import Beat, Record
from .reports import Report
from .settings import Settings

logger = logging.getLogger(__name__)
_inherited: list[Engine | None] = []
_CANCELS = (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit, ProgressCancelled)


class Lane:
    """Flushes the handles of one tracker from the background thread. Safe for threads."""

    def __init__(
        self,
        make_engine: Callable[[], Engine],
        make_record: Callable[[ProgressOptions], Record],
        settings: Settings,
    ) -> None:
        """Describe it; nothing runs before the first handle.

        Args:
            make_engine: Returns an engine on twins of the adapters.
            make_record: Returns the record of a new operation, checked.
            settings: Interval, lease, what to do about store errors.
        """
        self._make_engine, self._make_record, self._settings = make_engine, make_record, settings
        self._engine: Engine | None = None
        self._handles: set[ProgressHandle] = set()
        self._endings: dict[str, tuple[rules.Rule, str]] = {}
        self._bell = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._busy = asyncio.Lock()
        self._pid = os.getpid()
        self._beat_at = 0.0
        self._down_since: float | None = None
        self._retry_at, self._pause = 0.0, 0.0

    # -- called from anywhere ------------------------------------------------------------------

    @property
    def active(self) -> int:
        """How many handles are in use."""
        return len(self._handles)

    def handle(self, options: ProgressOptions, *, resume: bool = False) -> ProgressHandle:
        """Return a handle that has not begun.

        Raises:
            InvalidProgress: An option is out of range.
        """
        return ProgressHandle(self, self._make_record(options), writer=new_id(), resume=resume)

    def wake(self) -> None:
        """Look at the handles now."""
        if self._pid == os.getpid():
            step = self._bell.set if self._task is not None else self._running
            BACKGROUND.loop.call_soon_threadsafe(step)

    def flag_cancel(self, id: str) -> None:
        """Tell the handles of an operation that it is to be cancelled."""
        for handle in list(self._handles):
            if handle.id == id:
                handle.flag_cancel()

    def enter(self, handle: ProgressHandle) -> None:
        """Begin ``handle``, blocking; also inside a running event loop, for a millisecond."""
        begun = BACKGROUND.submit(self._begin(handle))
        try:
            begun.result()
        except (KeyboardInterrupt, SystemExit) as exc:
            BACKGROUND.submit(self._abandon(handle, begun, exc))
            raise

    async def aenter(self, handle: ProgressHandle) -> None:
        """Begin ``handle``; if we are cancelled meanwhile, so is the operation."""
        begun = BACKGROUND.submit(self._begin(handle))
        try:
            await asyncio.shield(asyncio.wrap_future(begun))
        except asyncio.CancelledError as exc:
            BACKGROUND.submit(self._abandon(handle, begun, exc))
            raise

    def leave(self, handle: ProgressHandle, error: BaseException | None) -> None:
        """Write how ``handle`` ended, blocking."""
        BACKGROUND.submit(self._finish(handle, error)).result()

    async def aleave(self, handle: ProgressHandle, error: BaseException | None) -> None:
        """Write how ``handle`` ended; to its end, even if we are cancelled."""
        await asyncio.shield(asyncio.wrap_future(BACKGROUND.submit(self._finish(handle, error))))

    # -- in the background ---------------------------------------------------------------------

    def _running(self) -> Engine:
        if self._pid != os.getpid():
            # never closed here: connections and locks are those of the parent's threads
            _inherited.append(self._engine)
            self._engine, self._task, self._pid = None, None, os.getpid()
            self._handles, self._endings = set(), {}
            self._bell, self._busy = asyncio.Event(), asyncio.Lock()
        if self._engine is None:
            self._engine = self._make_engine()
            BACKGROUND.at_exit(self.aclose)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="progress.flush")
        return self._engine

    async def _begin(self, handle: ProgressHandle) -> None:
        async with BACKGROUND.working():
            await self._take(handle)

    async def _take(self, handle: ProgressHandle) -> None:
        """Create the operation, or take it over in its next epoch."""
        engine, plan = self._running(), handle.plan
        rule = _taker(engine, handle, self._settings.lease)
        now = engine.clock.time()
        fresh = rules.replace(plan, created_at=now, epoch=0)
        if plan.parent_id is not None:
            parent = await engine.patiently(lambda: engine.read(str(plan.parent_id)))
            fresh = as_child(fresh, parent)
        record, new = await engine.create(rule(fresh))
        if not new:
            record = await engine.change(handle.id, rule, user_id=plan.user_id, patient=True)
        handle.adopt(record)
        self._handles.add(handle)
        self._bell.set()

    async def _abandon(
        self, handle: ProgressHandle, begun: "Future[None]", error: BaseException
    ) -> None:
        with contextlib.suppress(Exception):  # it never began, and somebody else was told
            await asyncio.wrap_future(begun)
            await self._finish(handle, error)

    async def _finish(self, handle: ProgressHandle, error: BaseException | None) -> None:
        """Write the last report and how it ended, in one step."""
        engine = self._running()
        self._handles.discard(handle)
        if handle.fenced:
            return
        base, report = handle.snapshot(time.monotonic())
        handle.close()
        rule = _ender(engine, report, error, handle.result)
        token = engine.new_id()
        try:
            async with BACKGROUND.working():
                await engine.change(base.id, rule, patient=True, token=token)
        except BackendError as exc:
            if self._settings.on_store_error == "raise":
                raise
            logger.warning("progress.end_delayed", extra={"progress_id": base.id}, exc_info=exc)
            self._endings[base.id] = (rule, token)
            self._bell.set()
        except ProgressError as exc:
            logger.warning("progress.refused", extra={"progress_id": base.id, "reason": str(exc)})

    async def _run(self) -> None:
        tick = min(self._settings.min_interval, self._settings.lease / 10)
        while True:
            with contextlib.suppress(TimeoutError):
                idle = not (self._handles or self._endings)
                async with asyncio.timeout(None if idle else tick):
                    await self._bell.wait()
            self._bell.clear()
            if time.monotonic() >= self._retry_at:
                await self._turn(self._running())

    async def _turn(self, engine: Engine, *, everything: bool = False) -> None:
        async with self._busy, BACKGROUND.working():
            try:
                await self._flush(engine, everything=everything)
                await self._end_delayed(engine)
                await self._beat(engine)
            except BackendError as exc:
                self._failed(exc)
            except Exception:
                # one broken adapter call must not end the thread's only writer
                logger.exception("progress.flush_failed")
            else:
                if self._down_since is not None:
                    logger.warning("progress.store_back")
                self._down_since, self._pause, self._retry_at = None, 0.0, 0.0

    async def _flush(self, engine: Engine, *, everything: bool) -> None:
        now = time.monotonic()
        interval = 0.0 if everything else self._settings.min_interval
        due = [each for each in list(self._handles) if each.due(now, interval)]
        if not due:
            return
        items = [each.snapshot(now) for each in due]
        try:
            outcomes = await engine.report(items)
        except BackendError as exc:
            told = exc if self._settings.on_store_error == "raise" else None
            for each in due:
                each.unsent(told)
            raise
        for each, outcome in zip(due, outcomes, strict=True):
            each.stored(outcome)

    async def _end_delayed(self, engine: Engine) -> None:
        for id, (rule, token) in list(self._endings.items()):
            try:
                await engine.change(id, rule, token=token)
            except BackendError:
                raise
            except ProgressError as exc:
                logger.warning("progress.refused", extra={"progress_id": id, "reason": str(exc)})
            self._endings.pop(id, None)

    async def _beat(self, engine: Engine) -> None:
        """Renew the leases of all handles, and hear of cancellations, ten times a lease."""
        now = time.monotonic()
        if now - self._beat_at < self._settings.lease / 10 or not self._handles:
            return
        self._beat_at = now
        stale_at = engine.clock.time() + self._settings.lease
        held = [each for each in list(self._handles) if not each.fenced]
        beats = [Beat(each.id, each.epoch, each.writer, stale_at) for each in held]
        for handle, cancel in zip(held, await engine.touch(beats), strict=True):
            if cancel is None:
                handle.stored(ProgressConflict(f"operation {handle.id!r} ended or was taken over"))
            elif cancel:
                handle.flag_cancel()

    def _failed(self, exc: BackendError) -> None:
        now = time.monotonic()
        if self._down_since is None:
            self._down_since = now
            logger.warning("progress.store_down", exc_info=exc)
        self._pause = min(5.0, max(0.1, self._pause * 2))
        self._retry_at = now + self._pause

    async def aclose(self) -> None:
        """Store what is not stored yet, then disconnect. A handle may go on after that."""
        task, self._task = self._task, None
        while task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=1.0)
        if self._engine is not None and self._pid == os.getpid():
            await self._turn(self._engine, everything=True)
        BACKGROUND.forget(self.aclose)
        engine, self._engine = self._engine, None
        if engine is not None:
            if engine.backplane is not None:
                await engine.backplane.aclose()
            await engine.store.aclose()


def as_child(record: Record, parent: Record) -> Record:
    """Return ``record`` as a part of ``parent``.

    Raises:
        ProgressConflict: The parent has ended, or is nested 16 deep.
    """
    if parent.status.is_final:
        raise ProgressConflict(
            f"operation {parent.id!r} has ended as {parent.status}: no new parts"
        )
    if len(parent.ancestors) >= 16:
        raise ProgressConflict(f"operation {parent.id!r} is nested too deep for more parts")
    return rules.replace(record, parent_id=parent.id, ancestors=(parent.id, *parent.ancestors))


def _taker(engine: Engine, handle: ProgressHandle, lease: float) -> rules.Rule:
    def rule(record: Record) -> Record:
        now, plan = engine.clock.time(), handle.plan.state
        return rules.take_over(record, now, handle.writer, lease, plan, resume=handle.resume)

    return rule


def _ender(engine: Engine, report: Report, error: BaseException | None, result: Any) -> rules.Rule:
    def rule(record: Record) -> Record:
        now = engine.clock.time()
        made = reports.report(record, now, report)
        if error is None:
            return rules.complete(made, now, result)
        if isinstance(error, _CANCELS):
            return rules.cancel(made, now)
        return rules.fail(made, now, error)

    return rule
