"""What users of the service handle: notifications, preferences, deliveries, events."""

from .delivery import (
    Attempt,
    Delivery,
    DeliveryFilters,
    DeliveryStatus,
    Explanation,
    Recipient,
)
from .inbox import EventKind, InboxChanges, InboxEvent, NotificationFilters, Page
from .notification import (
    Attachment,
    Notification,
    NotificationChannel,
    NotificationType,
    Priority,
)
from .preferences import AnyQuietHours, CategoryChoice, NotificationPreferences, RateLimit
from .results import NotificationStats, SendResult, StoredResult

__all__ = [
    "AnyQuietHours",
    "Attachment",
    "Attempt",
    "CategoryChoice",
    "Delivery",
    "DeliveryFilters",
    "DeliveryStatus",
    "EventKind",
    "Explanation",
    "InboxChanges",
    "InboxEvent",
    "Notification",
    "NotificationChannel",
    "NotificationFilters",
    "NotificationPreferences",
    "NotificationStats",
    "NotificationType",
    "Page",
    "Priority",
    "RateLimit",
    "Recipient",
    "SendResult",
    "StoredResult",
]
