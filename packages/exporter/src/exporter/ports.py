"""The ports behind the service: formats, storage of files, history of exports."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

import msgspec

from .documents import Document, Record
from .errors import UnsupportedOperationError
from .models import ExportFilters, ExportStatus, Page
from .settings import FormatSettings
from .texts import utf8

FORMAT = 1


class ByteSink(Protocol):
    """Where a format writes: it counts, hashes, limits and can be cancelled. Never seeks."""

    def write(self, data: bytes, /) -> int:
        """Take ``data`` and return its length.

        Raises:
            ExportTooLarge: The file has grown over its limit.
            ExportCancelled: The export was cancelled.
            ExportError: Its time is over.
        """
        ...

    def flush(self) -> None:
        """Do nothing that matters: bytes are passed on in pieces of their own size."""


@dataclass(frozen=True, slots=True)
class RenderContext:
    """What a format knows beside the document.

    Attributes:
        include_metadata: Whether the title block and the like are wanted.
        settings: The settings of the format.
        now: The time that the file carries: same input, same bytes.
        report: Notes what had to be changed in the data: ``report("reversed times")``.
    """

    include_metadata: bool = True
    settings: FormatSettings = field(default_factory=FormatSettings)
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    report: Callable[[str], None] = lambda _: None


class Renderer(ABC):
    """Turns one document into the bytes of a format; runs in one worker thread.

    The engine calls ``begin`` once, ``write`` for each record, ``end`` once, and ``close``. It
    checks cancellation, time and size between records and in the sink. Register subclasses with
    ``register_format`` or the entry point ``exporter.formats``.

    Attributes:
        format: Its name, lower case.
        content_type: The media type.
        extension: Of file names, without the dot; the format's name if empty.
        pages: Pages written, where the format has pages; None otherwise.
    """

    format: ClassVar[str]
    content_type: ClassVar[str]
    extension: ClassVar[str] = ""
    pages: int | None = None

    def __init__(self, sink: ByteSink, context: RenderContext) -> None:
        """Write to ``sink``; nothing is written yet."""
        self.sink, self.context = sink, context

    def put(self, text: str) -> None:
        """Write ``text`` as UTF-8; lone surrogates become U+FFFD."""
        self.sink.write(utf8(text))

    @abstractmethod
    def begin(self, document: Document) -> None:
        """Write what stands before the records. ``document.records`` are not to be read."""

    @abstractmethod
    def write(self, record: Record) -> None:
        """Write one record. A ``Table`` comes without rows; they follow as ``Row``."""

    @abstractmethod
    def end(self) -> None:
        """Write what stands after the records."""

    def close(self) -> None:
        """Let go of what is held; called last in any case, also after a failure."""


@dataclass(frozen=True, slots=True)
class ExportFormatDefinition:
    """A format as one function from data to bytes, for documents that fit into memory.

    Attributes:
        format: Its name, lower case.
        content_type: The media type.
        extension: Of file names, without the dot; the format's name if empty.
        export: Takes the data as a mapping, returns ``str`` or ``bytes``; may be ``async``.
    """

    format: str
    content_type: str
    extension: str = ""
    export: Callable[[dict[str, Any]], str | bytes | Awaitable[str | bytes]] | None = None


@dataclass(frozen=True, slots=True)
class StorageCapabilities:
    """What a storage can do beyond the port.

    Attributes:
        durable: Files survive the end of every process.
        shared: Other processes see the files.
        paths: Files have a path on this machine.
        signed: Whoever has a URL that :meth:`Storage.sign` made can read the file from the storage.
    """

    durable: bool = False
    shared: bool = False
    paths: bool = False
    signed: bool = False


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a storage: its key and size in bytes."""

    key: str
    size: int


