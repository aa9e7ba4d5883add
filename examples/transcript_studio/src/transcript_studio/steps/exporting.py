"""Files to hand on, through exporter."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from exporter import (
    Document,
    ExportJob,
    ExportOptions,
    ExportService,
    ExportSource,
    ExportStatus,
)
from exporter import Segment as ExportedSegment
from exporter.filenames import made_filename

from ..library import Entry, Library

logger = logging.getLogger(__name__)
FORMATS = ("pdf", "docx", "srt", "csv")  # written by the worker
OFFERED = frozenset({*FORMATS, "xlsx", "txt", "json", "vtt", "md", "html"})


def register_sources(exports: ExportService, library: Library) -> None:
    """Teach the exporter what ``ExportSource("transcript", id)`` means."""

    @exports.source("transcript")
    async def load(transcript_id: str) -> Document | None:
        found = await asyncio.to_thread(library.load, transcript_id)
        if found is None:
            return None
        segments = [
            ExportedSegment(each.text, each.start, each.end, each.speaker)
            for each in found.segments
        ]
        facts = {"Duration": f"{found.duration:.0f} s", "Segments": len(segments)}
        return Document(
            title=found.title,
            kind="transcript",
            records=segments,
            language=found.language if found.language != "und" else None,
            metadata=facts,
            total=len(segments),
        )


async def export(
    exports: ExportService,
    entry: Entry,
    format: str,
    *,
    revision: str = "",
) -> ExportJob:
    """Export a transcript and return the finished job.

    Args:
        exports: The service.
        entry: Of the transcript.
        format: The name of a format.
        revision: Of the transcript: a file that was made of this one is not made again.
    """
    key = begun = f"{entry.id}:{format}:{revision}"
    while True:
        job = await exports.export(
            ExportSource("transcript", entry.id),
            format,
            ExportOptions(filename=made_filename(entry.title)),  # a title may hold anything
            user_id=entry.user_id,
            idempotency_key=key,
        )
        ended = await exports.wait(job.id)
        logger.info("studio.exported", extra={"export_id": job.id, "status": str(ended.status)})
        # one that ended badly, earlier or with a process that was stopped, is not the last word
        was_ours = not job.status.is_final and ended.status is not ExportStatus.CANCELLED
        if ended.status is ExportStatus.COMPLETED or was_ours:
            return ended
        key = f"{begun}:{job.id}"


async def export_all(
    exports: ExportService,
    entries: Sequence[Entry],
    formats: Sequence[str] = FORMATS,
    *,
    user_id: str,
    on_progress: Callable[[int, int], None] | None = None,
) -> ExportJob:
    """Export transcripts in several formats into one ZIP and return the finished job."""
    items = [
        (
            ExportSource("transcript", entry.id),
            name,
            ExportOptions(filename=made_filename(f"{number} {entry.title}")),
        )
        for number, entry in enumerate(entries, start=1)
        for name in formats
    ]
    job = await exports.export_batch(
        items, user_id=user_id, filename="transcripts.zip", on_progress=on_progress
    )
    return await exports.wait(job.id)
