"""What users of the service handle: notifications, preferences, deliveries, events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Generic, Literal, TypeVar

from ._common.clock import new_id
from .errors import InvalidPreferences
from .quiet import QuietHours, check_coverage, check_zone

T = TypeVar("T")
Priority = Literal["normal", "critical"]
EventKind = Literal["created", "read", "archived", "deleted", "all_read"]
CategoryChoice = bool | Mapping[str, bool]
AnyQuietHours = QuietHours | Mapping[str, Any]


class NotificationType(StrEnum):
    """What a notification is about."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"


class NotificationChannel(StrEnum):
    """The channels that every installation knows; others have the names of their adapters."""

    IN_APP = "in-app"
    EMAIL = "email"
    PUSH = "push"
    SMS = "sms"


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
        return self not in {DeliveryStatus.PENDING, DeliveryStatus.SENDING}


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that travels with a notification, over channels that can carry one.

    Attributes:
        filename: Without a path, one line.
        content: The bytes.
        content_type: ``type/subtype``.
    """

    filename: str
    content: bytes = field(repr=False)
    content_type: str = "application/octet-stream"


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One message to one user. Times are aware UTC datetimes.

    Attributes:
        id: Unguessable unless chosen by the caller.
        type: What it is about.
        title: One line, 1 to 200 characters.
        message: Plain text, at most 10,000 characters.
        user_id: To whom.
        category: What users opt out of.
        action_url: ``https://…``, ``http://…`` or a path; never another scheme.
        action_label: One line for the link.
        metadata: What JSON can hold.
        channels: Names of channels; None leaves it to the user's preferences, else in-app.
        timestamp: When it was made.
        read: Whether the user has read it.
        priority: ``critical`` passes quiet hours and category opt-outs.
        idempotency_key: The same key and content for a user make one notification.
        template: Name of the template that makes subject and body.
        context: The template's variables: what JSON can hold.
        expires_at: Deliveries that are not out by then are ``expired``.
        send_at: Not before.
        locale: Of the templates, ``de`` or ``de-AT``; the recipient's if None.
        attachments: Files for channels that carry them.
        seq: Its place in the user's inbox; None while it is not there. Set by the store.
        archived: Whether the user put it away. Set by the store.
    """

    id: str = field(default_factory=new_id)
    type: NotificationType | str = NotificationType.INFO
    title: str
    message: str = ""
    user_id: str
    category: str | None = None
    action_url: str | None = None
    action_label: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    channels: Sequence[NotificationChannel | str] | None = None
    timestamp: datetime = field(default_factory=_now)
    read: bool = False
    priority: Priority = "normal"
    idempotency_key: str | None = None
    template: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict, repr=False)
    expires_at: datetime | None = None
    send_at: datetime | None = None
    locale: str | None = None
    attachments: Sequence[Attachment] = ()
    seq: int | None = None
    archived: bool = False


@dataclass(frozen=True, slots=True)
class NotificationPreferences:
    """What a user wants; None and absent leave it to the category's and the default settings.

    Attributes:
        channels: The only channels that may be used; with none named by a notification, these are.
        categories: By category, whether it is wanted at all (bool) or by channel (mapping).
        quiet_hours: When nothing but in-app goes out; one or several. A mapping with ``start`` and
            ``end`` is understood too.
        timezone: The user's IANA zone, for quiet hours without one; UTC if None.
        locale: The user's language, for templates.
    """

    channels: Sequence[NotificationChannel | str] | None = None
    categories: Mapping[str, CategoryChoice] = field(default_factory=dict)
    quiet_hours: AnyQuietHours | Sequence[AnyQuietHours] | None = None
    timezone: str | None = None
    locale: str | None = None

    def __post_init__(self) -> None:
        """Check zone and quiet hours and bring them into one shape.

        Raises:
            InvalidPreferences: A zone or time does not exist, or no hour is left.
        """
        if self.timezone is not None:
            check_zone(self.timezone)
        check_coverage(self.windows)

    @property
    def windows(self) -> tuple[QuietHours, ...]:
        """The quiet hours as a tuple."""
        given: Any = self.quiet_hours
        if given is None:
            return ()
        if isinstance(given, QuietHours | Mapping):
            return (QuietHours.of(given),)
        if not isinstance(given, Sequence) or isinstance(given, str) or len(given) > 50:
            raise InvalidPreferences("quiet_hours are an object, or a list of at most 50")
        return tuple(QuietHours.of(each) for each in given)


@dataclass(frozen=True, slots=True)
class NotificationFilters:
    """Which notifications to list; None means any.

    Attributes:
        unread_only: Only those that are not read.
        type: Only of this type.
        category: Only of this category.
        since: Made at this time or later.
        before: Made before this time.
        archived: False leaves archived ones out, True shows only them, None shows all.
    """

    unread_only: bool = False
    type: NotificationType | str | None = None
    category: str | None = None
    since: datetime | None = None
    before: datetime | None = None
    archived: bool | None = False


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
class InboxEvent:
    """Something that happened in a user's inbox; ``seq`` has no gaps but for erased ones.

    Attributes:
        seq: The place in the user's sequence.
        kind: ``created``, ``read``, ``archived``, ``deleted``, or ``all_read`` (every notification
            that came before, of ``category`` and older than ``before`` where these are set).
        user_id: Whose inbox.
        unread: The number of unread notifications after it.
        at: When it happened.
        notification_id: Which notification, except for ``all_read``.
        notification: The notification as it is now; None if it is gone.
        category: Of ``all_read``.
        before: Of ``all_read``.
    """

    seq: int
    kind: EventKind
    user_id: str
    unread: int
    at: datetime
    notification_id: str | None = None
    notification: Notification | None = None
    category: str | None = None
    before: datetime | None = None


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


class Page(list[T], Generic[T]):
    """A list with the cursor of the next page (None at the end)."""

    next_cursor: str | None = None

    @classmethod
    def of(cls, items: Sequence[T], next_cursor: str | None = None) -> "Page[T]":
        """Return ``items`` as a page."""
        page = cls(items)
        page.next_cursor = next_cursor
        return page
