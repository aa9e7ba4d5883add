"""What the scripts answer, back into records. Nothing in it is trusted."""

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ...errors import BackendError
from ...models import JobStatus
from ...ports import FORMAT, Record, WorkerCall

_PROCESSING = JobStatus.PROCESSING
_POLICIES = {"fail", "skip", "run"}
_record = msgspec.msgpack.Decoder(Record).decode
_answer = msgspec.msgpack.Decoder().decode
_HEAD = struct.Struct(">dddHddHH")
_unpack = _HEAD.unpack_from
_FAULTS = (msgspec.MsgspecError, BackendError, ValueError, struct.error)


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


Read = tuple[float, Record | Unreadable]
"""A job's number, and the job."""


def claims_of(
    rows: Sequence[Sequence[Any]], blob: memoryview, call: WorkerCall, now: float
) -> Iterator[Read]:
    """Yield the jobs that a step has claimed at ``now``."""
    at = 0
    for attempts, fence, run_at, progress, *lengths in rows:
        job_id, body, error = _cut(blob, at, lengths)
        at += lengths[0] + lengths[1] + max(0, lengths[2])
        try:
            number, record = _entry(body)
            record.id = bytes(job_id or b"").decode()
        except _FAULTS as exc:
            yield 0.0, Unreadable(bytes(job_id or b""), f"{type(exc).__name__}: {exc}")
            continue
        record.status, record.attempts, record.fence = _PROCESSING, int(attempts), int(fence)
        record.run_at = _moment(run_at)
        record.started_at, record.lease_until, record.worker = now, now + call.lease, call.worker
        if error is not None:
            record.error = _text(error)
        if progress > 0:
            record.progress = progress
        yield number, record


def records_of(rows: Sequence[Sequence[Any]], blob: memoryview) -> Iterator[Read]:
    """Yield the jobs of a listing or look-up."""
    at = 0
    for row in rows:
        lengths = row[7:]
        parts = _cut(blob, at, lengths)
        at += sum(length for length in lengths if length > 0)
        try:
            yield _whole(row, parts)
        except _FAULTS as exc:
            yield 0.0, Unreadable(bytes(parts[0] or b""), f"{type(exc).__name__}: {exc}")


def _cut(blob: memoryview, at: int, lengths: Sequence[int]) -> list[memoryview | None]:
    parts: list[memoryview | None] = []
    for length in lengths:
        if length < 0:
            parts.append(None)
        else:
            parts.append(blob[at : at + length])
            at += length
    return parts


def _entry(body: memoryview | None) -> tuple[float, Record]:
    """Return a job as it was enqueued, and its number."""
    if body is None:
        raise BackendError("its body is gone")
    created, number, _, version, _, _, queue, name = _unpack(body)
    if version > FORMAT:
        raise BackendError(f"it has format {version}, of a later release")
    record = _record(body[_HEAD.size + queue + name :])
    if record.on_parent_failure not in _POLICIES:
        raise BackendError(f"on_parent_failure is {ascii(record.on_parent_failure)[:60]}")
    record.created_at = created
    return number, record


def _whole(row: Sequence[Any], parts: Sequence[memoryview | None]) -> Read:
    job_id, body, status, worker, result, error = parts
    attempts, fence, run_at, started, ended, progress, deadline = row[:7]
    number, record = _entry(body)
    record.id = bytes(job_id or b"").decode()
    record.status = JobStatus.PENDING if status is None else JobStatus(str(status, "utf-8"))
    record.attempts, record.fence = int(max(attempts, 0)), int(max(fence, 0))
    record.run_at = _moment(run_at)
    record.started_at, record.finished_at = _moment(started), _moment(ended)
    record.lease_until = _moment(deadline)
    record.progress = min(100.0, max(progress, 0.0))
    record.worker = None if worker is None or deadline < 0 else _text(worker)
    record.result = None if result is None else bytes(result)
    record.error = None if error is None else _text(error)
    return number, record


def _moment(number: float) -> float | None:
    # of times: none, or one that a datetime cannot say
    return float(number) if 0 <= number < 2.5e11 else None


def _text(data: memoryview | None) -> str:
    return "" if data is None else str(data, "utf-8", "replace")


def readable(found: Record | Unreadable) -> Record:
    """Return the record.

    Raises:
        BackendError: It cannot be read.
    """
    if isinstance(found, Record):
        return found
    raise BackendError(f"job {ascii(found.id)[1:]} cannot be read: {found.why}")


def is_text(data: bytes) -> bool:
    """Whether bytes are UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
