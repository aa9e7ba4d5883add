"""Notifications for the users of an application: inbox, e-mail and other channels, preferences."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._default import notifications
    from .directory import MemoryDirectory
    from .errors import (
        BackendError,
        ChannelError,
        ConfigurationError,
        IdempotencyConflict,
        InvalidNotification,
        InvalidPreferences,
        MissingExtraError,
        NotificationNotFound,
        NotifyError,
        TemplateError,
        UnsupportedOperationError,
    )
    from .models import (
        Attachment,
        Attempt,
        Delivery,
        DeliveryFilters,
        DeliveryStatus,
        Explanation,
        InboxChanges,
        InboxEvent,
        Notification,
        NotificationChannel,
        NotificationFilters,
        NotificationPreferences,
        NotificationStats,
        NotificationType,
        Page,
        RateLimit,
        Recipient,
        SendResult,
    )
    from .ports import (
        Backplane,
        Capabilities,
        Channel,
        Message,
        NotificationStore,
        RecipientDirectory,
    )
    from .quiet import DailyDigest, QuietHours
    from .service import NotificationService
    from .settings import Settings

__all__ = [
    "Attachment",
    "Attempt",
    "BackendError",
    "Backplane",
    "Capabilities",
    "Channel",
    "ChannelError",
    "ConfigurationError",
    "DailyDigest",
    "Delivery",
    "DeliveryFilters",
    "DeliveryStatus",
    "Explanation",
    "IdempotencyConflict",
    "InboxChanges",
    "InboxEvent",
    "InvalidNotification",
    "InvalidPreferences",
    "MemoryDirectory",
    "Message",
    "MissingExtraError",
    "Notification",
    "NotificationChannel",
    "NotificationFilters",
    "NotificationNotFound",
    "NotificationPreferences",
    "NotificationService",
    "NotificationStats",
    "NotificationStore",
    "NotificationType",
    "NotifyError",
    "Page",
    "QuietHours",
    "RateLimit",
    "Recipient",
    "RecipientDirectory",
    "SendResult",
    "Settings",
    "TemplateError",
    "UnsupportedOperationError",
    "notifications",
]

if not TYPE_CHECKING:
    from ._common.lazy import exports

    __getattr__, __dir__ = exports(
        __name__,
        __all__,
        (
            "errors",
            "models",
            "settings",
            "ports",
            "directory",
            "quiet",
            "service",
            "_default",
            "sync",
        ),
    )
