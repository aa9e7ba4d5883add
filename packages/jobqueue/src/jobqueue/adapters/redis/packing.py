"""Records and answers as bytes: what travels to and from the scripts."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ...errors import BackendError
from ...models import JobStatus
from ...ports import FORMAT, Record

_STATUS = {str(each).encode(): each for each in JobStatus}
_POLICIES = {"fail", "skip", "run"}
_encode = msgspec.msgpack.Encoder().encode
_record = msgspec.msgpack.Decoder(Record).decode
_answer = msgspec.msgpack.Decoder().decode


def packed(array: Sequence[Any]) -> bytes:
    """Return an array for a script to unpack. No bytes in it: its library knows none."""
    return _encode(array)


def job_row(record: Record, body: bytes) -> tuple[Any, ...]:
    """Return what the script ``enqueue`` must know of a job whose body follows."""
    return (
        record.id,
        record.name,
        record.queue,
        record.version,
        record.priority,
        record.aging,
        record.delay,
        record.run_at,
        record.max_attempts,
        record.result_ttl,
        record.unique_key,
        record.depends_on,
        record.on_parent_failure,
        record.limit_key,
        len(body),
    )


def body_of(record: Record) -> bytes:
    """Return a record as it is stored: what the scripts change stands beside it."""
    return _encode(record)


def answer_of(reply: bytes) -> tuple[list[Any], memoryview]:
    """Return the array of an answer, and the bytes behind it."""
    view = memoryview(reply)
    end = 4 + int.from_bytes(view[:4])
    return _answer(view[4:end]), view[end:]


class Unreadable(msgspec.Struct):
    """A job that somebody else has written to.

    Attributes:
        id: Its id, as bytes: it may be no text.
        why: What is wrong.
    """

    id: bytes
    why: str


def records_of(
    rows: Sequence[Sequence[Any]], blob: memoryview
) -> Iterator[tuple[int, Record | Unreadable]]:
    """Yield the jobs of an answer with their numbers."""
    at = 0
    for row in rows:
        parts: list[memoryview | None] = []
        for length in row[10:]:
            if length < 0:
                parts.append(None)
            else:
                parts.append(blob[at : at + length])
                at += length
        try:
            yield int(row[8]), _read(row, parts)
        except (msgspec.MsgspecError, BackendError, UnicodeDecodeError, KeyError) as exc:
            yield int(row[8]), Unreadable(bytes(parts[0] or b""), f"{type(exc).__name__}: {exc}")


def _read(row: Sequence[Any], parts: Sequence[memoryview | None]) -> Record:
    job_id, body, status, worker, result, error = parts
    version, attempts, fence, created, run_at, started, ended, progress, _, deadline = row[:10]
    if version > FORMAT:
        raise BackendError(f"job {_text(job_id)!r} has format {version:g}, of a later release")
    if body is None or status is None:
        raise BackendError(f"job {_text(job_id)!r} has lost its body")
    record = _record(body)
    if record.on_parent_failure not in _POLICIES:
        raise BackendError(f"on_parent_failure is {record.on_parent_failure!r}")
    record.id = str(job_id, "utf-8") if job_id is not None else ""
    record.status = _STATUS[bytes(status)]
    record.attempts, record.fence = int(max(attempts, 0)), int(max(fence, 0))
    record.created_at = created
    record.run_at = _moment(run_at)
    record.started_at, record.finished_at = _moment(started), _moment(ended)
    record.lease_until = _moment(deadline)
    record.progress = max(progress, 0.0)
    record.worker = None if worker is None or deadline < 0 else str(worker, "utf-8")
    record.result = None if result is None else bytes(result)
    record.error = None if error is None else _text(error)
    return record


def _moment(number: float) -> float | None:
    # of times: none, or one that a datetime cannot say
    return float(number) if 0 <= number < 2.5e11 else None


def _text(data: memoryview | None) -> str:
    return "" if data is None else str(data, "utf-8", "replace")
