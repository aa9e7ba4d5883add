"""From notifications to records and back."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from ._common.clock import utc
from .errors import BackendError, InvalidNotification
from .models import (
    Attachment,
    Attempt,
    Delivery,
    InboxEvent,
    Notification,
    NotificationChannel,
    NotificationType,
    Priority,
)
from .stored import (
    DeliveryRecord,
    EventRecord,
    NotificationRecord,
)
from .validation import MAX_JSON, has_no_number

_KEPT = 20
MARK = "to "
"""Begins the detail of a step that says which of several addresses took the message."""
_Steps = list[tuple[float, str, str | None, str | None]]
_STEPS = msgspec.json.Decoder(_Steps)
_TYPES = {str(each): each for each in NotificationType}
_CHANNELS = {str(each): each for each in NotificationChannel}
_NO_FILES = hashlib.sha256(b"").hexdigest()


class Body(msgspec.Struct, gc=False):
    """What stores keep as one JSON object; in alphabetical order, as fingerprints have it."""

    action_label: str | None
    action_url: str | None
    channels: list[str] | None
    context: dict[str, Any]
    expires_at: float | None
    locale: str | None
    message: str
    metadata: dict[str, Any]
    priority: Priority
    send_at: float | None
    template: str | None
    title: str


_BODY = msgspec.json.Decoder(Body)
_WRITE = msgspec.json.Encoder().encode
_WRITE_SORTED = msgspec.json.Encoder(order="deterministic").encode


def to_record(notification: Notification, correlation: str | None = None) -> NotificationRecord:
    """Return the record of a checked notification, part of the request that ``correlation`` names.

    Raises:
        InvalidNotification: ``metadata`` or ``context`` are not JSON, or are too long.
    """
    n = notification
    body = Body(
        action_label=n.action_label,
        action_url=n.action_url,
        channels=None if n.channels is None else [str(each) for each in n.channels],
        context=_plain(n.context, "context"),
        expires_at=_seconds(n.expires_at),
        locale=n.locale,
        message=n.message,
        metadata=_plain(n.metadata, "metadata"),
        priority=n.priority,
        send_at=_seconds(n.send_at),
        template=n.template,
        title=n.title,
    )
    files = [[each.filename, each.content_type, each.content] for each in n.attachments]
    packed = msgspec.json.encode(files) if files else None
    print_of_files = _NO_FILES if packed is None else hashlib.sha256(packed).hexdigest()
    # before the correlation id: a retried request has another one
    written = None if body.metadata or body.context else _WRITE(body)
    # what holds no mapping is written the same way twice
    content = body if written is None else msgspec.Raw(written)
    same = [str(n.type), n.category, n.user_id, content, print_of_files]
    fingerprint = hashlib.sha256(_WRITE_SORTED(same)).hexdigest()
    if correlation is not None:
        body.metadata, written = {"correlation_id": correlation, **body.metadata}, None
    made_at = n.timestamp.timestamp()
    return NotificationRecord(
        id=n.id,
        user_id=n.user_id,
        type=str(n.type),
        category=n.category,
        created_at=made_at,
        read_at=made_at if n.read else None,
        body=_WRITE(body) if written is None else written,
        fingerprint=fingerprint,
        idempotency_key=n.idempotency_key,
        attachments=packed,
    )


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _plain(value: Any, name: str) -> Any:
    """Return ``value`` as JSON would give it back: no object reaches a template or a store."""
    if value is None or (type(value) is dict and not value):
        return {}
    try:
        data = msgspec.json.encode(value)
        made = msgspec.json.decode(data)
    except (TypeError, ValueError, RecursionError, UnicodeError):
        raise InvalidNotification(f"{name} must be what JSON can hold") from None
    if not isinstance(made, dict):
        raise InvalidNotification(f"{name} must be a mapping")
    # the encoder writes null for it
    if b"null" in data and has_no_number(msgspec.to_builtins(value)):
        raise InvalidNotification(f"{name} holds a NaN or an infinity: leave it out, or give None")
    if len(data) > MAX_JSON:
        raise InvalidNotification(f"{name} is over {MAX_JSON} bytes as JSON")
    return made


def body_of(record: NotificationRecord) -> Body:
    """Return the content of a stored notification.

    Raises:
        BackendError: What is stored is not what this package stores.
    """
    try:
        return _BODY.decode(record.body)
    except (msgspec.MsgspecError, TypeError, ValueError):
        raise BackendError(f"notification {record.id[:60]!r} cannot be read") from None


def to_notification(record: NotificationRecord) -> Notification:
    """Return what users see.

    Raises:
        BackendError: What is stored is not what this package stores.
    """
    body = body_of(record)
    try:
        return _notification(record, body)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError):
        raise BackendError(f"notification {record.id[:60]!r} cannot be read") from None


def _notification(record: NotificationRecord, body: Body) -> Notification:
    channels = body.channels
    return Notification(
        id=record.id,
        type=_type(record.type),
        title=body.title,
        message=body.message,
        user_id=record.user_id,
        category=record.category,
        action_url=body.action_url,
        action_label=body.action_label,
        metadata=body.metadata,
        channels=None if channels is None else tuple(_channel(each) for each in channels),
        timestamp=utc(record.created_at),
        read=record.read_at is not None,
        priority=body.priority,
        idempotency_key=record.idempotency_key,
        template=body.template,
        context=body.context,
        expires_at=None if body.expires_at is None else utc(body.expires_at),
        send_at=None if body.send_at is None else utc(body.send_at),
        locale=body.locale,
        attachments=_files(record.attachments),
        seq=record.seq,
        archived=record.archived_at is not None,
    )


def _type(name: str) -> NotificationType | str:
    return _TYPES.get(name, name)


def _channel(name: str) -> NotificationChannel | str:
    return _CHANNELS.get(name, name)


def _files(data: bytes | None) -> tuple[Attachment, ...]:
    if data is None:
        return ()
    rows = msgspec.json.decode(data, type=list[tuple[str, str, bytes]])
    return tuple(Attachment(name, content, kind) for name, kind, content in rows)


def to_delivery(record: DeliveryRecord) -> Delivery:
    """Return what users see."""
    created = utc(record.created_at)
    # most have ended as they began: it is one moment
    updated = created if record.updated_at == record.created_at else utc(record.updated_at)
    return Delivery(
        id=record.id,
        notification_id=record.notification_id,
        user_id=record.user_id,
        channel=record.channel,
        status=record.status,
        reason=record.reason,
        attempts=record.attempts,
        due_at=None if record.status.is_final else utc(record.due_at),
        provider=record.provider,
        provider_id=record.provider_id,
        created_at=created,
        updated_at=updated,
        history=tuple(
            Attempt(updated if at == record.updated_at else utc(at), outcome, provider, detail)
            for at, outcome, provider, detail in _history(record.history)
        ),
    )


def _history(text: str) -> _Steps:
    if text == "[]":
        return []
    try:
        return _STEPS.decode(text)
    except msgspec.MsgspecError:
        return []  # what cannot be read must not keep a message from going out


def with_attempt(history: str, steps: Sequence[tuple[float, str, str | None, str | None]]) -> str:
    """Return ``history`` with further steps: (time, outcome, provider, detail)."""
    rows = [*_history(history), *steps]
    surplus, kept = len(rows) - _KEPT, _Steps()
    for row in rows:
        # which address has it must not be forgotten: it would get it again
        if surplus > 0 and not _is_mark(row):
            surplus -= 1
        else:
            kept.append(row)
    return msgspec.json.encode(kept).decode()


def first_attempt(at: float, outcome: str, detail: str | None) -> str:
    """Return the history of a delivery that ends as it begins."""
    return _WRITE([(at, outcome, None, detail)]).decode()


def marks_of(history: str) -> set[str]:
    """Return the details of the steps that say which address took the message."""
    return {row[3] or "" for row in _history(history) if _is_mark(row)}


def _is_mark(row: tuple[float, str, str | None, str | None]) -> bool:
    return row[1] == "delivered" and (row[3] or "").startswith(MARK)


def to_event(record: EventRecord) -> InboxEvent:
    """Return what users see."""
    note = record.notification
    return InboxEvent(
        seq=record.seq,
        kind=record.kind,
        user_id=record.user_id,
        unread=record.unread,
        at=utc(record.at),
        notification_id=record.notification_id,
        notification=None if note is None else to_notification(note),
        category=record.category,
        before=None if record.before is None else utc(record.before),
    )
