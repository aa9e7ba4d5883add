"""The service: what applications call."""

import asyncio
import hashlib
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Self, TypeVar, Unpack

from ._common.clock import Clock, NewId, SystemClock, new_id, utc, wait_event
from ._common.home import at_home, borrow, stream_at_home
from ._common.lifecycle import Adapter, Service
from ._common.telemetry import correlation_id, inject
from .documents import Document
from .engine import Order, Produced
from .errors import (
    ConfigurationError,
    ExportCancelled,
    ExportError,
    ExportExpired,
    ExportNotFound,
    InvalidLink,
    StorageError,
    UnsupportedOperationError,
)
from .filenames import check_filename, with_extension
from .formats import Format, Formats
from .links import Claim, LinkSigner
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
from .ports import HistoryStore, JobRecord, Loader, Storage
from .recipes import Batch, Member, Recipe, Single
from .records import (
    check_same,
    check_template,
    checked_source,
    checked_ttl,
    filename_of,
    fingerprint_of,
    options_of,
    second,
    to_job,
)
from .registry import history_from_url, storage_from_url
from .running import Counts, Runner
from .settings import Settings
from .sink import Control
from .templates import Template

F = TypeVar("F", bound=Callable[..., Any])
D = TypeVar("D")
Watcher = Callable[[ExportJob], Awaitable[None] | None]
BatchItem = tuple[ExportSource | Document, str] | tuple[ExportSource | Document, str, ExportOptions]
ByteRange = tuple[int, int | None]
logger = logging.getLogger(__name__)
_BATCH_TYPE = "application/zip"
_MAX_BATCH = 10_000


@dataclass
class _Parts:
    storage: Storage
    history: HistoryStore
    runner: Runner
    signer: LinkSigner


