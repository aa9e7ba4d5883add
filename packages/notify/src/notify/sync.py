"""The service for blocking code: the same names without ``await``, on one background event loop.

It is a facade over the *same* instance: what is sent here is seen by the asynchronous service, and
the other way round. A call costs a hop between threads; inside a running event loop it raises
``RuntimeError``, because it would block that loop.
"""

from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from . import _default, service
from ._common.portal import Portal
from .errors import UnsupportedOperationError
from .models import (
    Delivery,
    DeliveryFilters,
    Explanation,
    InboxChanges,
    InboxEvent,
    Notification,
    NotificationFilters,
    NotificationPreferences,
    NotificationStats,
    Page,
    SendResult,
)
from .ports import (
    Channel,
    RecipientDirectory,
)
from .settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Session

    from .adapters.events import Report

_portal: Final = Portal("notify.sync")


class NotificationService:
    """A blocking view of a :class:`notify.NotificationService`. Safe for threads."""

    def __init__(self, notifications: service.NotificationService | None = None) -> None:
        """Show ``notifications``; a new, unconfigured service if None."""
        self.asynchronous = notifications or service.NotificationService()

    @classmethod
    def from_url(cls, url: str, **kwargs: Any) -> Self:
        """Return a service on the store of ``url``; see the asynchronous one."""
        return cls(service.NotificationService.from_url(url, **kwargs))

    def configure(
        self,
        settings: Settings | Mapping[str, Any] | str | None = None,
        *,
        channels: Sequence[Channel] | None = None,
        directory: RecipientDirectory | None = None,
    ) -> None:
        """Set the configuration, before the first operation."""
        self.asynchronous.configure(settings, channels=channels, directory=directory)

    def setup(self) -> None:
        """Create or upgrade the store's tables."""
        _portal.run(self.asynchronous.setup)

    def send(
        self,
        notification: Notification,
        *,
        session: "Session | AsyncSession | None" = None,
        wait: float | timedelta = 0.0,
    ) -> SendResult:
        """Store a notification and one delivery per channel in one transaction.

        Raises:
            UnsupportedOperationError: A session was given: it cannot leave its thread.
        """
        if session is not None:
            raise UnsupportedOperationError(
                "a session cannot leave its thread; await the asynchronous send"
            )
        return _portal.run(self.asynchronous.send, notification, wait=wait)

    def send_bulk(self, notifications: Iterable[Notification]) -> list[SendResult]:
        """Send many; what is wrong with one does not stop the others."""
        return _portal.run(self.asynchronous.send_bulk, notifications)

    def get(self, notification_id: str, user_id: str | None = None) -> Notification:
        """Return a notification."""
        return _portal.run(self.asynchronous.get, notification_id, user_id)

    def get_user_notifications(
        self,
        user_id: str,
        unread_only: bool = False,  # noqa: FBT001, FBT002  the specification's signature
        limit: int = 50,
        *,
        filters: NotificationFilters | None = None,
        cursor: str | None = None,
    ) -> Page[Notification]:
        """Return the inbox of a user, newest first."""
        return _portal.run(
            self.asynchronous.get_user_notifications,
            user_id,
            unread_only,
            limit,
            filters=filters,
            cursor=cursor,
        )

    def mark_as_read(self, notification_id: str, user_id: str) -> None:
        """Mark a notification read."""
        _portal.run(self.asynchronous.mark_as_read, notification_id, user_id)

    def archive(self, notification_id: str, user_id: str) -> None:
        """Put a notification away."""
        _portal.run(self.asynchronous.archive, notification_id, user_id)

    def delete(self, notification_id: str, user_id: str) -> None:
        """Remove a notification with its deliveries."""
        _portal.run(self.asynchronous.delete, notification_id, user_id)

    def mark_all_as_read(
        self, user_id: str, before: datetime | None = None, category: str | None = None
    ) -> int:
        """Mark the inbox read; return how many."""
        return _portal.run(self.asynchronous.mark_all_as_read, user_id, before, category)

    def get_changes(self, user_id: str, since: int | None = None, limit: int = 200) -> InboxChanges:
        """Return what happened after ``since``, and where the sequence is now."""
        return _portal.run(self.asynchronous.get_changes, user_id, since, limit)

    def unread_count(self, user_id: str) -> int:
        """Return how many of the inbox are neither read nor archived."""
        return _portal.run(self.asynchronous.unread_count, user_id)

    def watch(self, user_id: str, since: int | None = None) -> Generator[InboxEvent, None, None]:
        """Yield what happens in a user's inbox, without end; blocks between events."""
        stream: AsyncGenerator[InboxEvent, None] = self.asynchronous.watch(user_id, since)

        async def step() -> InboxEvent:
            return await anext(stream)

        try:
            while True:
                try:
                    event = _portal.run(step)
                except StopAsyncIteration:
                    return
                yield event
        finally:
            _portal.run(stream.aclose)

    def subscribe(
        self, user_id: str, callback: Callable[[Notification], Awaitable[None] | None]
    ) -> Callable[[], None]:
        """Call ``callback``, in the background thread, with what enters the user's inbox."""

        async def start() -> Callable[[], None]:
            return self.asynchronous.subscribe(user_id, callback)

        return _portal.run(start)

    def set_preferences(
        self, user_id: str, preferences: NotificationPreferences | Mapping[str, Any]
    ) -> None:
        """Store what a user wants."""
        _portal.run(self.asynchronous.set_preferences, user_id, preferences)

    def get_preferences(self, user_id: str) -> NotificationPreferences:
        """Return what a user wants, with the defaults."""
        return _portal.run(self.asynchronous.get_preferences, user_id)

    def run(self) -> None:
        """Deliver what any process puts into the outbox, until interrupted or closed."""
        _portal.run(self.asynchronous.run)

    def deliver_due(self) -> int:
        """Deliver what is due now, once, and return how many attempts ended."""
        return _portal.run(self.asynchronous.deliver_due)

    def sweep(self) -> int:
        """Remove what is older than ``retention`` allows."""
        return _portal.run(self.asynchronous.sweep)

    def deliveries(self, notification_id: str, user_id: str | None = None) -> list[Delivery]:
        """Return how a notification stands on each channel."""
        return _portal.run(self.asynchronous.deliveries, notification_id, user_id)

    def list_deliveries(
        self, filters: DeliveryFilters | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Delivery]:
        """Return deliveries of all users, oldest first."""
        return _portal.run(self.asynchronous.list_deliveries, filters, limit, cursor)

    def explain(self, notification_id: str, user_id: str | None = None) -> list[Explanation]:
        """Say for each channel why it was, or was not, used."""
        return _portal.run(self.asynchronous.explain, notification_id, user_id)

    def replay(self, target: str | DeliveryFilters) -> int:
        """Try ended deliveries again; return how many."""
        return _portal.run(self.asynchronous.replay, target)

    def erase_user(self, user_id: str) -> int:
        """Delete everything that is kept of a user."""
        return _portal.run(self.asynchronous.erase_user, user_id)

    def subscribe_topic(self, topic: str, user_id: str) -> bool:
        """Make a user a member of a topic; return whether they were none."""
        return _portal.run(self.asynchronous.subscribe_topic, topic, user_id)

    def unsubscribe_topic(self, topic: str, user_id: str) -> bool:
        """End a user's membership; return whether they were a member."""
        return _portal.run(self.asynchronous.unsubscribe_topic, topic, user_id)

    def get_topics(self, user_id: str) -> Sequence[str]:
        """Return the topics of a user, sorted."""
        return _portal.run(self.asynchronous.get_topics, user_id)

    def send_to_topic(self, topic: str, notification: Notification) -> int:
        """Send a notification to every member of a topic; return to how many."""
        return _portal.run(self.asynchronous.send_to_topic, topic, notification)

    def unsubscribe(self, token: str) -> bool:
        """Do what a link of one-click unsubscription says."""
        return _portal.run(self.asynchronous.unsubscribe, token)

    def can_unsubscribe(self, token: str) -> bool:
        """Return whether a token is one of ours and has not ended; changes nothing."""
        return _portal.run(self.asynchronous.can_unsubscribe, token)

    def suppress(self, channel: str, address: str, reason: str = "by hand") -> bool:
        """Send nothing to an address any more; return whether that is new."""
        return _portal.run(self.asynchronous.suppress, channel, address, reason)

    def unsuppress(self, channel: str, address: str) -> bool:
        """Take an address off the suppression list; return whether it was there."""
        return _portal.run(self.asynchronous.unsuppress, channel, address)

    def suppression(self, channel: str, address: str) -> str | None:
        """Return why an address gets nothing over a channel; None if it does."""
        return _portal.run(self.asynchronous.suppression, channel, address)

    def record_reports(self, reports: "Sequence[Report]") -> int:
        """Bring what providers report into deliveries and the suppression list."""
        return _portal.run(self.asynchronous.record_reports, reports)

    def get_stats(self) -> NotificationStats:
        """Return the figures of the store and of this instance."""
        return _portal.run(self.asynchronous.get_stats)

    def list_templates(self) -> list[tuple[str, str]]:
        """Return the channel and the name of every template."""
        return _portal.run(self.asynchronous.list_templates)

    def preview(
        self, template: str, *, channel: str = "email", locale: str | None = None, **context: Any
    ) -> Mapping[str, str | None]:
        """Return ``subject``, ``text`` and ``html`` of a template."""
        return _portal.run(
            self.asynchronous.preview, template, channel=channel, locale=locale, **context
        )

    def close(self) -> None:
        """Deliver what is due, disconnect and return to the state after construction."""
        _portal.run(self.asynchronous.aclose)

    def __enter__(self) -> Self:
        """Return the service itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the service."""
        self.close()


notifications: Final = NotificationService(_default.notifications)
