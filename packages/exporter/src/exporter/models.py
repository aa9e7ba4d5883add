"""What users of the service handle: sources, options, jobs, filters."""

from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Generic, TypedDict, TypeVar

from .documents import Document, Item

T = TypeVar("T")


class ExportFormat(StrEnum):
    """The formats that are built in; registered ones go by their plain name."""

    TXT = "txt"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    XLSX = "xlsx"
    PARQUET = "parquet"
    SRT = "srt"
    VTT = "vtt"
    DOCX = "docx"
    PDF = "pdf"
    HTML = "html"
    MD = "md"


class ExportStatus(StrEnum):
    """Where an export is."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether the export will not change any more by itself."""
        return self in {ExportStatus.COMPLETED, ExportStatus.FAILED, ExportStatus.CANCELLED}


Data = Mapping[str, Any] | Document | Iterable[Item] | AsyncIterable[Item]


@dataclass(frozen=True, slots=True)
class ExportSource:
    """What to export.

    Attributes:
        type: ``transcript``, ``summary``, ``rag``, ``custom``, or a type of your own that has a
            loader.
        id: Which one: the loader registered for the type gets it.
        data: The data itself, in place of a loader: a mapping, a :class:`Document`, or records.
    """

    type: str
    id: str
    data: Data | None = None


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How to export it.

    Attributes:
        template: The name of a template in the format's ``template_dir``.
        include_metadata: Write the title block (header row, ``metadata`` object, NOTE) too.
        filename: What the file is called, with or without its extension; made of the source's
            type and id if None. At most 200 bytes; no path.
        ttl: Seconds until the download link expires; the settings' (24 hours) if None.
    """

    template: str | None = None
    include_metadata: bool = True
    filename: str | None = None
    ttl: float | None = None


class ExportKeywords(TypedDict, total=False):
    """The fields of :class:`ExportOptions` as keywords."""

    template: str | None
    include_metadata: bool
    filename: str | None
    ttl: float | None


@dataclass(frozen=True, slots=True)
class ExportJob:
    """An export as it was when it was read. All times are aware UTC datetimes.

    Attributes:
        id: Unguessable.
        status: Where it is.
        format: The format.
        source: What is exported; ``data`` is not kept with the job.
        progress: 0 to 100.
        file_path: Where the file is, if the storage is a folder of this machine.
        download_url: A link, where a public URL (and a signing key) is configured.
        expires_at: When that link expires.
        error: Why it failed: type and message.
        created_at: When it was asked for.
        completed_at: When it ended, however it ended.
        user_id: Whose it is.
        filename: What the download is called.
        content_type: Its media type.
        size: Bytes.
        sha256: Of the file, 64 hexadecimal digits.
        pages: Pages, where the format has them.
        records: Records written.
        warnings: What the format had to change, and how often.
        attempts: How often it was begun.
        started_at: When the last attempt began.
        metadata: ``correlation_id`` and the like.
    """

    id: str
    status: ExportStatus
    format: ExportFormat | str
    source: ExportSource
    progress: float
    file_path: str | None = None
    download_url: str | None = None
    expires_at: datetime | None = None
    error: str | None = None
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    completed_at: datetime | None = None
    user_id: str | None = None
    filename: str | None = None
    content_type: str | None = None
    size: int | None = None
    sha256: str | None = None
    pages: int | None = None
    records: int | None = None
    warnings: Sequence[str] = ()
    attempts: int = 0
    started_at: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExportFilters:
    """Which exports to list; None means any."""

    user_id: str | None = None
    status: ExportStatus | str | None = None
    format: ExportFormat | str | None = None
    source_type: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What :meth:`ExportService.export_to` wrote.

    Attributes:
        size: Bytes.
        sha256: 64 hexadecimal digits.
        records: Records written.
        pages: Pages, where the format has them.
        warnings: What the format had to change, and how often.
    """

    size: int
    sha256: str
    records: int
    pages: int | None = None
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ExportStats:
    """Figures of one service instance since it was made.

    Attributes:
        queued: Exports that wait for a worker now.
        active: Exports that run now.
        started: Exports asked for.
        completed: Exports that ended well.
        failed: Exports that failed.
        cancelled: Exports that were cancelled.
        bytes_written: Bytes of completed files.
        watchers: Subscriptions now.
        write_latency: Mean seconds of a write to the history.
    """

    queued: int = 0
    active: int = 0
    started: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    bytes_written: int = 0
    watchers: int = 0
    write_latency: float = 0.0


class Page(list[T], Generic[T]):
    """A list with the cursor of the next page (None at the end)."""

    next_cursor: str | None = None

    @classmethod
    def of(cls, items: Sequence[T], next_cursor: str | None = None) -> "Page[T]":
        """Return ``items`` as a page."""
        page = cls(items)
        page.next_cursor = next_cursor
        return page
