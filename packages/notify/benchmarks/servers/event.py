"""What everybody sends: the event of a new notification, as notify's pages get it."""

from typing import Any, Final

KIND: Final = "notification"
PATH: Final = "/ws/notifications"


def event_of(seq: int, title: str, message: str = "") -> dict[str, Any]:
    """Return the event of a notification."""
    note = {
        "id": "0123456789abcdef0123456789abcdef", "type": "info", "title": title,
        "message": message, "timestamp": "2026-01-01T00:00:00.000000Z", "read": False,
        "userId": "x", "metadata": {}, "archived": False, "priority": "normal", "seq": seq,
    }  # fmt: skip
    return {
        "seq": seq, "kind": "created", "unread": seq, "at": "2026-01-01T00:00:00.000000Z",
        "notificationId": note["id"], "notification": note,
    }  # fmt: skip
