"""An inbox: which notifications to list, in pages, and what happens in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Literal, TypeVar

from .notification import Notification, NotificationType

T = TypeVar("T")
EventKind = Literal["created", "read", "archived", "deleted", "all_read"]


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
class InboxChanges:
    """What happened in a user's inbox since a place in its sequence.

    Attributes:
        events: In order; at most as many as were asked for.
        seq: The place after them: ask from here next time.
        unread: The number of unread notifications now.
        has_more: Whether there are further events.
        is_reset: The sequence began anew, because the user was erased: forget what is known.
    """

    events: Sequence[InboxEvent]
    seq: int
    unread: int
    has_more: bool = False
    is_reset: bool = False


class Page(list[T], Generic[T]):
    """A list with the cursor of the next page (None at the end)."""

    next_cursor: str | None = None

    @classmethod
    def of(cls, items: Sequence[T], next_cursor: str | None = None) -> "Page[T]":
        """Return ``items`` as a page."""
        page = cls(items)
        page.next_cursor = next_cursor
        return page