class Writer(ABC):
    """A file being written, by one thread. Nothing is visible before ``commit``.

    As a context manager it aborts unless ``commit`` was called.
    """

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Append ``data``.

        Raises:
            StorageError: The storage is full or gone.
        """

    @abstractmethod
    def commit(self) -> None:
        """Make the file durable, then visible under its key, whole.

        Raises:
            StorageError: It could not; nothing is visible.
        """

    @abstractmethod
    def abort(self) -> None:
        """Drop what was written. Idempotent; never raises; a no-op after ``commit``."""

    def __enter__(self) -> Self:
        """Return the writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Abort unless committed."""
        self.abort()


class Storage(ABC):
    """Keeps files by key.

    Keys are ``folder/name``: relative, made by the service, of parts that
    ``exporter.filenames.check_key`` accepts. Constructors do no I/O. Methods are safe for
    concurrent use within one event loop, ``open_writer`` for several threads.
    """

    capabilities: ClassVar[StorageCapabilities] = StorageCapabilities()

    @abstractmethod
    def open_writer(self, key: str, content_type: str) -> Writer:
        """Begin a file; called in a worker thread, may block.

        Raises:
            StorageError: It cannot be begun, or the key leads out of the storage.
        """

    @abstractmethod
    async def head(self, key: str) -> StoredFile | None:
        """Return the file of ``key``, or None."""

    @abstractmethod
    def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes from ``start`` to before ``end`` in pieces of at most 1 MiB.

        A file that is deleted meanwhile is read to its end.

        Raises:
            StorageError: There is no such file, or it cannot be read.
        """

    @abstractmethod
    async def delete(self, key: str) -> bool:
        """Delete a file; return whether there was one."""

    @abstractmethod
    def list_keys(self, prefix: str = "") -> AsyncIterator[StoredFile]:
        """Yield the visible files whose key begins with ``prefix``, in the order of keys."""

    async def sweep(self) -> int:
        """Remove what writers of dead processes left behind; return how many pieces."""
        return 0

    def local_path(self, key: str) -> str | None:
        """Return the absolute path of ``key``, where files have one."""
        return None

    async def sign(self, key: str, ttl: float) -> str:
        """Return a URL of the storage's own, where anybody can read ``key`` for ``ttl`` seconds.

        Whether there is such a file is not looked at.

        Raises:
            UnsupportedOperationError: ``capabilities.signed`` is not set.
            ConfigurationError: What the URL is signed with is missing.
        """
        raise UnsupportedOperationError(
            f"{type(self).__name__} has no links of its own; see ExportService.link()"
        )

    async def aclose(self) -> None:
        """Disconnect; a later call connects again."""

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""


class JobRecord(msgspec.Struct, kw_only=True):
    """An export as histories store it: times in seconds since the epoch.

    ``fence`` grows with every stored change; who holds an older one has lost the race. ``version``
    is the format of the record, so that releases can read each other's.
    """

    id: str
    format: str
    source_type: str
    source_id: str
    user_id: str | None = None
    status: ExportStatus = ExportStatus.PENDING
    fence: int = 0
    created_at: float = 0.0
    started_at: float | None = None
    completed_at: float | None = None
    lease_until: float | None = None
    delete_at: float | None = None
    idempotency_key: str | None = None
    fingerprint: str = ""
    template: str | None = None
    include_metadata: bool = True
    filename: str = ""
    content_type: str = ""
    ttl: float = 86_400.0
    key: str | None = None
    progress: float = 0.0
    error: str | None = None
    size: int | None = None
    sha256: str | None = None
    pages: int | None = None
    records: int | None = None
    warnings: list[str] = []
    attempts: int = 0
    metadata: dict[str, str] = {}
    version: int = FORMAT


@dataclass(frozen=True, slots=True)
class HistoryCapabilities:
    """What a history can do beyond the port.

    Attributes:
        durable: Records survive the end of every process.
        shared: Other processes see the records.
    """

    durable: bool = False
    shared: bool = False


class HistoryStore(ABC):
    """Keeps the list of exports.

    Constructors do no I/O: the first call connects. Safe for concurrent use within one event loop.
    Every method may raise ``BackendError``.
    """

    capabilities: ClassVar[HistoryCapabilities] = HistoryCapabilities()

    @abstractmethod
    async def create(self, record: JobRecord) -> JobRecord:
        """Store a new record and return it.

        If a record of the same ``user_id`` has its ``idempotency_key``, return that one instead
        and store nothing; one decision even for concurrent calls.
        """

    @abstractmethod
    async def get(self, job_id: str) -> JobRecord | None:
        """Return a record, or None."""

    @abstractmethod
    async def save(self, record: JobRecord) -> bool:
        """Store ``record`` if the stored one has the same ``fence``, with ``fence + 1``.

        On success ``record.fence`` is raised too. Returns whether it was stored.
        """

    @abstractmethod
    async def list_records(
        self, filters: ExportFilters, limit: int, cursor: str | None
    ) -> Page[JobRecord]:
        """Return records, newest first; equal times in the reverse order of their creation."""

    @abstractmethod
    async def delete(self, job_id: str) -> bool:
        """Delete a record; return whether there was one."""

    @abstractmethod
    async def due(self, now: float, limit: int) -> list[JobRecord]:
        """Return records to look after: ``lease_until`` or ``delete_at`` lies before ``now``."""

    @abstractmethod
    async def use_once(self, token: str, until: float) -> bool:
        """Return True for the first caller with ``token`` only; forget it after ``until``."""

    @abstractmethod
    async def forget_used(self, now: float) -> None:
        """Forget the used tokens whose time is over."""

    async def setup(self) -> None:
        """Create or upgrade what the history needs on its server."""

    def schema_sql(self) -> str:
        """Return the schema as SQL; empty where there is none."""
        return ""

    async def aclose(self) -> None:
        """Disconnect; a later call connects again."""

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""


Loader = Callable[[str], Any]
Metadata = Mapping[str, Any]
