"""What happens in an inbox, as it happens: ``watch`` and ``subscribe``."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from .._common.home import stream_at_home
from ..arguments import check_since, check_user
from ..errors import ConfigurationError
from ..models import InboxEvent, Notification
from .base import ServiceBase


class Live(ServiceBase):
    """Feeds of inboxes; one task per instance hears what other processes change."""

    def _feed(self, user_id: str, since: int | None) -> AsyncGenerator[InboxEvent | int, None]:
        """Return, at home, the place (a number) where it begins, then every event after it."""
        if not self._listening:
            self._listening = True
            listening = self._spawn(self._parts.feeds.listen(), "notify.listen")
            listening.add_done_callback(self._deaf)
        return self._parts.feeds.watch(user_id, since)

    @stream_at_home
    async def _watch(
        self, user_id: str, since: int | None
    ) -> AsyncGenerator[InboxEvent | int, None]:
        async with aclosing(self._feed(user_id, since)) as stream:
            async for event in stream:
                yield event

    def _deaf(self, _: "asyncio.Task[Any]") -> None:
        self._listening = False

    async def watch(
        self, user_id: str, since: int | None = None
    ) -> AsyncGenerator[InboxEvent, None]:
        """Yield what happens in a user's inbox, until the service is closed.

        Args:
            user_id: Whose inbox.
            since: The ``seq`` of the last event that is known: what was missed comes first, in
                order and exactly. None begins now, 0 at the beginning, and so does a place that the
                sequence has not reached: it has begun anew since then, as the user was erased.

        Raises:
            ConfigurationError: ``since`` is no whole number from 0.
            BackendError: The store failed; watch again from the last event's ``seq``.
        """
        check_user(user_id)
        check_since(since)
        # no step needs to be forwarded where the feed is at home
        make = self._feed if self._home.is_here() else self._watch
        async with aclosing(make(user_id, since)) as stream:
            async for event in stream:
                if isinstance(event, InboxEvent):
                    yield event

    def subscribe(
        self, user_id: str, callback: Callable[[Notification], Awaitable[None] | None]
    ) -> Callable[[], None]:
        """Call ``callback`` with every notification that enters the user's inbox from now on.

        On the event loop that runs now, one at a time; what it raises is logged. While the store
        fails it is asked again, and what came meanwhile is not lost.

        Returns:
            A function that ends the subscription; it may be called anywhere on that loop.

        Raises:
            RuntimeError: No event loop is running.
            ConfigurationError: ``callback`` cannot be called.
        """
        check_user(user_id)
        if not callable(callback):
            raise ConfigurationError(f"callback must be a function, not {type(callback).__name__}")
        return self._subscriptions.add(lambda since: self._watch(user_id, since), callback)
