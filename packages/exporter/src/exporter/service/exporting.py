"""Formats and loaders are registered, exports begin."""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar, Unpack

from .._common.home import borrow
from .._common.telemetry import correlation_id
from ..documents import Document
from ..engine import Order, Produced
from ..errors import (
    ConfigurationError,
    UnsupportedOperationError,
)
from ..filenames import check_filename, with_extension
from ..formats import Format
from ..models import (
    ExportFormat,
    ExportJob,
    ExportKeywords,
    ExportOptions,
    ExportResult,
    ExportSource,
)
from ..recipes import Batch, Member, Single
from ..records import (
    check_template,
    checked_item,
    checked_source,
    checked_ttl,
    filename_of,
    fingerprint_of,
    options_of,
    second,
)
from ..sink import Control
from ..templates import find_template
from ..texts import quoted
from .starting import Starting

F = TypeVar("F", bound=Callable[..., Any])
D = TypeVar("D")
BatchItem = tuple[ExportSource | Document, str] | tuple[ExportSource | Document, str, ExportOptions]
_MAX_BATCH = 10_000


class Exporting(Starting):
    """The part of the service that makes jobs."""

    def register_format(self, format_def: D) -> D:
        """Add a format; also a class decorator.

        Args:
            format_def: A :class:`Renderer` class (streaming), an :class:`ExportFormatDefinition`,
                or a class with ``format``, ``content_type`` and ``export(data)``, which may be
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
        if not type:
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
        now, fingerprint = self.clock.time(), ""
        if idempotency_key is not None:
            fingerprint = await asyncio.to_thread(fingerprint_of, checked, found.name, chosen)
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
            template = await asyncio.to_thread(
                find_template, format.name, options.template, settings, self.settings.templates
            )
        order = Order(
            format, settings, second(now), self.settings.jobs.max_size, template,
            options.include_metadata,
        )  # fmt: skip
        loop = asyncio.get_running_loop()
        return Single(source, order, self._loaders.get(source.type), loop, correlation_id())

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
            raise UnsupportedOperationError(f"no archive {quoted(archive)}; there is 'zip'")
        now = self.clock.time()
        members, prints = [], list[str]()
        given: Any = items
        if not isinstance(given, Iterable) or isinstance(given, str | bytes | Mapping):
            raise ConfigurationError(f"items must be a list, not {type(given).__name__}")
        if on_progress is not None and not callable(on_progress):
            raise ConfigurationError("on_progress must be callable, or None")
        for item in items:
            source, format, options = checked_item(item)
            found = self._format(format)
            name = filename_of(source, options, found)
            members.append(Member(name, await self._single(source, found, options, now)))
            if idempotency_key is not None:
                prints.append(await asyncio.to_thread(fingerprint_of, source, found.name, options))
            if len(members) > _MAX_BATCH:
                raise ConfigurationError(f"a batch has at most {_MAX_BATCH} items")
        report = None if on_progress is None else borrow(on_progress)
        loop = asyncio.get_running_loop()
        recipe = Batch(members, second(now), self.settings.jobs.max_size, loop, report)
        record = self._record(
            format=archive,
            source_type="batch",
            source_id=f"{len(members)} items",
            user_id=user_id,
            idempotency_key=idempotency_key,
            fingerprint=hashlib.sha256(repr(prints).encode()).hexdigest(),
            filename=check_filename(with_extension(check_filename(filename), archive)),
            content_type="application/zip",
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
        name, limits = chosen.template, self.settings.templates
        template = None if name is None else find_template(found.name, name, settings, limits)
        order = Order(
            found, settings, second(self.clock.time()), self.settings.jobs.max_size,
            template, chosen.include_metadata,
        )  # fmt: skip
        recipe = Single(checked, order, self._loaders.get(checked.type), None, correlation_id())
        control = Control(timeout=self.settings.jobs.timeout)
        if is_path:
            from ..whole_file import WholeFile

            with WholeFile(Path(path_or_file)) as target:  # type: ignore[arg-type]  # it is a path
                made = recipe.make(_told(target.write, control, on_progress), control)
                target.commit()
        else:
            assert not isinstance(path_or_file, str | os.PathLike)
            made = recipe.make(_told(path_or_file.write, control, on_progress), control)
        return _result(made, control)


def _no_format() -> str:
    raise ConfigurationError("name a format, or give a path with an extension")


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
