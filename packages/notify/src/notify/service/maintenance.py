"""Keeping house: retention, erasing a user, figures, looking at templates."""

import asyncio
from collections.abc import Mapping
from typing import Any

from .._common.home import at_home
from ..arguments import check_user
from ..models import NotificationStats
from .base import ServiceBase

_UPKEEP = 60.0
_CHUNK = 500


class Maintenance(ServiceBase):
    """What operators do, or what happens by itself once a minute."""

    def _upkeep(self) -> None:
        """Remove old notifications once a minute, by whichever process is active."""
        now, kept = self.clock.time(), self.settings.retention
        if now < self._next_upkeep or (kept.read is None and kept.unread is None):
            return
        self._next_upkeep = now + _UPKEEP
        self._spawn(self.sweep(), "notify.sweep")

    @at_home
    async def sweep(self) -> int:
        """Remove what is older than ``retention`` allows; return how many notifications."""
        now, kept, count = self.clock.time(), self.settings.retention, 0
        read = None if kept.read is None else now - kept.read
        unread = None if kept.unread is None else now - kept.unread
        while removed := await self.store.purge(read, unread, _CHUNK):
            count += removed
        return count

    @at_home
    async def erase_user(self, user_id: str) -> int:
        """Delete everything that is kept of a user; return how many notifications there were.

        The directory is told too: see ``RecipientDirectory.erase``.
        """
        check_user(user_id)
        await self._parts.delivery.directory.erase(user_id)
        self._wishes.pop(user_id, None)
        count = await self.store.erase(user_id)
        self._parts.feeds.erased(user_id)
        await self._parts.feeds.changed({user_id})
        return count

    @at_home
    async def get_stats(self) -> NotificationStats:
        """Return the figures of the store and of this instance."""
        notes, states = await self.store.counts()
        return NotificationStats(
            notifications=notes,
            deliveries=states,
            sent=self._sent,
            attempts=self._calls + sum(each.calls for each in self._workers),
            failures=self._failures + sum(each.failures for each in self._workers),
            watchers=self._parts.feeds.count,
            write_latency=self._latency,
        )

    async def list_templates(self) -> list[tuple[str, str]]:
        """Return the channel and the name of every template, for :meth:`preview`."""
        return await asyncio.to_thread(self._parts.delivery.templates.names)

    async def preview(
        self, template: str, *, channel: str = "email", locale: str | None = None, **context: Any
    ) -> Mapping[str, str | None]:
        """Return ``subject``, ``text`` and ``html`` of a template, as its channel would send them.

        Raises:
            TemplateError: It is missing, fails, or is over its limits.
        """
        made = self._parts.delivery.templates.render(channel, template, context, locale)
        return {"subject": made.subject, "text": made.text, "html": made.html}
