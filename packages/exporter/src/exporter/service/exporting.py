"""Formats and loaders are registered, exports begin."""

import asyncio
import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar, Unpack

from .._common.telemetry import correlation_id
from ..documents import Document
from ..engine import Order, Produced
from ..errors import (
    ConfigurationError,
)
from ..formats import Format
from ..models import (
    ExportFormat,
    ExportJob,
    ExportKeywords,
    ExportOptions,
    ExportResult,
    ExportSource,
)
from ..recipes import Single
from ..records import (
    check_template,
    checked_metadata,
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
        metadata: Mapping[str, Any] | None = None,
        **kw: Unpack[ExportKeywords],
    ) -> ExportJob:
        """Start an export and return its job; :meth:`wait` for the finished one.

        Args:
            source: What: data, or the id of something that a loader knows.
            format: An :class:`ExportFormat` or the name of a registered format.
            options: How; or its fields as keywords.
            user_id: Whose it is; None for nobody's.
            idempotency_key: A second call of the user with it returns the first one's job.
            metadata: Facts of your own to keep with the job, by name: values of JSON, 64 KiB at
                most, nested 32 deep at most. They take no part in telling requests apart.
            kw: ``template``, ``include_metadata``, ``filename``, ``ttl``.

        Raises:
            UnknownFormat: There is no such format, or it is disabled.
            InvalidSource: The source or the file name cannot be used.
            ConfigurationError: ``metadata`` or another argument cannot be stored.
            TemplateError: There is no such template.
            ExportError: Too many wait (``busy``), or the key is another request's (``conflict``).
        """
        chosen, attached = options_of(options, kw), checked_metadata(metadata)
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
            attached=attached,
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
        order, loop = await self._order(format, options, now), asyncio.get_running_loop()
        return Single(source, order, self._loaders.get(source.type), loop, correlation_id())

    async def _order(self, format: Format, options: ExportOptions, now: float) -> Order:
        check_template(options, format)
        settings = self.settings.formats.of(format.name)
        template = None
        if options.template is not None:
            # the first one imports Jinja2, which takes a while
            template = await asyncio.to_thread(
                find_template, format.name, options.template, settings, self.settings.templates
            )
        return Order(
            format, settings, second(now), self.settings.jobs.max_size, template,
            options.include_metadata,
        )  # fmt: skip

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
        is_path = _is_path(path_or_file)
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


def _is_path(target: object) -> bool:
    """Whether ``target`` is a path; else it is a file open for bytes.

    Raises:
        ConfigurationError: It is neither.
    """
    if isinstance(target, str | os.PathLike):
        return True
    if isinstance(target, io.TextIOBase) or not callable(getattr(target, "write", None)):
        raise ConfigurationError(
            f"write to a path or to a file open for bytes ('wb'), not {quoted(target)}"
        )
    return False


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
