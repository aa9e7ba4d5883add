"""Between records and the fields of hashes."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ...errors import BackendError
from ...models import DeliveryStatus
from ...stored import (
    FORMAT,
    DeliveryRecord,
    Entry,
    EventRecord,
    NotificationRecord,
    Verdict,
)

_NUMBERS = {"seq": int, "version": int, "attempts": int, "fence": int}
_TIMES = {"created_at", "read_at", "archived_at", "due_at", "updated_at"}
_BYTES = {"body", "attachments"}
_NOTE = NotificationRecord.__struct_fields__
LIGHT = tuple(name for name in _NOTE if name != "attachments")


def _fields(record: Any, *, but: str = "") -> list[Any]:
    made: list[Any] = []
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if value is not None and name != but:
            made += [name, str(value) if isinstance(value, DeliveryStatus) else value]
    return made


def _read(fields: Mapping[bytes, bytes]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for raw, value in fields.items():
        name = raw.decode()
        if name in _NUMBERS:
            made[name] = int(value)
        elif name in _TIMES:
            made[name] = float(value)
        else:
            made[name] = value if name in _BYTES else value.decode()
    return made


def pairs(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return the fields of a hash that a script has given."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def note_of(fields: Mapping[bytes, bytes], *, whole: bool = True) -> NotificationRecord:
    """Return the notification of a hash.

    Raises:
        BackendError: A later release wrote it, in a format that this one cannot read.
    """
    found: dict[str, Any] = {"category": None, **_read(fields)}
    if not whole:
        found.pop("attachments", None)
    if found.get("version", FORMAT) > FORMAT + 1:
        raise BackendError(
            f"notification {found['id']!r} has format {found['version']}; "
            f"this release reads up to {FORMAT + 1}"
        )
    return NotificationRecord(**{name: found[name] for name in _NOTE if name in found})


def delivery_of(fields: Mapping[bytes, bytes]) -> DeliveryRecord:
    """Return the delivery of a hash."""
    found = _read(fields)
    record = DeliveryRecord(
        **{name: found[name] for name in DeliveryRecord.__struct_fields__ if name in found}
    )
    record.status = DeliveryStatus(record.status)
    return record


def event_of(user_id: str, text: bytes, note: Sequence[bytes]) -> EventRecord:
    """Return the event of a script's row."""
    seq, kind, unread, at, note_id, category, before = msgspec.json.decode(text)
    return EventRecord(
        user_id=user_id,
        seq=seq,
        kind=kind,
        unread=unread,
        at=float(at),
        notification_id=note_id,
        category=category,
        before=None if before is None else float(before),
        notification=note_of(pairs(note), whole=False) if note else None,
    )


def entry_row(entry: Entry) -> list[Any]:
    """Return what ``add.lua`` stores."""
    record = entry.record
    return [
        record.id,
        record.user_id,
        record.idempotency_key,
        entry.visible,
        record.created_at,
        _fields(record, but="seq"),
        [
            [
                each.id, each.channel, each.bundle, str(each.status), each.due_at, each.created_at,
                _fields(each),
            ]
            for each in entry.deliveries
        ],
    ]  # fmt: skip


def verdict_row(verdict: Verdict) -> list[Any]:
    """Return what ``settle`` in the scripts takes."""
    v = verdict
    return [
        v.id, str(v.fence), str(v.status), v.reason, v.due_at, v.attempts, v.provider,
        v.provider_id, v.history,
    ]  # fmt: skip
