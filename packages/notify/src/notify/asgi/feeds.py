"""One feed for each user whose inbox sockets of this application show, whatever their number."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from .. import wire
from ..errors import BackendError
from ..models import InboxEvent
from ..service import NotificationService

if TYPE_CHECKING:
    from .sockets import Socket

logger = logging.getLogger(__name__)
_SLICE = 250
"""How many sockets are told an event before others get the event loop."""


class Feed:
    """One inbox, read once for all sockets that stand at its end.

    Attributes:
        user: Whose.
        place: The ``seq`` of what was told last.
        sockets: Who is told what comes.
    """

    __slots__ = ("_owner", "place", "sockets", "task", "user")

    def __init__(self, owner: "Feeds", user: str, place: int) -> None:
        """Begin to read what comes after ``place``."""
        self._owner, self.user, self.place = owner, user, place
        self.sockets: set[Socket] = set()
        self.task = asyncio.get_running_loop().create_task(owner.run(self), name="notify.feed")

    def leave(self, socket: "Socket") -> None:
        """Tell ``socket`` nothing any more; without any the feed ends."""
        self.sockets.discard(socket)
        if not self.sockets:
            self._owner.rest(self)

    async def tell(self, event: InboxEvent) -> None:
        """Send an event, encoded once, to all who do not have it."""
        if event.seq <= self.place:  # the sequence began anew
            for socket in self.sockets:
                socket.place = 0
        self.place = event.seq
        text = encoded(event)
        # who comes while we wait has read the event from the store: it was there before
        for number, socket in enumerate(list(self.sockets), 1):
            if socket in self.sockets and (socket.place or 0) < event.seq:
                socket.offer(event.seq, text)
            if number % _SLICE == 0:
                await asyncio.sleep(0)

    def end(self, reason: str) -> None:
        """End all sockets."""
        for socket in list(self.sockets):
            socket.drop(reason)


class Feeds:
    """The inboxes that are shown live by way of one application."""

    def __init__(self, service: NotificationService) -> None:
        """Read from ``service``."""
        self._service = service
        self._feeds: dict[str, Feed] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def attach(self, socket: "Socket") -> None:
        """Tell ``socket`` what it lacks, then have it told what comes.

        Returns when the socket took the first, or as soon as a feed of its own tells it.

        Raises:
            BackendError: The store failed.
        """
        user = socket.user
        while True:
            feed = self._feed(user)
            # what was told before this look is in it; if more was told since, we look again
            told = feed and feed.place
            found = await self._service.read_changes(user, socket.place)
            if socket.place is None:
                socket.place = found.seq
            if found.is_reset:
                socket.place = 0
                continue
            await socket.say_all(found.events)
            if found.has_more or (found.events and feed is not None):
                continue
            here = self._feed(user)
            if here is feed and (here is None or here.place == told):
                break
        if feed is None:
            # it begins to read where the socket stands: nothing comes in between
            feed = self._feeds[user] = Feed(self, user, socket.place)
        socket.join(feed)

    def _feed(self, user: str) -> Feed | None:
        feed = self._feeds.get(user)
        is_here = feed is not None and feed.task.get_loop() is asyncio.get_running_loop()
        return feed if is_here else None

    def rest(self, feed: Feed) -> None:
        """Read no more for a feed that nobody follows."""
        if self._feeds.get(feed.user) is feed:
            del self._feeds[feed.user]
        loop = feed.task.get_loop()
        # one whose last socket left while it was told something ends by itself
        if not loop.is_closed() and feed.task is not asyncio.current_task():
            feed.task.cancel()
            self._ending.add(feed.task)
            feed.task.add_done_callback(self._ending.discard)

    async def at_rest(self) -> None:
        """Wait for the end of feeds that nobody follows any more: they may be reading."""
        here = asyncio.get_running_loop()
        if ending := [each for each in self._ending if each.get_loop() is here]:
            await asyncio.wait(ending)

    async def run(self, feed: Feed) -> None:
        """Tell the sockets of ``feed`` what happens, until none is left."""
        try:
            async with aclosing(self._events(feed)) as events:
                async for event in events:
                    await feed.tell(event)
                    if not feed.sockets:
                        return
            feed.end("closed")
        except BackendError as exc:
            logger.warning("feed.broken", extra={"error": str(exc)})
            feed.end("broken")
        except Exception:
            # the pages are told, and so is whoever runs the server
            logger.exception("feed.failed")
            feed.end("broken")
        finally:
            if self._feeds.get(feed.user) is feed:
                del self._feeds[feed.user]

    def _events(self, feed: Feed) -> AsyncGenerator[InboxEvent, None]:
        return self._service.watch(feed.user, feed.place)


def encoded(event: InboxEvent) -> str:
    """Return an event as sockets are sent it."""
    return msgspec.json.encode(wire.event(event)).decode()
