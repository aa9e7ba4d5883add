"""What goes over the wire: camelCase JSON with the specification's names, in one place."""

import functools
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from ._common.clock import utc
from .errors import InvalidPreferences
from .models import InboxEvent, Notification, NotificationPreferences
from .preferences import from_mapping, plain
from .records import body_of
from .stored import EventRecord, NotificationRecord, StoredChanges

_FROM_WIRE = {"quietHours": "quiet_hours"}
_MILLIS = tuple(f".{each:03}Z" for each in range(1000))


def moment(value: datetime | None) -> str | None:
    """Return ISO 8601 in UTC with ``Z``."""
    return (
        None if value is None else value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def _moment_at(seconds: float) -> str:
    """Return what :func:`moment` does of :func:`utc`, at a third of the cost: replays are many."""
    whole = math.floor(seconds)
    micro = round((seconds - whole) * 1e6)
    if micro == 1_000_000:
        whole, micro = whole + 1, 0
    return _to_the_second(whole) + _MILLIS[micro // 1000]


@functools.lru_cache(1024)
def _to_the_second(seconds: int) -> str:
    return utc(seconds).isoformat(timespec="seconds").removesuffix("+00:00")


class _Note(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True, gc=False):
    """What a page sees of a notification; keys that are not set are left out."""

    id: str
    type: str
    title: str
    message: str
    timestamp: str | None
    read: bool
    archived: bool
    user_id: str
    category: str | None = None
    action_url: str | None = None
    action_label: str | None = None
    metadata: dict[str, Any]
    channels: list[str] | None = None
    priority: str
    seq: int | None = None
    expires_at: str | None = None


class _Event(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True, gc=False):
    """What a page sees of an inbox event."""

    seq: int
    kind: str
    unread: int
    at: str | None
    notification_id: str | None = None
    notification: _Note | None = None
    category: str | None = None
    before: str | None = None


def notification(n: Notification) -> _Note:
    """Return what a page sees of a notification: what msgspec encodes."""
    return _Note(
        id=n.id,
        type=str(n.type),
        title=n.title,
        message=n.message,
        timestamp=moment(n.timestamp),
        read=n.read,
        archived=n.archived,
        user_id=n.user_id,
        category=n.category,
        action_url=n.action_url,
        action_label=n.action_label,
        metadata=dict(n.metadata),
        channels=None if n.channels is None else [str(each) for each in n.channels],
        priority=n.priority,
        seq=n.seq,
        expires_at=moment(n.expires_at),
    )


def event(e: InboxEvent) -> _Event:
    """Return what a page sees of an inbox event: what msgspec encodes."""
    return _Event(
        seq=e.seq,
        kind=_kind(e.kind),
        unread=e.unread,
        at=moment(e.at),
        notification_id=e.notification_id,
        notification=None if e.notification is None else notification(e.notification),
        category=e.category,
        before=moment(e.before),
    )


def stored_event(record: EventRecord) -> _Event:
    """Return what :func:`event` does, of what is stored: without the objects between.

    Raises:
        BackendError: What is stored is not what this package stores.
    """
    at = _moment_at(record.at)
    note = record.notification
    return _Event(
        seq=record.seq,
        kind=_kind(record.kind),
        unread=record.unread,
        at=at,
        notification_id=record.notification_id,
        notification=None if note is None else _stored(note, record.at, at),
        category=record.category,
        before=None if record.before is None else _moment_at(record.before),
    )


def _stored(note: NotificationRecord, at: float, text: str) -> _Note:
    """Return a stored notification; ``text`` is what it says of ``at``, the event's moment."""
    body = body_of(note)
    made = note.created_at
    # fifteen arguments: of more, CPython 3.11 makes a dict first, which takes four times as long
    shown = _Note(
        id=note.id,
        type=note.type,
        title=body.title,
        message=body.message,
        timestamp=text if made == at else _moment_at(made),
        read=note.read_at is not None,
        archived=note.archived_at is not None,
        user_id=note.user_id,
        category=note.category,
        action_url=body.action_url,
        action_label=body.action_label,
        metadata=body.metadata,
        channels=body.channels,
        priority=body.priority,
        seq=note.seq,
    )
    if body.expires_at is not None:
        shown.expires_at = _moment_at(body.expires_at)
    return shown


def _kind(kind: str) -> str:
    return "allRead" if kind == "all_read" else str(kind)


def changes(c: StoredChanges, user_id: str, socket: str | None) -> dict[str, Any]:
    """Return what a page sees of the changes in an inbox.

    Args:
        c: The changes.
        user_id: Whose inbox it is.
        socket: Where the live socket is, below the application; None where there is none.
    """
    return {
        "events": [stored_event(each) for each in c.events],
        "seq": c.seq,
        "unread": c.unread,
        "hasMore": c.has_more,
        "isReset": c.is_reset,
        "userId": user_id,
        "socket": socket,
    }


def preferences(prefs: NotificationPreferences) -> dict[str, Any]:
    """Return what a page sees of preferences."""
    made = plain(prefs)
    made["quietHours"] = made.pop("quiet_hours")
    return {key: value for key, value in made.items() if value is not None}


def read_preferences(value: Any) -> NotificationPreferences:
    """Return the preferences that a page sent.

    Raises:
        InvalidPreferences: They are none.
    """
    if not isinstance(value, Mapping):
        raise InvalidPreferences("preferences are an object")
    return from_mapping({_FROM_WIRE.get(str(key), str(key)): item for key, item in value.items()})
