"""Stores what handles report: in the background, all handles in one batch, newest wins."""

import asyncio
import contextlib
import logging
import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from .. import rules
from .._common.clock import new_id
from ..errors import BackendError, ProgressCancelled, ProgressConflict, ProgressError
from ..models import ProgressOptions
from ..ports import Beat, Record
from ..rules.creation import as_child
from ..rules.reports import Report, report
from ..settings import Settings
from ..storing.operations import Operations
from . import ProgressHandle
from .background import BACKGROUND
from .troubles import APART, Endings, each_or_halves

logger = logging.getLogger(__name__)
_BATCH = 500
"""Reports in one call: a server does nothing else meanwhile."""
_inherited: list[Operations | None] = []
_CANCELS = (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit, ProgressCancelled)


class Flusher:
    """Flushes the handles of one tracker from the background thread. Safe for threads."""

    def __init__(
        self,
        make_operations: Callable[[], Operations],
        make_record: Callable[[ProgressOptions], Record],
        settings: Settings,
    ) -> None:
        """Describe it; nothing runs before the first handle.

        Args:
            make_operations: Returns operations on twins of the adapters.
            make_record: Returns the record of a new operation, checked.
            settings: Interval, lease, what to do about store errors.
        """
        self._make_operations, self._make_record, self._settings = (
            make_operations,
            make_record,
            settings,
        )
        self._operations: Operations | None = None
        self._handles: set[ProgressHandle] = set()
        self._endings = Endings()
        self._bell = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._busy = asyncio.Lock()
        self._pid = os.getpid()
        self._beat_at = 0.0
        self._down_since: float | None = None
        self._retry_at, self._pause = 0.0, 0.0

    @property
    def active(self) -> int:
        """How many handles are in use."""
        return len(self._handles)

    @property
    def is_used(self) -> bool:
        """Whether a handle was begun since the last close."""
        return self._operations is not None

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

    def _running(self) -> Operations:
        if self._pid != os.getpid():
            # never closed here: connections and locks are those of the parent's threads
            _inherited.append(self._operations)
            self._operations, self._task, self._pid = None, None, os.getpid()
            self._handles, self._endings = set(), Endings()
            self._bell, self._busy = asyncio.Event(), asyncio.Lock()
        if self._operations is None:
            self._operations = self._make_operations()
            BACKGROUND.at_exit(self.aclose)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="progress.flush")
        return self._operations

    async def _begin(self, handle: ProgressHandle) -> None:
        """Create the operation, or take it over in its next epoch."""
        operations, plan = self._running(), handle.plan
        rule = _taker(operations, handle, self._settings.lease)
        now = operations.clock.time()
        fresh = rules.replace(plan, created_at=now, epoch=0)
        if plan.parent_id is not None:
            parent = await operations.patiently(lambda: operations.read(str(plan.parent_id)))
            fresh = as_child(fresh, parent)
        record, new = await operations.create(rule(fresh))
        if not new:
            record = await operations.change(handle.id, rule, user_id=plan.user_id, patient=True)
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
        """Write the last report and how it ended, if it did, in one step."""
        operations = self._running()
        self._handles.discard(handle)
        if handle.fenced:
            return
        base, last = handle.snapshot(time.monotonic())
        handle.close()
        rule = _ender(operations, handle, last, error)
        token = operations.new_id()
        try:
            await operations.change(base.id, rule, patient=True, token=token)
        except BackendError as exc:
            if self._settings.on_store_error == "raise":
                raise
            logger.warning("progress.end_delayed", extra={"progress_id": base.id}, exc_info=exc)
            self._endings.keep(base.id, rule, token)
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

    async def _turn(self, operations: Operations, *, everything: bool = False) -> None:
        async with self._busy:
            try:
                await self._flush(operations, everything=everything)
                await self._endings.write(operations)
                await self._beat(operations)
            except BackendError as exc:
                self._failed(exc)
            except Exception:
                # one broken adapter call must not end the thread's only writer
                logger.exception("progress.flush_failed")
                self._rest()
            else:
                if self._down_since is not None:
                    logger.warning("progress.store_back")
                self._down_since, self._pause, self._retry_at = None, 0.0, 0.0

    async def _flush(self, operations: Operations, *, everything: bool) -> None:
        now = time.monotonic()
        interval = -math.inf if everything else self._settings.min_interval
        due = [each for each in list(self._handles) if each.due(now, interval)]
        for start in range(0, len(due), _BATCH):
            part = due[start : start + _BATCH]
            await each_or_halves(
                part, lambda some: self._store(operations, some, now), self._cannot_store
            )

    async def _store(
        self, operations: Operations, due: Sequence[ProgressHandle], now: float
    ) -> None:
        items = [each.snapshot(now) for each in due]
        try:
            outcomes = await operations.report(items)
        except BaseException as exc:
            # also when we are cancelled in the middle: whoever flushes next sends it again
            raising = self._settings.on_store_error == "raise"
            for each in due:
                each.unsent(exc if raising and isinstance(exc, BackendError) else None)
            raise
        for each, outcome in zip(due, outcomes, strict=True):
            each.stored(outcome)

    def _cannot_store(self, handle: ProgressHandle, exc: Exception) -> None:
        """Leave ``handle`` alone for a while, and the others to their work."""
        if handle.rest(time.monotonic() + APART):
            logger.error("progress.report_failed", extra={"progress_id": handle.id}, exc_info=exc)

    async def _beat(self, operations: Operations) -> None:
        """Renew the leases of all handles, and hear of cancellations, ten times a lease."""
        now = time.monotonic()
        if now - self._beat_at < self._settings.lease / 10 or not self._handles:
            return
        self._beat_at = now
        stale_at = operations.clock.time() + self._settings.lease
        held = [each for each in list(self._handles) if not each.fenced]
        await each_or_halves(
            held, lambda some: self._touch(operations, some, stale_at), _cannot_renew
        )

    async def _touch(
        self, operations: Operations, held: Sequence[ProgressHandle], stale_at: float
    ) -> None:
        beats = [Beat(each.id, each.epoch, each.writer, stale_at) for each in held]
        for handle, cancel in zip(held, await operations.touch(beats), strict=True):
            if cancel is None:
                handle.stored(ProgressConflict(f"operation {handle.id!r} ended or was taken over"))
            elif cancel:
                handle.flag_cancel()

    def _failed(self, exc: BackendError) -> None:
        if self._down_since is None:
            self._down_since = time.monotonic()
            logger.warning("progress.store_down", exc_info=exc)
        self._rest()

    def _rest(self) -> None:
        self._pause = min(5.0, max(0.1, self._pause * 2))
        self._retry_at = time.monotonic() + self._pause

    async def aclose(self) -> None:
        """Store what is not stored yet, then disconnect. A handle may go on after that."""
        task, self._task = self._task, None
        while task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=1.0)
        if self._operations is not None and self._pid == os.getpid():
            await self._turn(self._operations, everything=True)
        self._endings.give_up()
        BACKGROUND.forget(self.aclose)
        operations, self._operations = self._operations, None
        if operations is not None:
            if operations.backplane is not None:
                await operations.backplane.aclose()
            await operations.store.aclose()


def _cannot_renew(handle: ProgressHandle, exc: Exception) -> None:
    logger.error("progress.lease_failed", extra={"progress_id": handle.id}, exc_info=exc)


def _taker(operations: Operations, handle: ProgressHandle, lease: float) -> rules.Rule:
    def rule(record: Record) -> Record:
        now, plan = operations.clock.time(), handle.plan.state
        return rules.take_over(record, now, handle.writer, lease, plan, resume=handle.resume)

    return rule


def _ender(
    operations: Operations, handle: ProgressHandle, last: Report, error: BaseException | None
) -> rules.Rule:
    def rule(record: Record) -> Record:
        now = operations.clock.time()
        made = report(record, now, last)
        if handle.released:
            return rules.release(made, now, handle.plan.stale_after)
        if error is None:
            return rules.complete(made, now, handle.result)
        if isinstance(error, _CANCELS):
            return rules.cancel(made, now)
        return rules.fail(made, now, error)

    return rule
