"""What users ask for, checked before anything is stored."""

import hashlib
import inspect
import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from ..documents import Document
from ..errors import (
    ConfigurationError,
    ExportError,
    InvalidSource,
    TemplateError,
    UnsupportedOperationError,
)
from ..filenames import check_filename, made_filename, with_extension
from ..formats import Format
from ..models import (
    ExportFilters,
    ExportFormat,
    ExportOptions,
    ExportSource,
    ExportStatus,
)
from ..ports import JobRecord
from ..sources import checked_document
from ..templates import takes_templates
from ..texts import quoted

_NAMES = tuple(inspect.signature(ExportOptions).parameters)
_MAX_TTL = 1e9
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def options_of(options: ExportOptions | None, keywords: Mapping[str, Any]) -> ExportOptions:
    """Return options given as an object or as keywords.

    Raises:
        TypeError: Both are given, or a keyword is unknown.
        ExportError: As for :func:`checked_options`.
    """
    if unknown := sorted(keywords.keys() - set(_NAMES)):
        raise TypeError(f"export() got an unexpected keyword argument {unknown[0]!r}")
    if options is not None and keywords:
        raise TypeError(f"give options or keywords, not both: {sorted(keywords)}")
    return checked_options(ExportOptions(**keywords) if options is None else options)


def checked_options(options: ExportOptions) -> ExportOptions:
    """Return ``options``; names and seconds are checked where they are used.

    Raises:
        TemplateError: The template's name is no text.
        ConfigurationError: They are something else, or ``include_metadata`` is no bool.
    """
    given: Any = options
    if not isinstance(given, ExportOptions):
        raise ConfigurationError(f"options must be ExportOptions, not {quoted(given)}")
    if not isinstance(given.template, str | None):
        raise TemplateError(f"template must be a name or None, not {quoted(given.template)}")
    if not isinstance(given.include_metadata, bool):
        raise ConfigurationError(
            f"include_metadata must be True or False, not {quoted(given.include_metadata)}"
        )
    return options


def checked_item(item: Any) -> tuple[ExportSource, ExportFormat | str, ExportOptions]:
    """Return source, format and options of an item of a batch.

    Raises:
        ConfigurationError: It is no tuple of two or three.
    """
    if not isinstance(item, tuple | list) or len(item) not in {2, 3}:
        raise ConfigurationError(
            "an item of a batch is (source, format) or (source, format, ExportOptions), not "
            f"{type(item).__name__}"
        )
    options = checked_options(item[2]) if len(item) == 3 else ExportOptions()
    return checked_source(item[0]), item[1], options


def checked_name(name: str, value: str | None) -> str | None:
    """Return the id of a user or an idempotency key.

    Raises:
        ConfigurationError: It is empty, too long, or no store could keep it.
    """
    given: object = value
    if given is None or (isinstance(given, str) and 0 < len(given) <= 500 and storable(given)):
        return value
    raise ConfigurationError(
        f"{name} must be text of 1 to 500 characters without NUL and surrogates, or None; "
        f"not {quoted(given)}"
    )


def checked_filters(filters: ExportFilters) -> ExportFilters:
    """Return ``filters``.

    Raises:
        ConfigurationError: They are something else, a field has the wrong type, or the status is
            unknown.
    """
    given: Any = filters
    if not isinstance(given, ExportFilters):
        raise ConfigurationError(f"filters must be ExportFilters, not {quoted(given)}")
    for name in ("user_id", "status", "format", "source_type"):
        value = getattr(given, name)
        if value is not None and (not isinstance(value, str) or not storable(value)):
            raise ConfigurationError(f"{name} must be text or None, not {quoted(value)}")
    for name in ("created_after", "created_before"):
        value = getattr(given, name)
        if not isinstance(value, datetime | None):
            raise ConfigurationError(f"{name} must be a datetime or None, not {quoted(value)}")
    if given.status is not None and given.status not in set(ExportStatus):
        raise ConfigurationError(
            f"no status {quoted(given.status)}; known: {', '.join(ExportStatus)}"
        )
    return filters


def checked_seconds(timeout: float | timedelta | None) -> float | None:
    """Return how long to wait; None is without limit.

    Raises:
        ConfigurationError: It is no number.
    """
    given: object = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if given is None or given == math.inf:
        return None
    # a number is equal to itself, NaN is not
    if isinstance(given, int | float) and not isinstance(given, bool) and given == given:  # noqa: PLR0124
        return max(-1.0, min(given, _MAX_TTL))
    raise ConfigurationError(f"timeout must be seconds, a timedelta or None, not {quoted(given)}")


def checked_source(source: ExportSource | Document) -> ExportSource:
    """Return ``source``; a bare document becomes one.

    Raises:
        InvalidSource: It is neither, or its type or id cannot be stored.
    """
    if isinstance(source, Document):
        checked_document(source)
        return ExportSource(source.kind, source.title[:100] or source.kind, source)
    if not isinstance(source, ExportSource):
        raise InvalidSource(f"export a Document or ExportSource, not {quoted(source)}")
    for name in ("type", "id"):
        value = getattr(source, name)
        if not isinstance(value, str) or not 0 < len(value) <= 500 or not storable(value):
            raise InvalidSource(
                f"source.{name} must be 1 to 500 characters without NUL and surrogates, not "
                f"{quoted(value)}"
            )
    return source


def storable(text: str) -> bool:
    """Whether every history can keep ``text``."""
    return _UNSTORABLE.search(text) is None


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
            f"ttl must be over 0 and at most {_MAX_TTL:g} seconds, not {quoted(ttl)}"
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
        format.export is not None or not takes_templates(format.name)
    ):
        raise UnsupportedOperationError(f"format {format.name!r} takes no templates")


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
