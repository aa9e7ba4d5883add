"""Progress through progress-tracker: written by the worker, watched by everybody."""

from progress_tracker import (
    ProgressConflict,
    ProgressHandle,
    ProgressNotFound,
    ProgressTracker,
)

from .. import correlation
from ..library import Entry

STAGES = ("upload", "transcribe", "index", "export")
WEIGHTS = {"upload": 1, "transcribe": 8, "index": 1, "export": 2}


async def announce(tracker: ProgressTracker, entry: Entry) -> None:
    """Begin the operation of an upload: it has arrived, the rest is to come."""
    await tracker.create(
        id=entry.id,
        stages=list(STAGES),
        weights=WEIGHTS,
        user_id=entry.user_id,
        kind="transcript",
        metadata={"title": entry.title, **correlation.metadata()},
    )
    await tracker.update(entry.id, 100, "upload")


def work(tracker: ProgressTracker, entry: Entry) -> ProgressHandle:
    """Return the handle of the worker. A worker that was killed is refused from then on."""
    return tracker.track(
        entry.id,
        stages=list(STAGES),
        weights=WEIGHTS,
        user_id=entry.user_id,
        kind="transcript",
        metadata={"title": entry.title},
        resume=True,
    )


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
