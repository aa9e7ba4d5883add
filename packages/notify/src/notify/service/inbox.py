"""A user's inbox: reading, marking, counting."""

import dataclasses
from datetime import datetime

from .._common.home import at_home
from ..arguments import (
    check_filter,
    check_flag,
    check_inbox_filters,
    check_page,
    check_since,
    check_user,
    inbox_cursor,
    is_id,
    moment,
)
from ..models import EventKind, InboxChanges, Notification, NotificationFilters, Page
from ..records import to_event, to_notification
from ..stored import StoredChanges
from .base import ServiceBase, not_found


class Inbox(ServiceBase):
    """What a user sees of their notifications."""

    @at_home
    async def get(self, notification_id: str, user_id: str | None = None) -> Notification:
        """Return a notification.

        Raises:
            NotificationNotFound: There is none, or it is another user's than ``user_id``.
        """
        is_one = is_id(notification_id) and (user_id is None or is_id(user_id))
        found = await self.store.get(notification_id, user_id) if is_one else None
        if found is None:
            raise not_found(notification_id)
        return to_notification(found)

    @at_home
    async def get_user_notifications(
        self,
        user_id: str,
        unread_only: bool = False,  # noqa: FBT001, FBT002  the specification's signature
        limit: int = 50,
        *,
        filters: NotificationFilters | None = None,
        cursor: str | None = None,
    ) -> Page[Notification]:
        """Return the inbox of a user, newest first; ``.next_cursor`` leads to the next page.

        Without attachments; :meth:`get` gives them.

        Raises:
            ConfigurationError: ``limit`` is not between 1 and 500, ``cursor`` is not ours, or a
                filter or the user's id is none.
        """
        check_user(user_id)
        check_page(limit)
        check_flag("unread_only", unread_only)
        below, chosen = inbox_cursor(cursor), check_inbox_filters(filters)
        if unread_only and not chosen.unread_only:
            chosen = dataclasses.replace(chosen, unread_only=True)
        page = await self.store.list_inbox(user_id, chosen, limit, below)
        return Page.of([to_notification(each) for each in page], page.next_cursor)

    async def mark_as_read(self, notification_id: str, user_id: str) -> None:
        """Mark a notification read; its deliveries that have not gone out are cancelled.

        Whether they are is an option of its category.

        Raises:
            NotificationNotFound: There is none, or it is another user's.
        """
        await self._mark(notification_id, user_id, "read")

    async def archive(self, notification_id: str, user_id: str) -> None:
        """Put a notification away: out of the list and of the unread count.

        Raises:
            NotificationNotFound: There is none, or it is another user's.
        """
        await self._mark(notification_id, user_id, "archived")

    async def delete(self, notification_id: str, user_id: str) -> None:
        """Remove a notification with its deliveries, also those that have not gone out.

        Raises:
            NotificationNotFound: There is none, or it is another user's.
        """
        await self._mark(notification_id, user_id, "deleted")

    @at_home
    async def _mark(self, notification_id: str, user_id: str, kind: EventKind) -> None:
        if not is_id(notification_id) or not is_id(user_id):
            raise not_found(notification_id)
        cancel = False
        if kind == "read":
            found = await self.store.get(notification_id, user_id)
            if found is None:
                raise not_found(notification_id)
            cancel = self._parts.delivery.layers.cancels().holds(found.category)
        done = await self.store.mark(
            user_id, notification_id, kind, self.clock.time(), cancel=cancel
        )
        if done is None:
            raise not_found(notification_id)
        if done:
            await self._parts.feeds.changed({user_id})

    @at_home
    async def mark_all_as_read(
        self, user_id: str, before: datetime | None = None, category: str | None = None
    ) -> int:
        """Mark the inbox read (what is older than ``before``, of ``category``); return how many.

        Raises:
            ConfigurationError: ``before`` has no time zone, or ``category`` is no text.
        """
        check_user(user_id)
        check_filter("category", category)
        limit = moment("before", before)
        cancels = self._parts.delivery.layers.cancels()
        count = await self.store.mark_all(user_id, limit, category, self.clock.time(), cancels)
        if count:
            await self._parts.feeds.changed({user_id})
        return count

    @at_home
    async def get_changes(
        self, user_id: str, since: int | None = None, limit: int = 200
    ) -> InboxChanges:
        """Return what happened after ``since``, and where the sequence is now.

        Args:
            user_id: Whose inbox.
            since: The ``seq`` of the last event that is known; None asks for the place alone.
            limit: How many events at most, 1 to 500.

        Raises:
            ConfigurationError: ``since`` is no whole number from 0, or ``limit`` is out of range.
        """
        found = await self._changes(user_id, since, limit)
        events = [to_event(each) for each in found.events]
        more = {"has_more": found.has_more, "is_reset": found.is_reset}
        return InboxChanges(events, found.seq, found.unread, **more)

    @at_home
    async def read_changes(
        self, user_id: str, since: int | None = None, limit: int = 200
    ) -> StoredChanges:
        """Return what :meth:`get_changes` does as it is stored, for what encodes it at once.

        Raises:
            ConfigurationError: As there.
        """
        return await self._changes(user_id, since, limit)

    async def _changes(self, user_id: str, since: int | None, limit: int) -> StoredChanges:
        check_user(user_id)
        check_since(since)
        check_page(limit)
        return await self.store.changes(user_id, since, limit)

    @at_home
    async def unread_count(self, user_id: str) -> int:
        """Return how many notifications of the inbox are neither read nor archived."""
        check_user(user_id)
        return await self.store.unread(user_id)
