"""The job through jobqueue: what a worker process does with an upload."""

import asyncio
import contextlib
import dataclasses
import threading
from typing import TYPE_CHECKING

from jobqueue import JobContext, JobNotFound, JobQueue, JobStatus
from progress_tracker import (
    Progress,
    ProgressCancelled,
    ProgressConflict,
    ProgressError,
    ProgressHandle,
    ProgressNotFound,
    ProgressStatus,
)

from ..editing import revision_of
from ..errors import Interrupted
from ..library import Entry, Library
from ..names import RECORDINGS
from ..outages import OUTAGES
from ..readers import read_transcript
from ..transcript import Transcript
from ..transcription import get_transcriber
from . import alerting, archiving, exporting, finding, tracking

if TYPE_CHECKING:
    from ..services import Services

JOB = "transcribe"
REINDEX = "reindex"
TAKE_UP = "take_up"
ATTEMPTS = 10  # where servers do not answer, or a worker is killed
LONGEST = 4 * 3600  # seconds
EDITING = 5.0  # seconds that storing an edit may take
RETRYING = 5.0  # seconds that beginning a job anew may take
_GIVING_UP = 5.0  # seconds that a worker may take to give a job up once its progress has ended
_ENDED_BADLY = {JobStatus.FAILED, JobStatus.CANCELLED}
_WAITING = {JobStatus.PENDING, JobStatus.DELAYED}


async def enqueue(queue: JobQueue, entry: Entry) -> None:
    """Ask for an upload to be worked on; asking twice makes one job."""
    # said here: a web process knows no handlers, and so not what they ask for
    data = {"transcript_id": entry.id}
    await queue.enqueue(JOB, data, id=entry.id, max_attempts=ATTEMPTS, timeout=LONGEST)


async def enqueue_reindex(queue: JobQueue, entry: Entry, *, delay: float = 0.0) -> None:
    """Ask for an edited transcript to be made findable as it is ``delay`` seconds from now."""
    data = {"transcript_id": entry.id}
    await queue.enqueue(REINDEX, data, delay=delay, max_attempts=ATTEMPTS)


async def retry(services: "Services", job_id: str, user_id: str) -> bool:
    """Run a user's failed or cancelled job again; return whether there was one.

    At each step there is a job that is yet to run, so that no bar waits where this process dies.

    Raises:
        ProgressNotFound: The user has no such job.
    """
    try:
        progress = await services.tracker.get(job_id, user_id=user_id)
    except ProgressNotFound:
        return await _begin_anew(services, job_id, user_id)
    if not progress.is_final:
        return False
    was_cancelled = progress.status is ProgressStatus.CANCELLED
    is_waiting = was_cancelled and await _is_waiting(services.queue, job_id)
    if not is_waiting and not await _has_ended_badly(services.queue, job_id):
        return False
    check = {"transcript_id": job_id}
    await services.queue.enqueue(TAKE_UP, check, delay=RETRYING, max_attempts=ATTEMPTS)
    # the progress first: whoever watches it sees the job begin
    await services.tracker.restart(job_id, user_id=user_id)
    try:
        # also of one that waited: a worker may have found it cancelled meanwhile
        return await services.queue.retry_job(job_id) or is_waiting
    except OUTAGES as exc:
        await services.tracker.fail(job_id, str(exc))
        raise


async def _is_waiting(queue: JobQueue, job_id: str) -> bool:
    job = await queue.get_job(job_id)
    return job is not None and job.status in _WAITING


async def _has_ended_badly(queue: JobQueue, job_id: str) -> bool:
    try:
        # its worker tells of the end in the progress first, and then gives the job up
        job = await queue.wait(job_id, timeout=_GIVING_UP)
    except (JobNotFound, TimeoutError):
        return False
    return job.status in _ENDED_BADLY


async def cancel_waiting(services: "Services", job_id: str) -> None:
    """End an operation whose cancellation was asked for, unless a worker has begun it.

    Its job ends when a worker finds it cancelled; who takes it over meanwhile is left alone.
    """
    with contextlib.suppress(ProgressConflict, ProgressNotFound, *OUTAGES):
        progress = await services.tracker.get(job_id)
        if progress.cancel_requested and await _is_waiting(services.queue, job_id):
            await services.tracker.cancel(job_id, epoch=progress.epoch)


async def _begin_anew(services: "Services", job_id: str, user_id: str) -> bool:
    """Work on an upload of which neither progress nor transcript is left.

    Progress is kept for some days; or the web process died before it had announced the upload.
    """
    entry = await asyncio.to_thread(services.library.entry, job_id)
    if entry is None or entry.user_id != user_id:
        raise ProgressNotFound(f"there is no upload {job_id!r}")
    if await asyncio.to_thread(services.library.is_finished, job_id):
        return False
    job = await services.queue.get_job(job_id)
    if job is None:
        await enqueue(services.queue, entry)
    elif job.status in _ENDED_BADLY:
        await services.queue.retry_job(job_id)
    elif job.status not in _WAITING:  # its worker begins the progress, or has just given up
        return False
    await tracking.announce(services.tracker, entry)
    return True


