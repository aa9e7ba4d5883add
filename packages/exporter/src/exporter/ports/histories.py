"""Histories: the list of exports."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from ..models import ExportFilters, ExportStatus, Page

FORMAT = 1


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
