"""Between records and documents."""

from collections.abc import Mapping
from typing import Any

from ...errors import BackendError
from ...models import DeliveryFilters, DeliveryStatus, NotificationFilters
from ...stored import FORMAT, DeliveryRecord, EventRecord, NotificationRecord, Verdict

Document = dict[str, Any]
OPEN: Document = {"$in": ["pending", "sending"]}
LIGHT = {"attachments": False}
INDEXES: Mapping[str, Mapping[str, tuple[tuple[str, int], ...]]] = {
    "": {
        "box": (("user_id", 1), ("seq", -1)),
        "done": (("done_at", 1),),
        "fresh": (("done_at", 1), ("created_at", 1)),
    },
    "_deliveries": {
        "due": (("channel", 1), ("status", 1), ("due_at", 1)),
        "bundle": (("bundle", 1), ("status", 1)),
        "note": (("notification_id", 1),),
        "user": (("user_id", 1),),
        "sent": (("provider_id", 1),),
        "listed": (("created_at", 1), ("_id", 1)),
    },
    "_events": {"since": (("user_id", 1), ("seq", 1)), "note": (("notification_id", 1),)},
    "_keys": {"user": (("user_id", 1),)},
    "_topics": {"members": (("topic", 1), ("user_id", 1)), "user": (("user_id", 1),)},
    "_quotas": {"user": (("user_id", 1),)},
}
"""By collection, the rest of its name after the store's own: its indexes."""


def note_document(record: NotificationRecord) -> Document:
    """Return the document of a notification; ``done_at`` is what its retention counts from."""
    made = {name: getattr(record, name) for name in record.__struct_fields__}
    made["_id"] = made.pop("id")
    done = record.archived_at if record.read_at is None else record.read_at
    return {**made, "done_at": done}


def note_of(document: Document) -> NotificationRecord:
    """Return the notification of a document.

    Raises:
        BackendError: A later release wrote it, in a format that this one cannot read.
    """
    found: Document = {**document, "id": document["_id"]}
    if found.get("version", FORMAT) > FORMAT + 1:
        raise BackendError(
            f"notification {found['id']!r} has format {found['version']}; "
            f"this release reads up to {FORMAT + 1}"
        )
    names = NotificationRecord.__struct_fields__
    return NotificationRecord(**{name: found[name] for name in names if name in found})


def delivery_document(record: DeliveryRecord) -> Document:
    """Return the document of a delivery."""
    made = {name: getattr(record, name) for name in record.__struct_fields__}
    made["_id"] = made.pop("id")
    return {**made, "status": str(DeliveryStatus(record.status))}


def delivery_of(document: Document) -> DeliveryRecord:
    """Return the delivery of a document."""
    found: Document = {**document, "id": document["_id"]}
    found["status"] = DeliveryStatus(document["status"])
    names = DeliveryRecord.__struct_fields__
    return DeliveryRecord(**{name: found[name] for name in names if name in found})


def event_of(document: Document, note: NotificationRecord | None) -> EventRecord:
    """Return the event of a document, with the notification that it speaks of."""
    names = [name for name in EventRecord.__struct_fields__ if name != "notification"]
    fields: dict[str, Any] = {name: document.get(name) for name in names}
    return EventRecord(**fields, notification=note)


def verdict_changes(verdict: Verdict, at: float) -> Document:
    """Return what a verdict sets."""
    v = verdict
    return {
        "status": str(v.status), "reason": v.reason, "due_at": v.due_at, "attempts": v.attempts,
        "provider": v.provider, "provider_id": v.provider_id, "history": v.history,
        "updated_at": at,
    }  # fmt: skip


def inbox_filter(user_id: str, filters: NotificationFilters, below: int | None) -> Document:
    """Return the condition of an inbox."""
    made: Document = {"user_id": user_id, "seq": {"$gt": 0, "$lt": below or 1 << 62}}
    if filters.unread_only:
        made["read_at"] = None
    if filters.archived is not None:
        made["archived_at"] = {"$ne": None} if filters.archived else None
    if filters.type is not None:
        made["type"] = str(filters.type)
    if filters.category is not None:
        made["category"] = filters.category
    times = {}
    if filters.since is not None:
        times["$gte"] = filters.since.timestamp()
    if filters.before is not None:
        times["$lt"] = filters.before.timestamp()
    return {**made, "created_at": times} if times else made


def unread_filter(user_id: str) -> Document:
    """Return the condition of what counts as unread."""
    return {"user_id": user_id, "seq": {"$gt": 0}, "read_at": None, "archived_at": None}


def deliveries_filter(filters: DeliveryFilters) -> Document:
    """Return the condition of deliveries."""
    names = ("status", "channel", "user_id", "notification_id")
    given = {name: getattr(filters, name) for name in names}
    return {name: str(value) for name, value in given.items() if value is not None}
