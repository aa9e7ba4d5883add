"""What stores keep and workers exchange with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import msgspec

from .models import DeliveryStatus, EventKind

FORMAT = 1
OPEN = (DeliveryStatus.PENDING, DeliveryStatus.SENDING)


class NotificationRecord(msgspec.Struct, kw_only=True, gc=False):
    """A notification as stores keep it: times in seconds since the epoch, content as JSON.

    ``seq`` is its place in the user's inbox, None while it is not there. ``version`` is the format
    of the record, so that releases can read each other's.
    """

    id: str
    user_id: str
    type: str
    category: str | None
    created_at: float
    body: bytes
    fingerprint: str
    seq: int | None = None
    read_at: float | None = None
    archived_at: float | None = None
    idempotency_key: str | None = None
    attachments: bytes | None = None
    version: int = FORMAT


class DeliveryRecord(msgspec.Struct, kw_only=True, gc=False):
    """A delivery as stores keep it.

    While it is open, ``due_at`` is when a worker may take it: the next attempt of a pending one,
    the end of the lease of one that is being sent. ``fence`` grows with every claim; whoever holds
    an older one has lost it. ``history`` is JSON. Deliveries of one ``bundle`` that are due
    together are claimed together, to go out as one message.
    """

    id: str
    notification_id: str
    user_id: str
    channel: str
    status: DeliveryStatus = DeliveryStatus.PENDING
    reason: str | None = None
    attempts: int = 0
    due_at: float = 0.0
    fence: int = 0
    provider: str | None = None
    provider_id: str | None = None
    created_at: float = 0.0
    updated_at: float = 0.0
    history: str = "[]"
    bundle: str | None = None
    version: int = FORMAT


class EventRecord(msgspec.Struct, kw_only=True, gc=False):
    """An event of a user's inbox as stores keep it."""

    user_id: str
    seq: int
    kind: EventKind
    unread: int
    at: float
    notification_id: str | None = None
    category: str | None = None
    before: float | None = None
    notification: NotificationRecord | None = None


@dataclass(frozen=True, slots=True)
class StoredChanges:
    """What happened in a user's inbox: :class:`notify.InboxChanges` before it is made of this."""

    events: Sequence[EventRecord]
    seq: int
    unread: int
    has_more: bool
    is_reset: bool

    @classmethod
    def of(cls, events: Sequence[EventRecord], since: int, last: int, unread: int) -> Self:
        """Return what happened after ``since`` in a sequence whose last number is ``last``."""
        seq = events[-1].seq if events else last
        return cls(events, seq, unread, has_more=seq < last, is_reset=since > last)


@dataclass(frozen=True, slots=True)
class Entry:
    """What ``add`` stores at once: a notification and one delivery per channel.

    Attributes:
        record: The notification.
        deliveries: One per channel.
        visible: Whether it enters the user's inbox now.
    """

    record: NotificationRecord
    deliveries: Sequence[DeliveryRecord]
    visible: bool


@dataclass(frozen=True, slots=True)
class Added:
    """What became of an entry.

    Attributes:
        record: The stored notification: the new one, or the one that was there before.
        deliveries: Its deliveries.
        created: Whether it is new.
    """

    record: NotificationRecord
    deliveries: Sequence[DeliveryRecord]
    created: bool


@dataclass(frozen=True, slots=True)
class OtherPreferences:
    """Why an entry was not stored: its user wants something else than it was made under.

    Attributes:
        data: What the user wants now; None where nothing is stored.
    """

    data: bytes | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A leased delivery with what is needed to send it."""

    delivery: DeliveryRecord
    record: NotificationRecord
    preferences: bytes | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an attempt ended.

    Attributes:
        id: The delivery.
        fence: The claim under which it ran; with an older one nothing changes.
        status: ``pending`` again, or a final one.
        due_at: When it may be taken again, if pending.
        reason: Why.
        history: Its attempts as JSON.
        provider: Who took it.
        provider_id: The provider's id of the message.
        attempts: How many count.
    """

    id: str
    fence: int
    status: DeliveryStatus
    history: str
    attempts: int
    due_at: float = 0.0
    reason: str | None = None
    provider: str | None = None
    provider_id: str | None = None


@dataclass(frozen=True, slots=True)
class Cancels:
    """Which deliveries end when their notification is read: by category.

    Attributes:
        default: Whether those of categories that are not ``other`` do.
        other: The categories of which the opposite holds.
    """

    default: bool = False
    other: tuple[str, ...] = ()

    def holds(self, category: str | None) -> bool:
        """Whether reading one of ``category`` cancels its deliveries."""
        return self.default != (category in self.other)
