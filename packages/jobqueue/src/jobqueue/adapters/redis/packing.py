"""Jobs and outcomes as the scripts take them."""

import struct
from collections.abc import Sequence
from typing import Any

import msgspec

from ...ports import FORMAT, Outcome, Record

_KINDS = {"completed": 1, "failed": 2, "retry": 3, "released": 4}
_encode = msgspec.msgpack.Encoder().encode
_pack = struct.Struct(">HddHH").pack


def packed(array: Sequence[Any]) -> bytes:
    """Return an array for a script to unpack. No bytes in it: its library knows none."""
    return _encode(array)


def entry_of(record: Record) -> bytes:
    """Return a job as it is stored, but for the three doubles that the script puts before it."""
    queue, name = record.queue.encode(), record.name.encode()
    ttl = -1.0 if record.result_ttl is None else record.result_ttl
    head = _pack(record.version, record.max_attempts, ttl, len(queue), len(name))
    return b"".join((head, queue, name, _encode(record)))


def is_plain(record: Record) -> bool:
    """Whether a job is due at once and touches no other one."""
    return (
        record.delay == 0
        and record.run_at is None
        and record.unique_key is None
        and not record.depends_on
        and record.limit_key is None
        and record.version == FORMAT
    )


def job_row(record: Record, entry: bytes) -> tuple[Any, ...]:
    """Return what the script ``enqueue`` must know of a job whose entry follows."""
    return (
        record.id,
        record.queue,
        record.version,
        record.priority,
        record.aging,
        record.delay,
        record.run_at,
        record.result_ttl,
        record.unique_key,
        record.depends_on,
        record.on_parent_failure,
        record.limit_key,
        len(entry),
    )


def outcome_row(outcome: Outcome, blob: list[bytes]) -> tuple[Any, ...]:
    """Return what the script ``step`` must know of an outcome; its byte strings go to ``blob``."""
    error = None if outcome.error is None else outcome.error.encode("utf-8", "replace")
    lengths = []
    for part in (outcome.result, error):
        lengths.append(-1 if part is None else len(part))
        if part:
            blob.append(part)
    lease, kind = outcome.lease, _KINDS[outcome.kind]
    return (lease.id, lease.fence, kind, float(outcome.delay), float(lease.progress), *lengths)
