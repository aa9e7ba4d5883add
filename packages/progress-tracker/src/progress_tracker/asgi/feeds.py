"""One watch of the tracker for each operation that anybody watches here, whatever their number."""

import asyncio
import contextlib
import logging
from collections.abc import Generator
from typing import TYPE_CHECKING

from ..errors import BackendError, ProgressNotFound
from ..ports import Position
from ..service import ProgressTracker
from .frames import Frame, broken_frame, gone_frame, state_frame
from .rights import Rights

if TYPE_CHECKING:
    from .clients import Client

logger = logging.getLogger(__name__)
_SLICE = 250
"""How many clients are sent a state before others get the event loop."""


class Feed:
    """One operation as all clients of this application watch it.

    Attributes:
        id: Which one.
        clients: Who watches, with the frame that each was offered last.
        newest: The newest frame; None before the first.
        users: How many want it without being clients (yet).
        task: Watches the tracker.
    """

    __slots__ = ("_news", "_owner", "clients", "id", "newest", "task", "users")

    def __init__(self, owner: "Feeds", id: str) -> None:
        """Begin to watch ``id``."""
        self._owner, self.id = owner, id
        self.clients: dict[Client, Frame] = {}
        self.newest: Frame | None = None
        self.users = 0
        self._news = asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(owner.run(self), name=f"feed {id}")

    @property
    def is_wanted(self) -> bool:
        """Whether anybody wants to hear of the operation."""
        return bool(self.clients or self.users)

    async def first(self) -> Frame:
        """Return the newest state, as soon as there is one.

        Raises:
            ProgressNotFound: There is no such operation.
            BackendError: The store does not answer.
        """
        while self.newest is None:
            await self._news.wait()
        return self._checked(self.newest)

    async def after(self, seen: Position) -> Frame:
        """Return a state that is not ``seen``, as soon as there is one; raises as :meth:`first`."""
        while (frame := await self.first()).position == seen:
            await self._news.wait()
        return frame

    def _checked(self, frame: Frame) -> Frame:
        if frame.position is not None:
            return frame
        if frame.body["type"] == "gone":
            raise ProgressNotFound(frame.body["error"])
        raise BackendError(frame.body["error"], retryable=True)

    def tell(self, frame: Frame) -> None:
        """Have a newer frame."""
        self.newest = frame
        news, self._news = self._news, asyncio.Event()
        news.set()

    def add(self, client: "Client", since: Position | None) -> None:
        """Send ``client`` the newest state, unless it is ``since``, and all that follow."""
        frame = self.newest
        assert frame is not None
        self.clients[client] = frame
        client.join(self, frame, since)

    def remove(self, client: "Client") -> None:
        """Send ``client`` nothing any more."""
        self.clients.pop(client, None)
        self._owner.rest(self)


class Feeds:
    """The operations that are watched by way of one application."""

    def __init__(self, tracker: ProgressTracker, rights: Rights) -> None:
        """Watch operations of ``tracker``."""
        self._tracker, self._rights = tracker, rights
        self._feeds: dict[str, Feed] = {}

    def __len__(self) -> int:
        return len(self._feeds)

    @contextlib.contextmanager
    def feed(self, id: str) -> Generator[Feed, None, None]:
        """Watch ``id`` at least within the block."""
        feed = self._feeds.get(id)
        if feed is None or feed.task.get_loop() is not asyncio.get_running_loop():
            feed = self._feeds[id] = Feed(self, id)
        feed.users += 1
        try:
            yield feed
        finally:
            feed.users -= 1
            self.rest(feed)

    async def visible(self, feed: Feed, user: str, action: str) -> Frame:
        """Return the newest state that ``user`` may see.

        Raises:
            ProgressNotFound: There is none, or they may not.
            BackendError: The store does not answer.
        """
        frame = await feed.first()
        progress = frame.progress
        if progress is None or not await self._rights.may(user, action, progress):
            raise ProgressNotFound("no such operation")
        return frame

    async def attach(self, client: "Client", id: str, since: Position | None) -> None:
        """Let ``client`` watch an operation; raises as :meth:`visible`."""
        with self.feed(id) as feed:
            await self.visible(feed, client.user, "watch")
            feed.add(client, since)

    def rest(self, feed: Feed) -> None:
        """Stop watching what nobody wants."""
        if feed.is_wanted:
            return
        if self._feeds.get(feed.id) is feed:
            del self._feeds[feed.id]
        loop = feed.task.get_loop()
        # a feed whose client left while it was being sent something ends by itself
        if not loop.is_closed() and feed.task is not asyncio.current_task():
            feed.task.cancel()

    async def run(self, feed: Feed) -> None:
        """Tell the clients of ``feed`` what happens, to the end."""
        states = self._tracker.watch(feed.id)
        try:
            async with contextlib.aclosing(states):
                async for state in states:
                    await self._spread(feed, state_frame(state))
                    if not feed.is_wanted:
                        return
        except ProgressNotFound:
            await self._spread(feed, gone_frame(feed.id))
        except BackendError:
            # pages ask again, and are refused until the store answers
            logger.warning("progress.feed_broken", extra={"progress_id": feed.id}, exc_info=True)
            await self._spread(feed, broken_frame(feed.id))
        except Exception:
            logger.exception("progress.feed_broken", extra={"progress_id": feed.id})
            await self._spread(feed, broken_frame(feed.id))
        finally:
            if self._feeds.get(feed.id) is feed:
                del self._feeds[feed.id]

    async def _spread(self, feed: Feed, frame: Frame) -> None:
        feed.tell(frame)
        refused = await self._refused(feed, frame)
        clients, gone = feed.clients, gone_frame(feed.id)
        for number, client in enumerate(list(clients), 1):
            mine = gone if refused and client.user in refused else frame
            # whoever came while we waited has it already, whoever left wants it no more
            if clients.get(client, mine) is not mine:
                clients[client] = mine
                client.offer(mine)
            if number % _SLICE == 0:
                await asyncio.sleep(0)

    async def _refused(self, feed: Feed, frame: Frame) -> set[str]:
        """Return the users who may not watch any more."""
        progress = frame.progress
        if progress is None or not self._rights.may_change:
            return set()
        return await self._rights.refused({client.user for client in feed.clients}, progress)
