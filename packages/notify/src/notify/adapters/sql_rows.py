"""Between rows and records: what the SQL store reads, and the words of its filters."""

from collections.abc import Sequence
from typing import Any

from .._common.sql_lanes import Row
from ..errors import BackendError
from ..models import DeliveryFilters, DeliveryStatus, NotificationFilters
from ..stored import FORMAT, DeliveryRecord, EventRecord, NotificationRecord, Verdict
from . import sql_tables as sql

_BYTES = {"body", "attachments"}
_BODY_AT = len(sql.TOLD) + sql.TOLD_NOTE.index("body")


def text_of(value: Any) -> str:
    """Return a text that MySQL keeps as bytes, or any other value as text."""
    return value.decode() if isinstance(value, bytes) else str(value)


def _named(names: Sequence[str], row: Row) -> dict[str, Any]:
    if not isinstance(row[0], bytes):  # an id: MySQL alone keeps texts as bytes
        return dict(zip(names, row, strict=True))
    return {
        name: value.decode() if isinstance(value, bytes) and name not in _BYTES else value
        for name, value in zip(names, row, strict=True)
    }


def event_of(user_id: str, row: Row, start: int = 0) -> EventRecord:
    """Return the event of a user in a row from ``start`` on, with what it speaks of.

    That has neither attachments nor fingerprint: nobody is told of them, and replays are long.
    """
    if isinstance(row[start + 1], bytes):  # MySQL alone keeps texts as bytes
        row = [
            value.decode() if isinstance(value, bytes) and place != _BODY_AT else value
            for place, value in enumerate(row[start:])
        ]
        start = 0
    # by hand, in the order of the columns: a replay makes thousands of them
    (
        seq, kind, unread, at, note_id, category, before,
        note_type, note_category, created_at, body, place, read_at, archived_at, key, version,
    ) = row[start:]  # fmt: skip
    note = None
    if note_type is not None:
        note = NotificationRecord(
            id=note_id,
            user_id=user_id,
            type=note_type,
            category=note_category,
            created_at=created_at,
            body=body if isinstance(body, bytes) else bytes(body),
            fingerprint="",
            seq=place,
            read_at=read_at,
            archived_at=archived_at,
            idempotency_key=key,
            version=version,
        )
        _check_format(note)
    return EventRecord(
        user_id=user_id,
        seq=seq,
        kind=kind,
        unread=unread,
        at=at,
        notification_id=note_id,
        category=category,
        before=before,
        notification=note,
    )


def note_of(row: Row) -> NotificationRecord:
    """Return the notification in a row.

    Raises:
        BackendError: A later release wrote it, in a format that this one cannot read.
    """
    if isinstance(row[0], bytes):  # as above
        record = NotificationRecord(**_named(sql.NOTE, row))
        record.body = bytes(record.body)
    else:
        record = NotificationRecord(
            id=row[0],
            user_id=row[1],
            type=row[2],
            category=row[3],
            created_at=row[4],
            body=row[5] if isinstance(row[5], bytes) else bytes(row[5]),
            fingerprint=row[6],
            seq=row[7],
            read_at=row[8],
            archived_at=row[9],
            idempotency_key=row[10],
            attachments=row[11],
            version=row[12],
        )
    _check_format(record)
    return record


def _check_format(record: NotificationRecord) -> None:
    if record.version > FORMAT + 1:
        raise BackendError(
            f"notification {record.id!r} has format {record.version}; "
            f"this release reads up to {FORMAT + 1}"
        )


def delivery_of(row: Row) -> DeliveryRecord:
    """Return the delivery in a row."""
    record = DeliveryRecord(**_named(sql.DELIVERY, row))
    record.status = DeliveryStatus(record.status)
    return record


def verdict_params(verdict: Verdict, at: float) -> dict[str, Any]:
    """Return the parameters of a verdict."""
    names = ("id", "fence", "reason", "due_at", "attempts", "provider", "provider_id", "history")
    values = {name: getattr(verdict, name) for name in names}
    return {**values, "status": str(verdict.status), "at": at}


def inbox_tests(filters: NotificationFilters) -> tuple[str, dict[str, Any]]:
    """Return the conditions of an inbox and their parameters."""
    where, params = "", dict[str, Any]()
    if filters.unread_only:
        where += " AND n.read_at IS NULL"
    if filters.archived is not None:
        where += f" AND n.archived_at IS {'NOT ' if filters.archived else ''}NULL"
    for name, test, value in (
        ("type", "n.type = :type", None if filters.type is None else str(filters.type)),
        ("category", "n.category = :category", filters.category),
        ("since", "n.created_at >= :since", filters.since and filters.since.timestamp()),
        ("before", "n.created_at < :before", filters.before and filters.before.timestamp()),
    ):
        if value is not None:
            where, params[name] = f"{where} AND {test}", value
    return where, params


def delivery_tests(filters: DeliveryFilters) -> tuple[str, dict[str, Any]]:
    """Return the conditions of deliveries and their parameters."""
    where, params = "", dict[str, Any]()
    for name in ("status", "channel", "user_id", "notification_id"):
        if (value := getattr(filters, name)) is not None:
            where, params[name] = f"{where} AND {name} = :{name}", str(value)
    return where, params
