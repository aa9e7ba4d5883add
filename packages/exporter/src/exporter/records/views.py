"""What histories store, as users see it."""

from datetime import UTC, datetime

from .._common.clock import utc
from ..models import ExportFormat, ExportJob, ExportSource
from ..ports import JobRecord


def to_job(
    record: JobRecord, *, path: str | None, url: str | None, expires_at: datetime | None
) -> ExportJob:
    """Return what users see."""
    known = record.format in set(ExportFormat)
    return ExportJob(
        id=record.id,
        status=record.status,
        format=ExportFormat(record.format) if known else record.format,
        source=ExportSource(record.source_type, record.source_id),
        progress=record.progress,
        file_path=path,
        download_url=url,
        expires_at=expires_at,
        error=record.error,
        created_at=utc(record.created_at),
        completed_at=_moment(record.completed_at),
        user_id=record.user_id,
        filename=record.filename,
        content_type=record.content_type,
        size=record.size,
        sha256=record.sha256,
        pages=record.pages,
        records=record.records,
        warnings=tuple(record.warnings),
        attempts=record.attempts,
        started_at=_moment(record.started_at),
        metadata={**record.metadata, **record.attached},
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else utc(seconds)


def second(seconds: float) -> datetime:
    """Return a timestamp as an aware UTC datetime of whole seconds, for the inside of files."""
    return datetime.fromtimestamp(int(seconds), UTC)