class ExportService(Service[Settings, _Parts]):
    """Turns application data into files: as jobs with history and links, or at once.

    Safe for several event loops and threads. Loaders, asynchronous records and formats run on the
    loop from which ``export`` was called; rendering runs in threads.
    """

    settings_type = Settings
    durable_example = "file:///var/exports"

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        storage: Storage | None = None,
        history: HistoryStore | None = None,
        clock: Clock | None = None,
        new_id: NewId = new_id,
    ) -> None:
        """Make a service; no I/O.

        Args:
            settings: How it works; found in the environment at the first operation if None.
            storage: A ready storage, in place of the one that the settings name.
            history: A ready history, in place of the one that the settings name.
            clock: For the times of jobs, leases and links.
            new_id: Makes the ids of jobs; must be unguessable.
        """
        super().__init__(settings)
        self.clock: Clock = clock or SystemClock()
        self._new_id = new_id
        self._storage, self._history = storage, history
        self._formats, self._loaders = Formats(), dict[str, Loader]()
        self._counts = Counts()
        self._warned = False

    @classmethod
    def from_url(cls, url: str, *, history: str = "memory://", **kwargs: Any) -> Self:
        """Return a service on a storage and a history by their URLs.

        Args:
            url: ``file:///absolute``, ``file:relative`` or ``memory://``.
            history: ``memory://``, ``sqlite:///history.db`` or ``postgresql://…``.
            kwargs: As for the constructor.

        Raises:
            ConfigurationError: A URL has no scheme. Whether the scheme is known turns out at the
                first operation.
        """
        mapping = {"storage": {"url": url}, "history": {"url": history}}
        escaped = {part: {"url": at["url"].replace("$", "$$")} for part, at in mapping.items()}
        return cls(Settings.from_mapping(escaped), **kwargs)

    @property
    def storage(self) -> Storage:
        """The storage in use."""
        return self._parts.storage

    @property
    def history(self) -> HistoryStore:
        """The history in use."""
        return self._parts.history

    def _is_volatile(self) -> bool:
        return False  # _build knows better what will be lost, and says so

    def _build(self, settings: Settings) -> _Parts:
        storage = self._storage or storage_from_url(settings.storage.resolved_url())
        history = self._history
        if history is None:
            if settings.history.url is None:
                logger.warning(
                    "exporter keeps its list of exports in memory; to keep it, set history.url, for "
                    "example sqlite:///history.db (files: %s)",
                    settings.storage.url or settings.storage.path or "./exports",
                )
            history = history_from_url(settings.history.url or "memory://", clock=self.clock)
        runner = Runner(
            storage, history, settings,
            clock=self.clock, new_id=self._new_id, spawn=self._spawn, counts=self._counts,
        )  # fmt: skip
        return _Parts(storage, history, runner, LinkSigner(settings.downloads.signing_keys))

    def _adapters(self, parts: _Parts) -> Iterable[Adapter]:
        return (parts.storage, parts.history)

    def _moved(self) -> None:
        super()._moved()
        if self._built is not None:
            self._built.runner.detach()

    async def _closing(self) -> None:
        await self._parts.runner.finish()

    @property
    def _runner(self) -> Runner:
        runner = self._parts.runner
        runner.watch_over(self._look_after)
        return runner

    @at_home
    async def setup(self) -> None:
        """Create or upgrade the history's tables (servers; embedded ones do it themselves)."""
        await self.history.setup()

    # -- registering ---------------------------------------------------------------------------

    def register_format(self, format_def: D) -> D:
        """Add a format; also a class decorator.

        Args:
            format_def: A :class:`Renderer` class (streaming), an :class:`ExportFormatDefinition`, or
                a class with ``format``, ``content_type`` and ``export(data)``, which may be
                ``async`` and returns ``str`` or ``bytes``.

        Returns:
            What was given.

        Raises:
            ConfigurationError: It is none of these, or its name cannot be one.
        """
        self._formats.register(format_def)
        return format_def

    def source(self, type: str) -> Callable[[F], F]:
        """Register the decorated function as the loader of sources of ``type``.

        It gets the source's id and returns (or resolves to) a mapping, a :class:`Document`, an
        iterable or an asynchronous iterable of records; None if there is no such thing. Plain
        functions and iterables run in a worker thread.

        Args:
            type: ``transcript``, ``summary``, ``rag``, ``custom`` or a word of your own.
        """
        if not isinstance(type, str) or not type:
            raise ConfigurationError(
                "name the type of source: @export_service.source('transcript')"
            )

        def register(function: F) -> F:
            self._loaders[type] = function
            return function

        return register

    def list_formats(self) -> list[str]:
        """Return the names of the formats that may be used, sorted."""
        return self._formats.names(self.settings.formats)

    # -- exporting -----------------------------------------------------------------------------

    async def export(
        self,
        source: ExportSource | Document,
        format: ExportFormat | str,
        options: ExportOptions | None = None,
        *,
        user_id: str | None = None,
        idempotency_key: str | None = None,
        **kw: Unpack[ExportKeywords],
    ) -> ExportJob:
        """Start an export and return its job; :meth:`wait` for the finished one.

        Args:
            source: What: data, or the id of something that a loader knows.
            format: An :class:`ExportFormat` or the name of a registered format.
            options: How; or its fields as keywords.
            user_id: Whose it is; None for nobody's.
            idempotency_key: A second call of the user with it returns the first one's job.
            kw: ``template``, ``include_metadata``, ``filename``, ``ttl``.

        Raises:
            UnknownFormat: There is no such format, or it is disabled.
            InvalidSource: The source or the file name cannot be used.
            TemplateError: There is no such template.
            ExportError: Too many wait (``busy``), or the key is another request's (``conflict``).
        """
        chosen = options_of(options, kw)
        checked, found = checked_source(source), self._format(format)
        now, fingerprint = self.clock.time(), fingerprint_of(checked, found.name, chosen)
        recipe = await self._single(checked, found, chosen, now)
        record = self._record(
            format=found.name,
            source_type=checked.type,
            source_id=checked.id,
            user_id=user_id,
            idempotency_key=idempotency_key,
            fingerprint=fingerprint,
            template=chosen.template,
            include_metadata=chosen.include_metadata,
            filename=filename_of(checked, chosen, found),
            content_type=found.content_type,
            ttl=checked_ttl(chosen.ttl, self.settings.downloads.ttl),
            created_at=now,
        )
        return await self._start(record, recipe)

    def _format(self, format: ExportFormat | str) -> Format:
        return self._formats.find(format, self.settings.formats)

    async def _single(
        self, source: ExportSource, format: Format, options: ExportOptions, now: float
    ) -> Single:
        check_template(options, format)
        settings = self.settings.formats.of(format.name)
        template = None
        if options.template is not None:
            # the first one imports Jinja2, which takes a while
            template = await asyncio.to_thread(Template, format.name, options.template, settings)
        order = Order(
            format, settings, second(now), self.settings.jobs.max_size, template,
            options.include_metadata,
        )  # fmt: skip
        loop = asyncio.get_running_loop()
        return Single(source, order, self._loaders.get(source.type), loop, correlation_id())

    def _record(self, **fields: Any) -> JobRecord:
        for name in ("user_id", "idempotency_key"):
            value = fields.get(name)
            if value is not None and (not isinstance(value, str) or not 0 < len(value) <= 500):
                raise ConfigurationError(f"{name} must be text of 1 to 500 characters, or None")
        metadata = inject()
        if (correlation := correlation_id()) is not None:
            metadata["correlation_id"] = correlation
        lease = fields["created_at"] + self.settings.jobs.lease
        return JobRecord(id=self._new_id(), metadata=metadata, lease_until=lease, **fields)

    @at_home
    async def _start(self, record: JobRecord, recipe: Recipe) -> ExportJob:
        runner = self._runner
        self._refuse_busy(runner)
        stored = await self.history.create(record)
        if stored.id != record.id:
            check_same(stored, record.fingerprint)
            return self._shown(stored)
        self._counts.started += 1
        shown = self._shown(record)
        runner.start(record, recipe)
        return shown

    def _refuse_busy(self, runner: Runner) -> None:
        if runner.queued >= self.settings.jobs.queue_size:
            raise ExportError(
                f"{runner.queued} exports wait already (jobs.queue_size)", reason="busy"
            )

    async def export_batch(
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
        """Start a job that puts many exports into one ZIP with a ``manifest.json``.

        An item that fails is reported in the manifest; the others are delivered.

        Args:
            items: ``(source, format)`` or ``(source, format, ExportOptions)``; at most 10,000.
            archive: ``zip``.
            user_id: As for :meth:`export`.
            filename: What the archive is called.
            ttl: As in :class:`ExportOptions`.
            idempotency_key: As for :meth:`export`.
            on_progress: Called with how many items are done, and of how many.

        Raises:
            UnsupportedOperationError: There is no such archive.
            ExportError: As for :meth:`export`.
        """
        if archive != "zip":
            raise UnsupportedOperationError(f"no archive {archive!r}; there is 'zip'")
        now = self.clock.time()
        members, prints = [], list[str]()
        for item in items:
            source, found = checked_source(item[0]), self._format(item[1])
            options = item[2] if len(item) > 2 else ExportOptions()
            name = filename_of(source, options, found)
            members.append(Member(name, await self._single(source, found, options, now)))
            prints.append(fingerprint_of(source, found.name, options))
            if len(members) > _MAX_BATCH:
                raise ConfigurationError(f"a batch has at most {_MAX_BATCH} items")
        report = None if on_progress is None else _from_threads(borrow(on_progress))
        recipe = Batch(members, second(now), self.settings.jobs.max_size, report)
        record = self._record(
            format=archive,
            source_type="batch",
            source_id=f"{len(members)} items",
            user_id=user_id,
            idempotency_key=idempotency_key,
            fingerprint=hashlib.sha256(repr(prints).encode()).hexdigest(),
            filename=check_filename(with_extension(check_filename(filename), archive)),
            content_type=_BATCH_TYPE,
            ttl=checked_ttl(ttl, self.settings.downloads.ttl),
            created_at=now,
        )
        return await self._start(record, recipe)

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
        """Write a file here and now: no job, no storage, no event loop. Blocks.

        Args:
            path_or_file: A path, replaced only by a whole file; or a file open for bytes.
            source: What; loaders must be plain functions.
            format: If None, the extension of the path.
            options: How; or its fields as keywords. ``filename`` and ``ttl`` have no meaning here.
            on_progress: Called now and then with records written, and of how many, if known.
            kw: ``template``, ``include_metadata``.

        Raises:
            ExportError: As for :meth:`export`; exceptions of loaders and formats are passed on.
        """
        chosen, checked = options_of(options, kw), checked_source(source)
        if chosen.filename is not None or chosen.ttl is not None:
            raise ConfigurationError("export_to() writes where it is told: no filename, no ttl")
        is_path = isinstance(path_or_file, str | os.PathLike)
        if format is None:
            ending = Path(path_or_file).suffix[1:].lower() if is_path else ""  # type: ignore[arg-type]  # it is a path
            format = ending or _no_format()
        found = self._format(format)
        check_template(chosen, found)
        settings = self.settings.formats.of(found.name)
        template = chosen.template and Template(found.name, chosen.template, settings)
        order = Order(
            found, settings, second(self.clock.time()), self.settings.jobs.max_size,
            template or None, chosen.include_metadata,
        )  # fmt: skip
        recipe = Single(checked, order, self._loaders.get(checked.type), None, correlation_id())
        control = Control(timeout=self.settings.jobs.timeout)
        if is_path:
            from .whole_file import WholeFile

            with WholeFile(Path(path_or_file)) as target:  # type: ignore[arg-type]  # it is a path
                made = recipe.make(_told(target.write, control, on_progress), control)
                target.commit()
        else:
            assert not isinstance(path_or_file, str | os.PathLike)
            made = recipe.make(_told(path_or_file.write, control, on_progress), control)
        return _result(made, control)

    # -- asking and steering -------------------------------------------------------------------

    @at_home
    async def get_job(self, job_id: str, *, user_id: str | None = None) -> ExportJob | None:
        """Return a job, or None if there is none or it is another user's."""
        record = await self._visible(job_id, user_id)
        return None if record is None else self._shown(record)

    @at_home
    async def list_exports(
        self,
        user_id: str | None = None,
        status: ExportStatus | str | None = None,
        limit: int = 50,
        cursor: str | None = None,
        *,
        filters: ExportFilters | None = None,
    ) -> Page[ExportJob]:
        """Return jobs, newest first; ``.next_cursor`` of the page leads to the next.

        Args:
            user_id: Only this user's; None for all (trusted code).
            status: Only these.
            limit: 1 to 1,000.
            cursor: Of the page before.
            filters: More conditions, in place of ``user_id`` and ``status``.

        Raises:
            ConfigurationError: An argument is out of range.
        """
        if filters is not None and (user_id is not None or status is not None):
            raise TypeError("give filters, or user_id and status, not both")
        if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= 1000:
            raise ConfigurationError(f"limit must be 1 to 1000, not {limit!r}")
        if cursor is not None and not (
            cursor.isascii() and cursor.isdecimal() and len(cursor) < 19
        ):
            raise ConfigurationError(f"not a cursor: {cursor[:40]!r}")
        chosen = filters or ExportFilters(user_id=user_id, status=status)
        if chosen.status is not None and str(chosen.status) not in set(ExportStatus):
            raise ConfigurationError(
                f"no status {chosen.status!r}; known: {', '.join(ExportStatus)}"
            )
        _ = self._runner
        page = await self.history.list_records(chosen, limit, cursor)
        return Page.of([self._shown(record) for record in page], page.next_cursor)

    @at_home
    async def cancel(self, job_id: str, *, user_id: str | None = None) -> bool:
        """Cancel an export that has not ended, also while another process runs it.

        Returns:
            Whether it was cancelled: True means that there will be no file.
        """
        if await self._visible(job_id, user_id) is None:
            return False

        def edit(record: JobRecord) -> bool:
            now = self.clock.time()
            if record.status.is_final:
                return False
            record.status, record.completed_at = ExportStatus.CANCELLED, now
            record.lease_until, record.delete_at = None, now + self.settings.downloads.retention
            return True

        runner = self._runner
        if await runner.change(job_id, edit) is None:
            return False
        self._counts.cancelled += 1
        if (run := runner.runs.get(job_id)) is not None:
            run.control.stop(ExportCancelled("the export was cancelled"))
        return True

    @at_home
    async def delete(self, job_id: str, *, user_id: str | None = None) -> bool:
        """Delete an export, first its file, then its record; one that runs is cancelled.

        Returns:
            Whether there was one.
        """
        record = await self._visible(job_id, user_id)
        if record is None:
            return False
        if not record.status.is_final:
            await self.cancel(job_id)
            record = await self.history.get(job_id) or record
        await self._remove(record)
        return True

    async def _remove(self, record: JobRecord) -> None:
        if record.key is not None:
            await self.storage.delete(record.key)
        await self.history.delete(record.id)
        self._parts.runner.forget(record.id)

    async def retry(self, job_id: str, *, user_id: str | None = None) -> ExportJob:
        """Run a failed or cancelled export again, under its id.

        Raises:
            ExportNotFound: There is no such export of this user.
            ExportError: It has not failed (``not_failed``), or its data is gone (``no_source``):
                data handed to ``export`` is remembered only by the process that got it.
        """
        record = await self._for_retry(job_id, user_id)
        recipe = self._parts.runner.kept(job_id) or await self._again(record)
        return await self._restart(record, recipe)

    @at_home
    async def _for_retry(self, job_id: str, user_id: str | None) -> JobRecord:
        record = await self._known(job_id, user_id)
        if record.status not in {ExportStatus.FAILED, ExportStatus.CANCELLED}:
            raise ExportError(f"export {job_id!r} is {record.status}", reason="not_failed")
        return record

    async def _again(self, record: JobRecord) -> Recipe:
        if record.source_type not in self._loaders:
            raise ExportError(
                f"the data of export {record.id!r} is gone; register a loader for "
                f"{record.source_type!r} to be able to retry",
                reason="no_source",
            )
        source = ExportSource(record.source_type, record.source_id)
        options = ExportOptions(record.template, record.include_metadata)
        return await self._single(source, self._format(record.format), options, record.created_at)

    @at_home
    async def _restart(self, record: JobRecord, recipe: Recipe) -> ExportJob:
        runner = self._runner
        self._refuse_busy(runner)
        record.status, record.error = ExportStatus.PENDING, None
        record.completed_at = record.delete_at = record.key = None
        record.progress, record.warnings = 0.0, []
        record.lease_until = self.clock.time() + self.settings.jobs.lease
        if record.id in runner.runs or not await runner.save(record):
            raise ExportError(f"export {record.id!r} has just changed", reason="conflict")
        shown = self._shown(record)
        runner.start(record, recipe)
        return shown

    @at_home
    async def wait(
        self,
        job_id: str,
        timeout: float | timedelta | None = None,
        *,
        user_id: str | None = None,
    ) -> ExportJob:
        """Return the job once it has ended, however it ended.

        Args:
            job_id: Which job.
            timeout: Seconds; None waits without limit.
            user_id: As for :meth:`get_job`.

        Raises:
            ExportNotFound: There is no such job (any more).
            TimeoutError: It has not ended in time.
        """
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        async with asyncio.timeout(seconds):
            while True:
                with self._runner.bell(job_id) as bell:
                    record = await self._known(job_id, user_id)
                    if record.status.is_final:
                        return self._shown(record)
                    await wait_event(bell, 0.25, SystemClock())

    @stream_at_home
    async def watch(
        self, job_id: str, *, user_id: str | None = None
    ) -> AsyncGenerator[ExportJob, None]:
        """Yield the job now and whenever it has changed; end after its end.

        Raises:
            ExportNotFound: There is no such job.
        """
        last: ExportJob | None = None
        self._counts.watchers += 1
        try:
            while True:
                with self._runner.bell(job_id) as bell:
                    job = self._shown(await self._known(job_id, user_id))
                    if last is None or (job.status, job.progress) != (last.status, last.progress):
                        last = job
                        yield job
                    if job.status.is_final:
                        return
                    await wait_event(bell, 0.25, SystemClock())
        finally:
            self._counts.watchers -= 1

    async def subscribe(
        self, job_id: str, callback: Watcher, *, user_id: str | None = None
    ) -> Callable[[], None]:
        """Call ``callback`` with the job now and whenever it has changed, until its end.

        The callback runs on the calling loop; what it raises is logged.

        Returns:
            A function that ends the subscription; callable from any thread.

        Raises:
            ExportNotFound: There is no such job.
        """
        if await self.get_job(job_id, user_id=user_id) is None:
            raise ExportNotFound(f"no export {job_id!r}")
        call = borrow(callback)

        async def follow() -> None:
            stream = self.watch(job_id, user_id=user_id)
            try:
                async for job in stream:
                    try:
                        await call(job)
                    except Exception:  # one bad call must not end the subscription
                        logger.exception("callback.failed", extra={"job_id": job_id})
            except ExportNotFound:
                return
            finally:
                await stream.aclose()

        return await self._follow(follow, job_id)

    @at_home
    async def _follow(self, follow: Callable[[], Any], job_id: str) -> Callable[[], None]:
        task = self._spawn(follow(), f"export watch {job_id}")
        return lambda: self._home.stop(task)

    # -- downloading ---------------------------------------------------------------------------

    @at_home
    async def download(self, job_id: str, user_id: str | None = None) -> bytes:
        """Return the whole file, checked against its recorded size and hash.

        Raises:
            ExportNotFound: There is no such export of this user.
            ExportExpired: Its file was removed by retention.
            ExportCancelled: It was cancelled.
            ExportError: It has not ended (``not_ready``) or failed (``failed``).
            StorageError: The file cannot be read whole.
        """
        return b"".join([block async for block in self.stream(job_id, user_id=user_id)])

    @stream_at_home
    async def stream(
        self,
        job_id: str,
        byte_range: ByteRange | None = None,
        *,
        user_id: str | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """Yield the file in blocks; ends with an error if it is not what was written.

        Args:
            job_id: Which export.
            byte_range: The first and the last byte wanted, counted from 0; ``(100, None)`` to the
                end.
            user_id: As for :meth:`get_job`.

        Raises:
            ExportError: As for :meth:`download`; a range outside of the file (``range``).
        """
        record = await self._finished(job_id, user_id)
        assert record.key is not None
        assert record.size is not None
        start, stop = _bounds(byte_range, record.size)
        digest, seen = hashlib.sha256(), 0
        stream = self.storage.read(record.key, start, stop)
        try:
            async for block in stream:
                seen += len(block)
                if byte_range is None:
                    digest.update(block)
                yield block
        except StorageError:
            if await self.storage.head(record.key) is None:
                raise ExportExpired(f"the file of export {job_id!r} is gone") from None
            raise
        finally:
            if (close := getattr(stream, "aclose", None)) is not None:
                await close()
        if seen != stop - start or (byte_range is None and digest.hexdigest() != record.sha256):
            raise StorageError(f"the file of export {job_id!r} is not what was written")

    @at_home
    async def link(
        self,
        job_id: str,
        ttl: float | timedelta | None = None,
        user_id: str | None = None,
        single_use: bool = False,  # noqa: FBT001, FBT002  positions of the users' specification
    ) -> str:
        """Return a link to a finished export: its token, below ``storage.public_url`` if set.

        Args:
            job_id: Which export.
            ttl: Seconds until it expires; the export's own (24 hours) if None.
            user_id: Only this user may use it, and must own the export.
            single_use: It works once.

        Raises:
            ConfigurationError: ``downloads.signing_keys`` is empty, or ``token_required`` is off and
                more is asked of the link than a plain path can do.
            ExportError: As for :meth:`download`.
        """
        record = await self._finished(job_id, user_id)
        seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
        lifetime = checked_ttl(seconds, record.ttl)
        if not self.settings.downloads.token_required:
            if user_id is not None or single_use or ttl is not None:
                raise ConfigurationError(
                    "with downloads.token_required: false a link is a plain path; it cannot be bound "
                    "to a user, used once or given a ttl of its own"
                )
            return self._plain_link(record)
        token = self._token(record, self.clock.time() + lifetime, user_id, single_use=single_use)
        await self._keep_for(record, lifetime)
        return self._url(token)

    async def _keep_for(self, record: JobRecord, lifetime: float) -> None:
        until = self.clock.time() + lifetime

        def edit(newest: JobRecord) -> bool:
            if newest.delete_at is None or newest.delete_at >= until:
                return False
            newest.delete_at = until
            return True

        await self._runner.change(record.id, edit)

    @at_home
    async def open_link(
        self, token: str, user_id: str | None = None, *, use: bool = True
    ) -> ExportJob:
        """Return the export that a link leads to, for whoever serves downloads.

        Args:
            token: What :meth:`link` made, without the public URL.
            user_id: Who asks, if known; must be the user that the link is bound to.
            use: Use up a link that works once; False only looks.

        Raises:
            InvalidLink: It is forged, malformed, bound to another user, or used up.
            ExportExpired: Its time is over, or the file is gone.
        """
        if not self.settings.downloads.token_required and "/" in token:
            return self._shown(await self._by_plain_link(token))
        signer, now = self._parts.signer, self.clock.time()
        claim = signer.check(token, now)
        if claim.user and (
            user_id is None or claim.user != signer.fingerprint(claim.job_id, user_id)
        ):
            raise InvalidLink("this link is not valid")
        record = await self.history.get(claim.job_id)
        if record is None or record.key != claim.key:
            raise ExportExpired("the file of this link is gone")
        if claim.once and use and not await self.history.use_once(claim.once, claim.expires):
            raise InvalidLink("this link was used already")
        return self._shown(record)

    def _token(
        self, record: JobRecord, expires: float, user_id: str | None, *, single_use: bool = False
    ) -> str:
        signer = self._parts.signer
        user = "" if user_id is None else signer.fingerprint(record.id, user_id)
        once = self._new_id() if single_use else ""
        return signer.sign(Claim(record.id, record.key or "", expires, user, once))

    def _url(self, path: str) -> str:
        base = self.settings.storage.public_url
        return f"{base.rstrip('/')}/{path}" if base else path

    def _plain_link(self, record: JobRecord) -> str:
        if not self._warned:
            self._warned = True
            logger.warning(
                "downloads.token_required is off: whoever has the path of an export can read it"
            )
        from urllib.parse import quote

        return self._url(quote(record.key or ""))

    async def _by_plain_link(self, path: str) -> JobRecord:
        import hmac

        record = await self.history.get(path.partition("-")[0])
        known = (record.key or "") if record is not None else ""
        if record is None or not hmac.compare_digest(
            known.encode(), path.encode("utf-8", "replace")
        ):
            raise InvalidLink("this link is not valid")
        if record.completed_at is None or self.clock.time() >= record.completed_at + record.ttl:
            raise ExportExpired("this link has expired")
        return record

    # -- upkeep --------------------------------------------------------------------------------

    @at_home
    async def cleanup(self) -> int:
        """Delete expired exports, first the files, then the records; return how many.

        Also marks exports of dead processes failed, and removes what their writers left.
        """
        count, runner = 0, self._parts.runner
        while due := await self.history.due(self.clock.time(), 200):
            changed = 0
            for record in due:
                now = self.clock.time()
                if record.delete_at is not None and record.delete_at < now:
                    await self._remove(record)
                    count, changed = count + 1, changed + 1
                elif record.id not in runner.runs:
                    await runner.interrupt(
                        record.id,
                        ExportError(
                            "the process that ran the export is gone", reason="interrupted"
                        ),
                    )
                    changed += 1
            if not changed:
                break
        await self.history.forget_used(self.clock.time())
        await self.storage.sweep()
        return count

    async def _look_after(self) -> None:
        await self.cleanup()

    @at_home
    async def get_stats(self) -> ExportStats:
        """Return the figures of this instance."""
        counts, runs = self._counts, self._parts.runner.runs.values()
        return ExportStats(
            queued=sum(not run.active for run in runs),
            active=sum(run.active for run in runs),
            started=counts.started,
            completed=counts.completed,
            failed=counts.failed,
            cancelled=counts.cancelled,
            bytes_written=counts.bytes_written,
            watchers=counts.watchers,
            write_latency=counts.writing / counts.writes if counts.writes else 0.0,
        )

    # -- records -------------------------------------------------------------------------------

    async def _visible(self, job_id: str, user_id: str | None) -> JobRecord | None:
        _ = self._runner
        record = await self.history.get(job_id)
        hidden = record is None or (user_id is not None and record.user_id != user_id)
        return None if hidden else record

    async def _known(self, job_id: str, user_id: str | None) -> JobRecord:
        record = await self._visible(job_id, user_id)
        if record is None:
            raise ExportNotFound(f"no export {job_id!r}")
        return record

    async def _finished(self, job_id: str, user_id: str | None) -> JobRecord:
        record = await self._known(job_id, user_id)
        if record.status is ExportStatus.CANCELLED:
            raise ExportCancelled(f"export {job_id!r} was cancelled")
        if record.status is ExportStatus.FAILED:
            raise ExportError(f"export {job_id!r} failed: {record.error}", reason="failed")
        if record.status is not ExportStatus.COMPLETED:
            raise ExportError(f"export {job_id!r} is {record.status}", reason="not_ready")
        return record

    def _shown(self, record: JobRecord) -> ExportJob:
        run = self._parts.runner.runs.get(record.id)
        if run is not None and run.active and record.status is ExportStatus.PROCESSING:
            record.progress = max(record.progress, run.control.progress)
        done = record.status is ExportStatus.COMPLETED and record.key is not None
        path = self.storage.local_path(record.key) if done and record.key else None
        url, expires = None, None
        if done and self.settings.storage.public_url and record.completed_at is not None:
            expires = record.completed_at + record.ttl
            if not self.settings.downloads.token_required:
                url = self._plain_link(record)
            elif self.settings.downloads.signing_keys:
                url = self._url(self._token(record, expires, None))
        moment = utc(expires) if url is not None and expires is not None else None
        return to_job(record, path=path, url=url, expires_at=moment)


def _no_format() -> str:
    raise ConfigurationError("name a format, or give a path with an extension")


def _bounds(byte_range: ByteRange | None, size: int) -> tuple[int, int]:
    if byte_range is None:
        return 0, size
    first, last = byte_range
    stop = size if last is None else min(last + 1, size)
    if first < 0 or first >= stop:
        raise ExportError(f"the range {byte_range!r} is outside of {size} bytes", reason="range")
    return first, stop


def _result(made: Produced, control: Control) -> ExportResult:
    return ExportResult(made.size, made.sha256, made.records, made.pages, tuple(control.notes()))


def _told(
    write: Callable[[bytes], object],
    control: Control,
    on_progress: Callable[[int, int | None], None] | None,
) -> Callable[[bytes], object]:
    if on_progress is None:
        return write

    def tell(data: bytes) -> object:
        on_progress(control.records, control.total)
        return write(data)

    return tell


def _from_threads(call: Callable[..., Any]) -> Callable[[int, int], None]:
    """Return a function for threads that runs ``call`` on the loop that runs now, and waits."""
    loop = asyncio.get_running_loop()

    def tell(done: int, total: int) -> None:
        if loop.is_running():
            asyncio.run_coroutine_threadsafe(call(done, total), loop).result()

    return tell
