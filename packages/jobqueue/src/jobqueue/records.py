"""From a record to the job that users see."""

import dataclasses
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

import msgspec

from .errors import PayloadError
from .models import Job, JobStatus
from .payload import decode
from .ports import Record

UNREAD: Final = object()


# A frozen dataclass sets its fields one by one through object.__setattr__; their descriptors do it
# in a third of the time, and in a tenth of it one after the other, without a loop over them: this
# is felt at 30,000 jobs a second.
(
    _set_id, _set_name, _set_status, _set_data, _set_priority, _set_attempts, _set_max_attempts,
    _set_created_at, _set_started_at, _set_completed_at, _set_result, _set_error, _set_failed_at,
    _set_queue, _set_scheduled_at, _set_progress, _set_headers, _set_depends_on, _set_worker,
) = (getattr(Job, each.name).__set__ for each in dataclasses.fields(Job))  # fmt: skip
_FAILED = JobStatus.FAILED


def to_job(record: Record, data: Any = UNREAD) -> Job:
    """Return what users see; stored bytes that are not JSON are shown as text.

    Args:
        record: The stored job.
        data: Its data, where the caller has decoded it.
    """
    job, finished = Job.__new__(Job), _moment(record.finished_at)
    failed = record.status is _FAILED
    _set_id(job, record.id)
    _set_name(job, record.name)
    _set_status(job, record.status)
    _set_data(job, _shown(record.data) if data is UNREAD else data)
    _set_priority(job, record.priority)
    _set_attempts(job, record.attempts)
    _set_max_attempts(job, record.max_attempts)
    _set_created_at(job, _moment(record.created_at))
    _set_started_at(job, _moment(record.started_at))
    _set_completed_at(job, None if failed else finished)
    _set_result(job, None if record.result is None else _shown(record.result))
    _set_error(job, record.error)
    _set_failed_at(job, finished if failed else None)
    _set_queue(job, record.queue)
    _set_scheduled_at(job, _moment(record.run_at))
    _set_progress(job, record.progress)
    _set_headers(job, headers_of(record))
    _set_depends_on(job, record.depends_on)
    _set_worker(job, record.worker)
    return job


def _moment(seconds: float | None, zone: tzinfo = UTC) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, zone)


def _shown(data: bytes) -> Any:
    try:
        return decode(data, "payload", "")
    except PayloadError:
        return bytes(data).decode("utf-8", "backslashreplace")


def headers_of(record: Record) -> dict[str, str]:
    """Return the headers; none where what is stored cannot be read."""
    if record.headers == "{}":
        return {}
    try:
        return msgspec.json.decode(record.headers, type=dict[str, str])
    except (msgspec.DecodeError, TypeError):
        return {}


def same_job(record: Record, stored: Record) -> bool:
    """Whether both have the same name and data: an enqueue that was tried again."""
    return record.name == stored.name and bytes(record.data) == bytes(stored.data)
