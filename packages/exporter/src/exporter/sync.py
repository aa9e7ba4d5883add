"""The service for blocking code: the same names without ``await``, on one background event loop.

It is a facade over the *same* instance: an export started here is seen by the asynchronous service,
and the other way round. Loaders, callbacks and asynchronous formats run on the background loop.
Inside a running event loop the blocking calls raise ``RuntimeError``.
"""

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from types import TracebackType
from typing import IO, Any, Final, Self, TypeVar, Unpack

from . import _default, service
from ._common.portal import Portal
from .documents import Document
from .models import (
    ExportFilters,
    ExportFormat,
    ExportJob,
    ExportKeywords,
    ExportOptions,
    ExportResult,
    ExportSource,
    ExportStats,
    ExportStatus,
    Page,
)
from .service import BatchItem, ByteRange, Watcher
from .settings import Settings

F = TypeVar("F", bound=Callable[..., Any])
D = TypeVar("D")
T = TypeVar("T")
_portal: Final = Portal("exporter.sync")


class ExportService:
    """A blocking view of a :class:`exporter.ExportService`. Safe for threads."""

    def __init__(self, exports: service.ExportService | None = None) -> None:
        """Show ``exports``; a new, unconfigured one if None."""
        self.asynchronous = exports or service.ExportService()

    @classmethod
    def from_url(cls, url: str, *, history: str = "memory://", **kwargs: Any) -> Self:
        """Return a service by URLs; see the asynchronous one."""
        return cls(service.ExportService.from_url(url, history=history, **kwargs))

    def configure(self, settings: Settings | Mapping[str, Any] | str) -> None:
        """Set the configuration, before the first operation."""
        self.asynchronous.configure(settings)

    def setup(self) -> None:
        """Create or upgrade the history's tables."""
        _portal.run(self.asynchronous.setup)

    def register_format(self, format_def: D) -> D:
        """Add a format; also a class decorator."""
        return self.asynchronous.register_format(format_def)

    def source(self, type: str) -> Callable[[F], F]:
        """Register the decorated function as the loader of sources of ``type``."""
        return self.asynchronous.source(type)

    def list_formats(self) -> list[str]:
        """Return the names of the formats that may be used."""
        return self.asynchronous.list_formats()

    def export(
        self,
        source: ExportSource | Document,
        format: ExportFormat | str,
        options: ExportOptions | None = None,
        *,
        user_id: str | None = None,
        idempotency_key: str | None = None,
        **kw: Unpack[ExportKeywords],
    ) -> ExportJob:
        """Start an export and return its job."""
        return _portal.run(
            self.asynchronous.export,
            source,
            format,
            options,
            user_id=user_id,
            idempotency_key=idempotency_key,
            **kw,
        )

    def export_batch(
        self,
        items: Iterable[BatchItem],
        archive: str = "zip",
        *,
        user_id: str | None = None,
        filename: str = "exports.zip",
        ttl: float | None = None,
        idempotency_key: str | None = None,
        on_progress: Callable[[int, int], Awaitable[None] | None] | None = None,
    ) -> ExportJob:
        """Start a job that puts many exports into one ZIP."""
        return _portal.run(
            self.asynchronous.export_batch,
            items,
            archive,
            user_id=user_id,
            filename=filename,
            ttl=ttl,
            idempotency_key=idempotency_key,
            on_progress=on_progress,
        )

    def export_to(
        self,
        path_or_file: str | os.PathLike[str] | IO[bytes],
        source: ExportSource | Document,
        format: ExportFormat | str | None = None,
        options: ExportOptions | None = None,
        *,
        on_progress: Callable[[int, int | None], None] | None = None,
        **kw: Unpack[ExportKeywords],
    ) -> ExportResult:
        """Write a file here and now; needs no event loop at all."""
        return self.asynchronous.export_to(
            path_or_file, source, format, options, on_progress=on_progress, **kw
        )

    def get_job(self, job_id: str, *, user_id: str | None = None) -> ExportJob | None:
        """Return a job, or None."""
        return _portal.run(self.asynchronous.get_job, job_id, user_id=user_id)

    def list_exports(
        self,
        user_id: str | None = None,
        status: ExportStatus | str | None = None,
        limit: int = 50,
        cursor: str | None = None,
        *,
        filters: ExportFilters | None = None,
    ) -> Page[ExportJob]:
        """Return jobs, newest first."""
        return _portal.run(
            self.asynchronous.list_exports, user_id, status, limit, cursor, filters=filters
        )

    def cancel(self, job_id: str, *, user_id: str | None = None) -> bool:
        """Cancel an export that has not ended."""
        return _portal.run(self.asynchronous.cancel, job_id, user_id=user_id)

    def delete(self, job_id: str, *, user_id: str | None = None) -> bool:
        """Delete an export, first its file, then its record."""
        return _portal.run(self.asynchronous.delete, job_id, user_id=user_id)

    def retry(self, job_id: str, *, user_id: str | None = None) -> ExportJob:
        """Run a failed or cancelled export again."""
        return _portal.run(self.asynchronous.retry, job_id, user_id=user_id)

    def run(self, job_id: str) -> ExportJob:
        """Run an export that another process has stored; for workers of a job queue."""
        return _portal.run(self.asynchronous.run, job_id)

    def wait(
        self,
        job_id: str,
        timeout: float | timedelta | None = None,
        *,
        user_id: str | None = None,
    ) -> ExportJob:
        """Return the job once it has ended."""
        return _portal.run(self.asynchronous.wait, job_id, timeout, user_id=user_id)

    def watch(self, job_id: str, *, user_id: str | None = None) -> Iterator[ExportJob]:
        """Yield the job now and whenever it has changed, until its end."""
        return _drawn(self.asynchronous.watch(job_id, user_id=user_id))

    def subscribe(
        self, job_id: str, callback: Watcher, *, user_id: str | None = None
    ) -> Callable[[], None]:
        """Call ``callback``, in the background thread, whenever the job has changed."""
        return _portal.run(self.asynchronous.subscribe, job_id, callback, user_id=user_id)

    def download(self, job_id: str, user_id: str | None = None) -> bytes:
        """Return the whole file."""
        return _portal.run(self.asynchronous.download, job_id, user_id)

    def stream(
        self,
        job_id: str,
        byte_range: ByteRange | None = None,
        *,
        user_id: str | None = None,
    ) -> Iterator[bytes]:
        """Yield the file in blocks."""
        return _drawn(self.asynchronous.stream(job_id, byte_range, user_id=user_id))

    def link(
        self,
        job_id: str,
        ttl: float | timedelta | None = None,
        user_id: str | None = None,
        single_use: bool = False,  # noqa: FBT001, FBT002  as the asynchronous one
    ) -> str:
        """Return a link to a finished export."""
        return _portal.run(self.asynchronous.link, job_id, ttl, user_id, single_use)

    def storage_link(self, job_id: str, ttl: float = 300.0, *, user_id: str | None = None) -> str:
        """Return a URL at which the storage itself hands out a finished export."""
        return _portal.run(self.asynchronous.storage_link, job_id, ttl, user_id=user_id)

    def open_link(self, token: str, user_id: str | None = None, *, use: bool = True) -> ExportJob:
        """Return the export that a link leads to."""
        return _portal.run(self.asynchronous.open_link, token, user_id, use=use)

    def cleanup(self) -> int:
        """Delete expired exports; return how many."""
        return _portal.run(self.asynchronous.cleanup)

    def get_stats(self) -> ExportStats:
        """Return the figures of this instance."""
        return _portal.run(self.asynchronous.get_stats)

    def close(self) -> None:
        """Finish, disconnect and return to the state after construction."""
        _portal.run(self.asynchronous.aclose)

    def __enter__(self) -> Self:
        """Return the service itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the service."""
        self.close()


def _drawn(stream: AsyncGenerator[T, None]) -> Iterator[T]:
    async def step() -> tuple[T] | None:
        try:
            return (await anext(stream),)
        except StopAsyncIteration:
            return None

    async def stop() -> None:
        await stream.aclose()

    try:
        while (item := _portal.run(step)) is not None:
            yield item[0]
    finally:
        # a forgotten iterator is closed wherever it is found, also inside a running loop
        _portal.block(stop)


export_service: Final = ExportService(_default.export_service)
