"""One connection that watches: one slot for each operation, the newest state wins."""

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from .._common.web import starlette
from .._common.web_stepping import begin
from ..ports import Position
from .frames import Frame, Message, text

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.types import Scope

    from .feeds import Feed

logger = logging.getLogger(__name__)
Send = Callable[[Any], Awaitable[None]]
_PING = text({"type": "ping"})
_COMMENT: Message = {
    "type": "http.response.body", "body": b": keep-alive\n\n", "more_body": True,
}  # fmt: skip


class Client:
    """A socket or a stream. Lives on the loop of its server; made in the task that serves it.

    Attributes:
        user: Who watches.
        feeds: The operations that they watch, by id.
        busy_since: When the sending began that has not ended; None if nothing waits.
        spoke_at: When something was sent last.
        checked_at: When the user was authenticated last.
        dropped: Why the server ended it; None while it lives.
    """

    __slots__ = (
        "_busy", "_context", "_is_complete", "_is_stream", "_monotonic", "_on_last", "_scope",
        "_send", "_task", "_waiting", "busy_since", "checked_at", "dropped", "feeds", "spoke_at",
        "user",
    )  # fmt: skip

    def __init__(
        self,
        user: str,
        scope: "Scope",
        send: Send,
        *,
        is_stream: bool,
        monotonic: Callable[[], float],
        on_last: Callable[[Send], Awaitable[None]],
    ) -> None:
        """Send by ``send``; await ``on_last(send)`` when all has ended, if :meth:`complete`."""
        self.user, self._scope = user, scope
        self.feeds: dict[str, Feed] = {}
        self.busy_since: float | None = None
        self.spoke_at = self.checked_at = monotonic()
        self.dropped: str | None = None
        self._send, self._is_stream, self._monotonic = send, is_stream, monotonic
        self._on_last, self._is_complete = on_last, False
        self._waiting: dict[str, Frame] = {}
        self._busy: asyncio.Task[None] | None = None
        self._context = contextvars.copy_context()
        self._task: asyncio.Task[Any] | None = asyncio.current_task()

    @property
    def connection(self) -> "HTTPConnection":
        """What they came by; made anew, for what it remembers of its headers takes room."""
        made: HTTPConnection = starlette("requests").HTTPConnection(self._scope)
        return made

    @property
    def patience(self) -> None:
        """None: it may take nothing for as long as any other."""

    def join(self, feed: "Feed", frame: Frame, since: Position | None) -> None:
        """Watch what ``feed`` tells from now on, and its newest state if it is news."""
        self.feeds[feed.id] = feed
        if since is None or frame.position is None or frame.position != since:
            self.offer(frame)
        elif frame.last:
            self.leave(feed.id)

    def leave(self, id: str) -> None:
        """Watch an operation no more."""
        self._waiting.pop(id, None)
        feed = self.feeds.pop(id, None)
        if feed is not None:
            feed.remove(self)

    def offer(self, frame: Frame) -> None:
        """Send ``frame`` now, or when the connection takes it, if no newer one came meanwhile."""
        if self._busy is not None or self.dropped is not None:
            self._waiting[frame.id] = frame
            return
        try:
            rest = begin(self._sending(frame), self._context)
        except Exception:  # noqa: BLE001 - whatever a broken connection raises: it ends
            self.drop("broken")
            return
        self.spoke_at = self._monotonic()
        if rest is not None:
            self._wait_for(rest)

    async def say(self, message: Message) -> None:
        """Send something that is about no operation; returns when the connection took it.

        Whoever asks waits for the answers, so they cannot pile up either.
        """
        await self._finished(lambda: self._send(message))

    async def complete(self) -> None:
        """Watch nothing more than now: once all of it has ended, so does the connection."""
        self._is_complete = True
        if not self.feeds:
            await self._finished(lambda: self._on_last(self._send))

    async def _finished(self, make: Callable[[], Awaitable[None]]) -> None:
        while self._busy is not None:
            await asyncio.wait([self._busy])
        if self.dropped is None:
            self.spoke_at = self._monotonic()
            await asyncio.wait([self._wait_for(make())])

    def ping(self) -> None:
        """Begin to send a comment or a ping, unless something is on its way."""
        if self._busy is None and self.dropped is None:
            self.spoke_at = self._monotonic()
            self._wait_for(self._send(_COMMENT if self._is_stream else _PING))

    def drop(self, reason: str) -> None:
        """End the connection from our side, also if it takes nothing any more."""
        if self.dropped is None:
            self.dropped = reason
            self.stop()
            if self._task is not None:
                self._task.cancel()

    def stop(self) -> None:
        """Watch nothing any more and send nothing any more."""
        for id in list(self.feeds):
            self.leave(id)
        if self._busy is not None:
            self._busy.cancel()

    def cancelled(self) -> None:
        """Take the cancellation of the task that serves it: our own, if it was dropped.

        Raises:
            CancelledError: It was somebody else's.
        """
        task = asyncio.current_task()
        if self.dropped is None or task is None or task.uncancel():
            raise asyncio.CancelledError
        logger.info("progress.client_dropped", extra={"reason": self.dropped})

    def end(self) -> None:
        """Be served no more: whoever drops it now has nobody to cancel."""
        self._task = None
        self.stop()

    def _sending(self, frame: Frame) -> Awaitable[None]:
        """Return what sends ``frame``, and ends what has ended with it."""
        sent = self._send(frame.stream if self._is_stream else frame.socket)
        return self._ending(frame, sent) if frame.last else sent

    async def _ending(self, frame: Frame, sent: Awaitable[None]) -> None:
        await sent
        self.leave(frame.id)
        if self._is_complete and not self.feeds:
            await self._on_last(self._send)

    def _wait_for(self, first: Awaitable[None]) -> "asyncio.Task[None]":
        self.busy_since = self._monotonic()
        work = self._catch_up(first)
        self._busy = asyncio.get_running_loop().create_task(work, context=self._context)
        return self._busy

    async def _catch_up(self, first: Awaitable[None]) -> None:
        """Wait until ``first`` is sent, then send the newest of what came meanwhile."""
        try:
            await first
            while self._waiting and self.dropped is None:
                self.busy_since = self._monotonic()
                await self._sending(self._waiting.pop(next(iter(self._waiting))))
            self.spoke_at = self._monotonic()
        except Exception:  # noqa: BLE001 - as above
            self.drop("broken")
        finally:
            self._busy, self.busy_since = None, None
            self._waiting.clear()