async def take_up(services: "Services", job_id: str) -> bool:
    """Go on with a retry whose web process died between the progress and the job.

    A worker ends the progress before the job: whose job had ended before its progress was found
    open has been begun anew since.
    """
    job = await services.queue.get_job(job_id)
    if job is None or job.status not in _ENDED_BADLY:
        return False
    try:
        progress = await services.tracker.get(job_id)
    except ProgressNotFound:
        return False
    return not progress.is_final and await services.queue.retry_job(job_id)


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """The data of a job."""

    transcript_id: str


def register(services: "Services") -> None:
    """Tell the queue how its jobs are done."""
    archiving.register(services)

    again = (*OUTAGES, Interrupted)

    @services.queue.worker(JOB, max_attempts=ATTEMPTS, timeout=LONGEST, retry_on=again)
    async def transcribe(task: Task, context: JobContext) -> str:
        entry = await asyncio.to_thread(services.library.entry, task.transcript_id)
        if entry is None:
            return "the upload is gone"
        if await tracking.was_cancelled(services.tracker, entry.id):
            await services.queue.cancel_job(entry.id)
            return "cancelled"
        try:
            done = await _done(services, entry, last=context.attempt >= ATTEMPTS)
        except ProgressCancelled:
            # the job's end is the same as its progress's, so that both can be taken up again
            await services.queue.cancel_job(entry.id)
            return "cancelled"
        segments: int = done.result["segments"]
        await alerting.tell_done(services.notifications, entry, segments)
        return f"{segments} segments"

    @services.queue.worker(REINDEX, max_attempts=ATTEMPTS, retry_on=OUTAGES, concurrency=1)
    async def reindex(task: Task) -> str:
        # it reads what is stored now, so that the last of several edits wins in any order
        entry = await asyncio.to_thread(services.library.entry, task.transcript_id)
        found = await asyncio.to_thread(services.library.load, task.transcript_id)
        if entry is None or found is None:
            return "the transcript is gone"
        await services.reader.changed(entry.id)
        return f"{await finding.index(services.search, entry, found)} segments"

    @services.queue.worker(TAKE_UP, max_attempts=ATTEMPTS, retry_on=OUTAGES)
    async def check(task: Task) -> str:
        return "taken up" if await take_up(services, task.transcript_id) else "nothing to do"


async def _done(services: "Services", entry: Entry, *, last: bool) -> Progress:
    """Do all that there is to do with an upload, and tell its user if that cannot be done."""
    if (done := await tracking.completed(services.tracker, entry.id)) is not None:
        return done
    handle = tracking.handle(services.tracker, entry)
    try:
        async with tracking.held(handle, last=last) as progress:
            await _work(services, entry, progress)
    except OUTAGES as exc:
        if last:
            await alerting.tell_failed(services.notifications, entry, str(exc), handle.epoch)
        raise
    except (Interrupted, ProgressError):  # stopped, cancelled, taken over: nothing has failed
        raise
    except Exception as exc:
        # no attempt would change it: the job is a dead letter until somebody asks for a retry
        await alerting.tell_failed(services.notifications, entry, str(exc), handle.epoch)
        raise
    return await tracking.ended(services.tracker, entry.id)


async def _work(services: "Services", entry: Entry, progress: ProgressHandle) -> None:
    transcript = await asyncio.to_thread(services.library.load, entry.id)
    if transcript is None:  # else an earlier attempt has come so far
        progress.stage("transcribe", message="listening")
        heard = await _transcribed(services.library, entry, progress)
        transcript = await asyncio.to_thread(services.library.keep, entry.id, heard)
    await services.reader.changed(entry.id)
    progress.stage("index", message="making it findable")
    count = await finding.index(services.search, entry, transcript)
    progress.stage("export", message="writing files")
    revision = revision_of(transcript)
    for number, name in enumerate(exporting.FORMATS, start=1):
        await exporting.export(services.exports, entry, name, revision=revision)
        progress.update(100 * number / len(exporting.FORMATS), "export")
    progress.result = {"segments": count}


async def _transcribed(library: Library, entry: Entry, progress: ProgressHandle) -> Transcript:
    stopped = threading.Event()
    try:
        return await asyncio.to_thread(_transcript, library, entry, progress, stopped)
    finally:
        stopped.set()  # a thread cannot be cancelled: it looks


def _transcript(
    library: Library, entry: Entry, progress: ProgressHandle, stopped: threading.Event
) -> Transcript:
    """Return what an upload says; runs in a thread."""
    path = library.upload_path(entry)
    if entry.suffix not in RECORDINGS:
        return read_transcript(path, name=entry.name)

    def heard(share: float) -> None:
        if stopped.is_set():
            raise Interrupted("this worker was stopped")
        # raises ProgressCancelled when somebody pressed cancel: the recogniser stops
        progress.update(100 * share, "transcribe")

    found = get_transcriber().transcribe(path, name=entry.name, on_progress=heard)
    return dataclasses.replace(found, title=entry.title)
