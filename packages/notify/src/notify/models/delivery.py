"""A notification on its way: where it goes, how far it came, and why."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class DeliveryStatus(StrEnum):
    """Where the delivery of a notification over one channel is."""

    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    SUPPRESSED = "suppressed"
    INVALID = "invalid"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    DEAD = "dead"

    @property
    def is_final(self) -> bool:
        """Whether it will not change any more by itself."""
        return self not in _OPEN


# named once: Python 3.11 looks a member up by calling Python code
_OPEN = (DeliveryStatus.PENDING, DeliveryStatus.SENDING)


@dataclass(frozen=True, slots=True)
class Recipient:
    """Where a user is reached over a channel.

    Attributes:
        address: The channel's own: an e-mail address, a telephone number, a device token.
        name: For display.
        locale: The user's language, if the notification and the preferences name none.
    """

    address: str = field(repr=False)
    name: str | None = field(default=None, repr=False)
    locale: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a delivery.

    Attributes:
        at: When it ended.
        outcome: ``delivered``, ``retry``, ``refused``, ``deferred``, ``suppressed`` and so on.
        provider: Which provider was called, if one was.
        detail: Codes and reasons, without personal data.
    """

    at: datetime
    outcome: str
    provider: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A notification on its way over one channel.

    Attributes:
        id: Stable over attempts; in an e-mail's Message-ID.
        notification_id: What is delivered.
        user_id: To whom.
        channel: Over which channel.
        status: Where it is.
        reason: Why it is there: ``quiet_hours``, ``category``, ``no_address``, an error, …
        attempts: How often a worker began.
        due_at: When the next attempt is due; None once it has ended.
        provider: Who took it.
        provider_id: The provider's own id of the message.
        created_at: When it was stored.
        updated_at: When it changed last.
        history: Its attempts, oldest first; the last 20.
    """

    id: str
    notification_id: str
    user_id: str
    channel: str
    status: DeliveryStatus
    reason: str | None
    attempts: int
    due_at: datetime | None
    provider: str | None
    provider_id: str | None
    created_at: datetime
    updated_at: datetime
    history: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class DeliveryFilters:
    """Which deliveries to list or replay; None means any."""

    status: DeliveryStatus | str | None = None
    channel: str | None = None
    user_id: str | None = None
    notification_id: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a notification was, or was not, sent over a channel.

    Attributes:
        channel: Which channel.
        status: Where the delivery is.
        summary: One sentence.
        steps: One line per attempt, oldest first.
    """

    channel: str
    status: DeliveryStatus
    summary: str
    steps: tuple[str, ...] = ()
