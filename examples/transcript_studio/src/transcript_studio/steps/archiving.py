"""Everything in one ZIP: a job that shows its progress and tells when the file is there."""

import asyncio
import contextlib
import dataclasses
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from exporter import ExportJob, ExportStatus
from jobqueue import JobContext
from progress_tracker import (
    ProgressCancelled,
    ProgressConflict,
    ProgressHandle,
    ProgressNotFound,
    ProgressOptions,
)

from .. import correlation
from ..errors import ArchiveError, Interrupted
from ..library import Entry
from ..outages import OUTAGES
from . import alerting, exporting, tracking

if TYPE_CHECKING:
    from ..services import Services

JOB: Final = "archive"
ATTEMPTS: Final = 10  # where servers do not answer
LONGEST: Final = 3600  # seconds
LINK_TTL: Final = 600.0  # seconds
FORMATS: Final = ("txt", "json", "srt", "vtt", "docx", "pdf", "csv", "xlsx", "md")


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """The data of a job: which transcripts of whom, and the id of the job and its progress."""

    id: str
    user_id: str
    transcripts: list[str]


async def begin(services: "Services", user_id: str, entries: Sequence[Entry]) -> str:
    """Ask for a ZIP and return the id of its job and progress."""
    task = Task(secrets.token_hex(16), user_id, [entry.id for entry in entries])
    await services.queue.enqueue(JOB, task, id=task.id, max_attempts=ATTEMPTS, timeout=LONGEST)
    # the job first, so that no bar waits for one; whichever is quicker, it or we, begins the bar
    with contextlib.suppress(ProgressConflict, *OUTAGES):
        await services.tracker.create(_operation(task))
    return task.id


def _operation(task: Task) -> ProgressOptions:
    return ProgressOptions(
        id=task.id,
        total=len(FORMATS) * len(task.transcripts),
        user_id=task.user_id,
        kind=JOB,
        metadata={"title": "All transcripts as ZIP", **correlation.metadata()},
    )


async def made(services: "Services", archive_id: str, user_id: str) -> ExportJob | None:
    """Return the export that a job made, or None if the user has none that is ready."""
    try:
        progress = await services.tracker.get(archive_id, user_id=user_id)
    except ProgressNotFound:
        return None
    if progress.kind != JOB or not isinstance(progress.result, dict):
        return None
    return await services.exports.get_job(progress.result["export"], user_id=user_id)


def register(services: "Services") -> None:
    """Tell the queue how a ZIP is made."""

    again = (*OUTAGES, Interrupted)

    @services.queue.worker(JOB, max_attempts=ATTEMPTS, timeout=LONGEST, retry_on=again)
    async def archive(task: Task, context: JobContext) -> str:
        if await tracking.was_cancelled(services.tracker, task.id):
            await services.queue.cancel_job(task.id)
            return "cancelled"
        handle = services.tracker.track(options=_operation(task), resume=True)
        try:
            done = await tracking.completed(services.tracker, task.id)
            if done is None:
                last = context.attempt >= ATTEMPTS
                async with tracking.held(handle, last=last) as progress:
                    await _make(services, task, progress)
                done = await tracking.ended(services.tracker, task.id)
        except ProgressCancelled:
            await services.queue.cancel_job(task.id)
            return "cancelled"
        await alerting.tell_archived(
            services.notifications, task.user_id, task.id, len(task.transcripts)
        )
        return str(done.result["export"])


async def _make(services: "Services", task: Task, progress: ProgressHandle) -> None:
    entries = [
        entry
        for each in task.transcripts
        if (entry := await asyncio.to_thread(services.library.entry, each)) is not None
    ]

    def done(count: int, total: int) -> None:
        progress.update(100 * count / total)

    job = await exporting.export_all(
        services.exports, entries, FORMATS, user_id=task.user_id, on_progress=done
    )
    if job.status != ExportStatus.COMPLETED:
        raise ArchiveError(job.error or "the archive could not be written")
    progress.result = {"export": job.id}
