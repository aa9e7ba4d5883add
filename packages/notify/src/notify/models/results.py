"""What the service answers: what became of a notification, and how it all stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .delivery import Delivery
from .notification import Notification


@dataclass(frozen=True, slots=True)
class SendResult:
    """What became of one notification.

    Attributes:
        notification: As it was stored, or as it was given if it was refused.
        deliveries: One per channel.
        duplicate: Whether it was there before, by its id or idempotency key.
        error: Why it was refused; only in the results of ``send_bulk``.
    """

    notification: Notification
    deliveries: tuple[Delivery, ...] = ()
    duplicate: bool = False
    error: Exception | None = None

    @property
    def id(self) -> str:
        """The id of the stored notification."""
        return self.notification.id

    @property
    def ok(self) -> bool:
        """Whether it is stored."""
        return self.error is None


@dataclass(frozen=True, slots=True)
class NotificationStats:
    """How the service stands.

    Attributes:
        notifications: How many are stored.
        deliveries: How many are stored, by status.
        sent: Stored by this instance.
        attempts: Provider calls of this instance.
        failures: Those of them that failed.
        watchers: Open ``watch`` and ``subscribe`` streams of this instance.
        write_latency: Seconds of this instance's last store writes, a moving average.
    """

    notifications: int = 0
    deliveries: Mapping[str, int] = field(default_factory=dict)
    sent: int = 0
    attempts: int = 0
    failures: int = 0
    watchers: int = 0
    write_latency: float = 0.0
