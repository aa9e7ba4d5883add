"""Records and messages to test with."""

from typing import Any

from .._common.clock import new_id
from ..models import DeliveryStatus, Recipient
from ..ports import Message
from ..stored import DeliveryRecord, Entry, NotificationRecord

NOW = 1_750_000_000.0
_BODY = (
    b'{"title":"t","message":"m","action_url":null,"action_label":null,"priority":"normal",'
    b'"template":null,"locale":null,"channels":null,"expires_at":null,"send_at":null,'
    b'"context":{},"metadata":{}}'
)


def entry(
    user_id: str = "ann",
    *channels: str,
    visible: bool = True,
    due_at: float = NOW,
    **fields: Any,
) -> Entry:
    """Return an entry to store: a notification, in-app if ``visible``, pending on ``channels``."""
    values: dict[str, Any] = {
        "id": new_id(), "type": "info", "category": None, "created_at": NOW, "body": _BODY,
        "fingerprint": "f", **fields,
    }  # fmt: skip
    record = NotificationRecord(user_id=user_id, **values)
    shown = DeliveryRecord(
        id=new_id(), notification_id=record.id, user_id=user_id, channel="in-app",
        status=DeliveryStatus.DELIVERED, created_at=NOW, updated_at=NOW,
    )  # fmt: skip
    rest = [
        DeliveryRecord(
            id=new_id(), notification_id=record.id, user_id=user_id, channel=channel,
            due_at=due_at, created_at=NOW + 1 + place, updated_at=NOW,
        )
        for place, channel in enumerate(channels)
    ]  # fmt: skip
    return Entry(record, [shown, *rest] if visible else rest, visible)


def message(address: str = "ann@example.com", **fields: Any) -> Message:
    """Return a message to send."""
    values: dict[str, Any] = {
        "key": new_id(), "recipient": Recipient(address, "Ann"), "subject": "Subject",
        "text": "Text\n", "created_at": NOW, **fields,
    }  # fmt: skip
    return Message(**values)
