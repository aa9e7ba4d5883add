"""One socket: told at once what it takes at once; what it does not take is read again later."""

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from .. import wire
from .._common.web_stepping import begin
from ..errors import BackendError
from ..stored import EventRecord

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from .feeds import Feed, Feeds

logger = logging.getLogger(__name__)
Send = Callable[[Any], Awaitable[None]]
_BATCH = 1 << 16
"""The most bytes in a message of several events: a socket that reads nothing holds one of them."""
_AT_ONCE = 100
"""How many events are tried in one message; a usual one has some 400 bytes."""


class GoneError(Exception):
    """What the server raised when something was sent: the client has left."""


class Socket:
    """A connection that shows an inbox. Nothing is queued for it.

    Lives on the loop of its server; made in the task that serves it.

    Attributes:
        user: Whose inbox.
        connection: What they came by.
        place: The ``seq`` of what it was sent last; None means that it begins now.
        busy_since: When the sending began that has not ended; None if nothing waits.
        spoke_at: When something was sent last.
        checked_at: When the user was authenticated last.
        dropped: Why the server ended it; None while it lives.
    """

    __slots__ = (
        "_batches", "_busy", "_context", "_feed", "_feeds", "_monotonic", "_send", "_task",
        "busy_since", "checked_at", "connection", "dropped", "place", "spoke_at", "user",
    )  # fmt: skip

    def __init__(
        self,
        user: str,
        connection: "HTTPConnection",
        send: Send,
        feeds: "Feeds",
        monotonic: Callable[[], float],
        place: int | None,
        *,
        batches: bool = False,
    ) -> None:
        """Send by ``send`` what ``feeds`` tell after ``place``.

        Args:
            user: Whose inbox.
            connection: What they came by.
            send: Sends a message.
            feeds: Tell what happens.
            monotonic: The clock.
            place: The ``seq`` of what the client has heard last; None means that it begins now.
            batches: Whether it takes ``{"events": […]}`` for what it missed.
        """
        self.user, self.connection, self.place = user, connection, place
        self.busy_since: float | None = None
        self.spoke_at = self.checked_at = monotonic()
        self.dropped: str | None = None
        self._send, self._feeds, self._monotonic = send, feeds, monotonic
        self._batches = batches
        self._feed: Feed | None = None
        self._busy: asyncio.Task[None] | None = None
        self._context = contextvars.copy_context()
        self._task: asyncio.Task[Any] | None = asyncio.current_task()

    @property
    def patience(self) -> None:
        """None: it may take nothing for as long as any other."""

    def ping(self) -> None:
        """Nothing: the server pings its sockets."""

    def join(self, feed: "Feed") -> None:
        """Be told what ``feed`` reads from now on."""
        self._feed = feed
        feed.sockets.add(self)

    def offer(self, seq: int, text: str) -> None:
        """Send an event; if it is not taken at once, what follows is read from the store later."""
        message = {"type": "websocket.send", "text": text}
        try:
            rest = begin(self._send(message), self._context)
        except Exception:  # noqa: BLE001 - whatever a broken connection raises: it ends
            self.drop("gone")
            return
        self.place = seq
        self.spoke_at = self._monotonic()
        if rest is not None:
            self._leave()
            self._catch_up(rest)

    def begin(self) -> None:
        """Be told what is missing and what comes; beside it the client may speak, or leave."""
        self._catch_up(None)

    async def say(self, message: Any) -> None:
        """Send something; returns when the connection took it.

        Raises:
            GoneError: The client has left.
        """
        await self._taken(self._send(message))

    async def say_all(self, events: Sequence[EventRecord]) -> None:
        """Send what was missed: to who takes batches in one message, else one by one.

        Raises:
            GoneError: The client has left.
        """
        for place, text in _batches(events) if self._batches else map(_alone, events):
            await self.say({"type": "websocket.send", "text": text})
            self.place = place

    async def _taken(self, sent: Awaitable[None]) -> None:
        self.busy_since = self._monotonic()
        try:
            await sent
        except Exception as exc:
            raise GoneError from exc
        finally:
            self.busy_since = None
        self.spoke_at = self._monotonic()

    async def answer(self, message: Any) -> None:
        """Say something when all that is on its way was taken; who asks waits for it."""
        while self._busy is not None:
            await asyncio.wait([self._busy])
        if self.dropped is None:
            await self.say(message)

    def drop(self, reason: str) -> None:
        """End the connection from our side, also if it takes nothing any more."""
        if self.dropped is None:
            self.dropped = reason
            self.stop()
            if self._task is not None:
                self._task.cancel()

    def stop(self) -> None:
        """Be told nothing any more."""
        self._leave()
        if self._busy is not None and self._busy is not asyncio.current_task():
            self._busy.cancel()

    async def served(self, work: Awaitable[None]) -> None:
        """Await ``work``, the conversation with the client; ends quietly if it is dropped."""
        try:
            await work
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self.dropped is None or task is None or task.uncancel():
                raise
            logger.info("client.dropped", extra={"reason": self.dropped})
        finally:
            self._task = None
            self.stop()

    def _leave(self) -> None:
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.leave(self)

    def _catch_up(self, rest: Awaitable[None] | None) -> None:
        self._busy = asyncio.get_running_loop().create_task(
            self._go_on(rest), name="notify.client", context=self._context
        )

    async def _go_on(self, rest: Awaitable[None] | None) -> None:
        """Wait until what was begun is sent, then read what came meanwhile."""
        try:
            if rest is not None:
                await self._taken(rest)
            await self._feeds.attach(self)
        except GoneError:
            self.drop("gone")
        except BackendError:
            self.drop("broken")
        except Exception:
            # the page is told, and so is whoever runs the server
            logger.exception("socket.failed")
            self.drop("broken")
        finally:
            self._busy = None


def _alone(event: EventRecord) -> tuple[int, str]:
    """Return the place of an event, and the event as a page gets it."""
    return event.seq, msgspec.json.encode(wire.stored_event(event)).decode()


def _batches(events: Sequence[EventRecord]) -> Iterator[tuple[int, str]]:
    """Yield messages of as many events as there is room for, each after the place it ends at."""
    for start in range(0, len(events), _AT_ONCE):
        part = events[start : start + _AT_ONCE]
        data = msgspec.json.encode({"events": [wire.stored_event(each) for each in part]})
        if len(data) <= _BATCH:
            yield part[-1].seq, data.decode()
        else:
            yield from _by_size(part)


def _by_size(events: Sequence[EventRecord]) -> Iterator[tuple[int, str]]:
    """Yield the same of events that are too long for one message."""
    held, size, place = list[str](), 0, 0
    for event in events:
        seq, text = _alone(event)
        if held and size + len(text) > _BATCH:
            yield place, f'{{"events":[{",".join(held)}]}}'
            held, size = [], 0
        held.append(text)
        size, place = size + len(text), seq
    if held:
        yield place, f'{{"events":[{",".join(held)}]}}'
