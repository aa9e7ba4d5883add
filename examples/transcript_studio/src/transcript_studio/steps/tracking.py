"""Progress through progress-tracker: written by the worker, watched by everybody."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from progress_tracker import (
    ProgressConflict,
    ProgressError,
    ProgressHandle,
    ProgressNotFound,
    ProgressTracker,
)

from .. import correlation
from ..library import Entry
from ..outages import OUTAGES

KIND = "transcript"
INTERRUPTED = "interrupted; another worker goes on"
RETRIED = "a server does not answer; tried again soon"
STAGES = ("upload", "transcribe", "index", "export")
_TRIES, _ON_ITS_WAY = 3, 0.1
WEIGHTS = {"upload": 1, "transcribe": 8, "index": 1, "export": 2}


async def announce(tracker: ProgressTracker, entry: Entry) -> None:
    """Begin the operation of an upload: it has arrived, the rest is to come."""
    await tracker.create(
        id=entry.id,
        stages=list(STAGES),
        weights=WEIGHTS,
        user_id=entry.user_id,
        kind=KIND,
        metadata={"title": entry.title, **correlation.metadata()},
    )
    await tracker.update(entry.id, 100, "upload")


def handle(tracker: ProgressTracker, entry: Entry) -> ProgressHandle:
    """Return the handle of the worker that takes an upload up, or goes on with it."""
    return tracker.track(
        entry.id,
        stages=list(STAGES),
        weights=WEIGHTS,
        user_id=entry.user_id,
        kind=KIND,
        metadata={"title": entry.title},
        resume=True,
    )


@contextlib.asynccontextmanager
async def held(
    tracker: ProgressTracker, handle: ProgressHandle, *, last: bool
) -> AsyncGenerator[ProgressHandle, None]:
    """Write progress within the block; a worker that was killed is refused from then on.

    One that is stopped, has lost the job or meets an outage leaves the operation as it is: it is
    neither cancelled nor failed, for the job runs again. Only an outage in its ``last`` attempt
    fails it.
    """
    async with handle as progress:
        try:
            yield progress
        except asyncio.CancelledError:
            await asyncio.shield(_leave_open(tracker, progress, INTERRUPTED))
            raise
        except OUTAGES:
            if not last:
                await _leave_open(tracker, progress, RETRIED)
            raise


async def _leave_open(tracker: ProgressTracker, progress: ProgressHandle, why: str) -> None:
    if progress.fenced:
        return  # somebody has taken over
    # as if somebody had taken over already: it reports no more, and leaving it ends nothing
    progress.stored(ProgressConflict(why))
    with contextlib.suppress(ProgressError):
        for _ in range(_TRIES):
            await tracker.update(progress.id, 0, message=why, epoch=progress.epoch)
            # a report of what was going on before may be on its way
            await asyncio.sleep(_ON_ITS_WAY)
            if (await tracker.get(progress.id)).message == why:
                return


async def was_cancelled(tracker: ProgressTracker, id: str) -> bool:
    """Cancel an operation if somebody had asked for it, and return whether that was so.

    A worker that died may not have heard of it, and whoever takes over begins with a clean slate.
    """
    try:
        progress = await tracker.get(id)
        if progress.is_final or not progress.cancel_requested:
            return False
        await tracker.cancel(id)
    except (ProgressConflict, ProgressNotFound):
        return False
    return True
