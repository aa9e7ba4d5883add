"""Between what users hand in, what histories store and what users see."""

import hashlib
import inspect
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from ._common.clock import utc
from .documents import Document
from .errors import ConfigurationError, ExportError, InvalidSource, UnsupportedOperationError
from .filenames import check_filename, made_filename, with_extension
from .formats import Format
from .models import ExportFormat, ExportJob, ExportOptions, ExportSource
from .ports import JobRecord
from .templates import TEXT_FORMATS

_NAMES = tuple(inspect.signature(ExportOptions).parameters)
_MAX_TTL = 1e9


def options_of(options: ExportOptions | None, keywords: Mapping[str, Any]) -> ExportOptions:
    """Return options given as an object or as keywords.

    Raises:
        TypeError: Both are given, or a keyword is unknown.
    """
    if unknown := sorted(keywords.keys() - set(_NAMES)):
        raise TypeError(f"export() got an unexpected keyword argument {unknown[0]!r}")
    if options is not None and keywords:
        raise TypeError(f"give options or keywords, not both: {sorted(keywords)}")
    return options or ExportOptions(**keywords)


def checked_source(source: ExportSource | Document) -> ExportSource:
    """Return ``source``; a bare document becomes one.

    Raises:
        InvalidSource: It is neither, or its type or id cannot be stored.
    """
    if isinstance(source, Document):
        return ExportSource(source.kind, source.title[:100] or source.kind, source)
    if not isinstance(source, ExportSource):
        raise InvalidSource(f"export a Document or ExportSource, not {type(source).__name__}")
    for name in ("type", "id"):
        value = getattr(source, name)
        if not isinstance(value, str) or not value or len(value) > 500 or not _storable(value):
            raise InvalidSource(
                f"source.{name} must be 1 to 500 characters, not {str(value)[:80]!r}"
            )
    return source


def _storable(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def checked_ttl(ttl: float | None, default: float) -> float:
    """Return the seconds that a link lives.

    Raises:
        ConfigurationError: They are not over 0 and at most 1e9.
    """
    if ttl is None:
        return default
    given: object = ttl
    number = isinstance(given, int | float) and not isinstance(given, bool)
    if not number or not 0 < ttl <= _MAX_TTL:
        raise ConfigurationError(
            f"ttl must be over 0 and at most {_MAX_TTL:g} seconds, not {ttl!r}"
        )
    return float(ttl)


def filename_of(source: ExportSource, options: ExportOptions, format: Format) -> str:
    """Return what the download is called.

    Raises:
        InvalidSource: The name that was asked for cannot be one.
    """
    if options.filename is None:
        return with_extension(made_filename(source.type, source.id), format.extension)
    check_filename(options.filename)
    return check_filename(with_extension(options.filename, format.extension))


def check_template(options: ExportOptions, format: Format) -> None:
    """Refuse a template that the format could not use.

    Raises:
        UnsupportedOperationError: The format takes none.
    """
    if options.template is not None and (
        format.export is not None or format.name not in TEXT_FORMATS
    ):
        raise UnsupportedOperationError(
            f"format {format.name!r} takes no templates; these do: "
            f"{', '.join(sorted(TEXT_FORMATS))}"
        )


def fingerprint_of(source: ExportSource, format: str, options: ExportOptions) -> str:
    """Return what tells one request from another under the same idempotency key.

    Data given as a mapping or list counts; streams cannot be looked at. May take a while.
    """
    values = [getattr(options, name) for name in _NAMES]
    text = repr([source.type, source.id, format, *values]).encode("utf-8", "backslashreplace")
    if isinstance(source.data, Mapping | list | tuple):
        try:
            text += msgspec.json.encode(source.data, enc_hook=lambda value: type(value).__name__)
        except (TypeError, ValueError, OverflowError, RecursionError):
            text += b"?"  # it will fail, or be told apart by its other fields
    return hashlib.sha256(text).hexdigest()


def check_same(record: JobRecord, fingerprint: str) -> None:
    """Refuse an idempotency key that stands for another request.

    Raises:
        ExportError: It does (``conflict``).
    """
    if record.fingerprint != fingerprint:
        raise ExportError(
            f"the idempotency key belongs to export {record.id!r} of something else",
            reason="conflict",
        )


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
        metadata=record.metadata,
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else utc(seconds)


def second(seconds: float) -> datetime:
    """Return a timestamp as an aware UTC datetime of whole seconds, for the inside of files."""
    return datetime.fromtimestamp(int(seconds), UTC)
