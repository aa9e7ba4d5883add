"""Progress through progress-tracker: written by the worker, watched by everybody."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from progress_tracker import (
    Progress,
    ProgressCancelled,
    ProgressConflict,
    ProgressHandle,
    ProgressNotFound,
    ProgressOptions,
    ProgressStatus,
    ProgressTracker,
)

from .. import correlation
from ..errors import Interrupted
from ..library import Entry
from ..outages import OUTAGES

KIND = "transcript"
INTERRUPTED = "interrupted; another worker goes on"
RETRIED = "a server does not answer; tried again soon"
STAGES = ("upload", "transcribe", "index", "export")
WEIGHTS = {"upload": 1, "transcribe": 8, "index": 1, "export": 2}


async def announce(tracker: ProgressTracker, entry: Entry) -> None:
    """Begin the operation of an upload: it has arrived, the rest is to come.

    Its job is there already, so that no bar waits for one that was never asked for. If a worker has
    begun, what it has written stays; an outage is left to it, for it begins the operation too.
    """
    with contextlib.suppress(ProgressConflict, *OUTAGES):
        made = await tracker.create(_operation(entry))
        line = "waiting for a worker"
        await tracker.update(entry.id, 100, "upload", message=line, epoch=made.epoch)


def handle(tracker: ProgressTracker, entry: Entry) -> ProgressHandle:
    """Return the handle of the worker that takes an upload up, or goes on with it."""
    return tracker.track(options=_operation(entry), resume=True)


def _operation(entry: Entry) -> ProgressOptions:
    """Return how an upload is shown, whoever is the first to do so."""
    return ProgressOptions(
        id=entry.id,
        stages=STAGES,
        weights=WEIGHTS,
        user_id=entry.user_id,
        kind=KIND,
        metadata={"title": entry.title, **correlation.metadata()},
    )


@contextlib.asynccontextmanager
async def held(handle: ProgressHandle, *, last: bool) -> AsyncGenerator[ProgressHandle, None]:
    """Write progress within the block; a worker that was killed is refused from then on.

    One that is stopped, has lost the job or meets an outage leaves the operation as it is: it is
    neither cancelled nor failed, for the job runs again. Only an outage in its ``last`` attempt
    fails it.
    """
    async with _begun(handle) as progress:
        try:
            yield progress
        except asyncio.CancelledError:
            progress.release(INTERRUPTED)
            raise
        except OUTAGES:
            if not last:
                progress.release(RETRIED)
            raise


@contextlib.asynccontextmanager
async def _begun(handle: ProgressHandle) -> AsyncGenerator[ProgressHandle, None]:
    """Enter ``handle``; who is stopped meanwhile gives the operation back and cancels nothing."""
    begun = asyncio.ensure_future(handle.__aenter__())
    try:
        await asyncio.shield(begun)
    except asyncio.CancelledError:
        await asyncio.wait([begun])  # the tracker tries for a while only
        if begun.exception() is None:
            handle.release(INTERRUPTED)
            await handle.__aexit__(None, None, None)
        raise
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_exit(handle)
        yield handle


async def completed(tracker: ProgressTracker, id: str) -> Progress | None:
    """Return what an earlier attempt brought to its end: who wakes late begins it no more."""
    try:
        progress = await tracker.get(id)
    except ProgressNotFound:
        return None
    return progress if progress.status is ProgressStatus.COMPLETED else None


async def ended(tracker: ProgressTracker, id: str) -> Progress:
    """Return an operation at the end of its job; a job ends only when its progress has.

    Raises:
        Interrupted: A worker that had lost the job took the operation from us, or the store has
            not taken its end in: the job runs again, which is quick, for all is made.
        ProgressCancelled: Somebody cancelled it at the last moment.
    """
    progress = await tracker.get(id)
    if progress.status is ProgressStatus.CANCELLED:
        raise ProgressCancelled(f"operation {id!r} was cancelled")
    if progress.status is not ProgressStatus.COMPLETED:
        raise Interrupted(f"the progress is {progress.status} at the end of the job")
    return progress


async def was_cancelled(tracker: ProgressTracker, id: str) -> bool:
    """Cancel an operation if somebody had asked for it, and return whether that was so.

    A worker that died may not have heard of it, and whoever takes over begins with a clean slate;
    or it died between the end of the progress and that of the job.
    """
    try:
        progress = await tracker.get(id)
        if progress.is_final or not progress.cancel_requested:
            return progress.status is ProgressStatus.CANCELLED
        await tracker.cancel(id)
    except (ProgressConflict, ProgressNotFound):
        return False
    return True
