"""What goes over the wire: camelCase JSON with the specification's names, in one place."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .errors import InvalidPreferences
from .models import InboxChanges, InboxEvent, Notification, NotificationPreferences
from .preferences import from_mapping, plain

_FROM_WIRE = {"quietHours": "quiet_hours"}


def moment(value: datetime | None) -> str | None:
    """Return ISO 8601 in UTC with ``Z``."""
    return (
        None if value is None else value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def notification(n: Notification) -> dict[str, Any]:
    """Return what a page sees of a notification; keys that are not set are left out."""
    made = {
        "id": n.id,
        "type": str(n.type),
        "title": n.title,
        "message": n.message,
        "timestamp": moment(n.timestamp),
        "read": n.read,
        "archived": n.archived,
        "userId": n.user_id,
        "category": n.category,
        "actionUrl": n.action_url,
        "actionLabel": n.action_label,
        "metadata": dict(n.metadata),
        "channels": None if n.channels is None else [str(each) for each in n.channels],
        "priority": n.priority,
        "seq": n.seq,
        "expiresAt": moment(n.expires_at),
    }
    return {key: value for key, value in made.items() if value is not None}


def event(e: InboxEvent) -> dict[str, Any]:
    """Return what a page sees of an inbox event."""
    made = {
        "seq": e.seq,
        "kind": "allRead" if e.kind == "all_read" else e.kind,
        "unread": e.unread,
        "at": moment(e.at),
        "notificationId": e.notification_id,
        "notification": None if e.notification is None else notification(e.notification),
        "category": e.category,
        "before": moment(e.before),
    }
    return {key: value for key, value in made.items() if value is not None}


def changes(c: InboxChanges, user_id: str, socket: str | None) -> dict[str, Any]:
    """Return what a page sees of the changes in an inbox.

    Args:
        c: The changes.
        user_id: Whose inbox it is.
        socket: Where the live socket is, below the application; None where there is none.
    """
    return {
        "events": [event(each) for each in c.events],
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
