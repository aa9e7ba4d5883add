"""From a call to a record, and from a record to the job that users see."""

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any

import msgspec

from . import backoff
from ._common.clock import NewId, utc
from ._common.telemetry import correlation_id, inject
from .errors import ConfigurationError, PayloadError
from .handlers import Handler
from .models import Job, JobOptions, JobStatus, Retry
from .payload import decode, encode
from .ports import Record
from .settings import Settings, zone

_MAX_NAME = 200


def check_name(value: Any, what: str) -> str:
    """Return a name or id: 1 to 200 printable characters.

    Raises:
        ConfigurationError: It is not.
    """
    if isinstance(value, str) and 0 < len(value) <= _MAX_NAME and value.isprintable():
        return value
    shown = repr(value)[:60]
    raise ConfigurationError(f"{what} must be 1 to {_MAX_NAME} printable characters, not {shown}")


def check_number(value: Any, what: str, low: float, high: float) -> float:
    """Return a finite number between ``low`` and ``high``.

    Raises:
        ConfigurationError: It is not.
    """
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if good and math.isfinite(value) and low <= value <= high:
        return float(value)
    raise ConfigurationError(f"{what} must be a number from {low:g} to {high:g}, not {value!r}")


def make_record(
    name: str,
    data: Any,
    options: JobOptions,
    *,
    settings: Settings,
    handler: Handler | None,
    new_id: NewId,
    run_at: float | None = None,
) -> Record:
    """Return the record to store: the call's options before the handler's before the settings'.

    Raises:
        ConfigurationError: An option is out of range.
        PayloadError: ``data`` cannot be stored.
    """
    check_name(name, "a job's name")
    payload = encode(data, settings.max_payload, f"data of job {name!r}")
    queue = check_name(_first(options.queue, handler and handler.queue, "default"), "queue")
    own = int(check_number(_first(options.priority, 0), "priority", -1000, 1000))
    extra = settings.queues[queue].priority if queue in settings.queues else 0
    attempts = _first(
        options.max_attempts, handler and handler.max_attempts, settings.defaults.max_attempts
    )
    timeout = _first(options.timeout, handler and handler.timeout, settings.defaults.timeout)
    ttl = _first(options.result_ttl, handler and handler.result_ttl, settings.defaults.result_ttl)
    key = options.unique_key
    if key is None and handler is not None and handler.unique:
        key = f"{name}:{hashlib.sha256(payload).hexdigest()}"
    return Record(
        id=new_id() if options.id is None else check_name(options.id, "a job's id"),
        name=name,
        queue=queue,
        data=payload,
        priority=max(-1000, min(1000, own + extra)),
        max_attempts=int(check_number(attempts, "max_attempts", 1, 10_000)),
        delay=0.0 if options.delay is None else check_number(options.delay, "delay", 0, 1e10),
        run_at=run_at,
        timeout=None if timeout is None else check_number(timeout, "timeout", 1e-3, 1e9),
        backoff=_backoff(options, handler),
        unique_key=None if key is None else check_name(key, "unique_key"),
        result_ttl=None if ttl is None else check_number(ttl, "result_ttl", 0, 1e10),
        headers=_headers(options.headers),
    )


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _backoff(options: JobOptions, handler: Handler | None) -> str | None:
    if options.backoff is not None:
        return backoff.dump(options.backoff)
    rule = None if handler is None else handler.backoff
    return backoff.dump(rule) if isinstance(rule, Retry | str) else None


def _headers(given: Mapping[str, str] | None) -> str:
    headers = inject()
    if (value := correlation_id()) is not None:
        headers["correlation_id"] = value
    headers |= given or {}
    if not all(isinstance(item, str) for pair in headers.items() for item in pair):
        raise PayloadError("headers must be a mapping of str to str")
    text = json.dumps(headers)
    if len(text) > 8192:
        raise PayloadError("headers are over 8 KiB")
    return text


def due_time(moment: datetime, settings: Settings) -> float:
    """Return a datetime in seconds since the epoch; naive ones are in the configured zone.

    Raises:
        ConfigurationError: It is not a datetime.
    """
    if not isinstance(moment, datetime):
        raise ConfigurationError(f"scheduled_at must be a datetime, not {moment!r}")
    place: tzinfo = moment.tzinfo or zone(settings.scheduler.timezone)
    return moment.replace(tzinfo=place).timestamp()


def to_job(record: Record) -> Job:
    """Return what users see; stored bytes that are not JSON are shown as text."""
    finished = None if record.finished_at is None else utc(record.finished_at)
    failed = record.status is JobStatus.FAILED
    return Job(
        id=record.id,
        name=record.name,
        status=record.status,
        data=_shown(record.data),
        priority=record.priority,
        attempts=record.attempts,
        max_attempts=record.max_attempts,
        created_at=utc(record.created_at),
        started_at=None if record.started_at is None else utc(record.started_at),
        completed_at=None if failed else finished,
        result=None if record.result is None else _shown(record.result),
        error=record.error,
        failed_at=finished if failed else None,
        queue=record.queue,
        scheduled_at=None if record.run_at is None else utc(record.run_at),
        progress=record.progress,
        headers=headers_of(record),
    )


def _shown(data: bytes) -> Any:
    try:
        return decode(data, "payload")
    except PayloadError:
        return bytes(data).decode("utf-8", "backslashreplace")


def headers_of(record: Record) -> dict[str, str]:
    """Return the headers; none where what is stored cannot be read."""
    try:
        return msgspec.json.decode(record.headers, type=dict[str, str])
    except (msgspec.DecodeError, TypeError):
        return {}


def same_job(record: Record, stored: Record) -> bool:
    """Whether both have the same name and data: an enqueue that was tried again."""
    return record.name == stored.name and bytes(record.data) == bytes(stored.data)
