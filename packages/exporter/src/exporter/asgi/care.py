"""Looks after all open streams: how many there are, and what each of them needs at times."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any

from .._common.clock import Clock
from .._common.web import WebError
from .guarding import Guard
from .limits import Limits

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.types import Receive

logger = logging.getLogger(__name__)
Send = Callable[[Any], Awaitable[None]]
_COMMENT = {"type": "http.response.body", "body": b": keep-alive\n\n", "more_body": True}


class Client:
    """A stream of events or a download. Nothing is queued for it: it is served as it takes.

    Attributes:
        user: Whose; None for a download, which is allowed once and then goes to its end.
        connection: What they came by.
        patience: Seconds that it may take nothing.
        busy_since: When the sending began that has not ended; None if nothing waits.
        spoke_at: When something was sent last.
        checked_at: When the user was authenticated last.
        dropped: Why the server ended it; None while it lives.
    """

    __slots__ = (
        "_clock", "_lock", "_send", "_task", "busy_since", "checked_at", "connection", "dropped",
        "patience", "spoke_at", "user",
    )  # fmt: skip

    def __init__(
        self,
        user: str | None,
        connection: "HTTPConnection",
        send: Send,
        clock: Clock,
        patience: float,
    ) -> None:
        """Send by ``send``."""
        self.user, self.connection, self.patience = user, connection, patience
        self.busy_since: float | None = None
        self.spoke_at = self.checked_at = clock.monotonic()
        self.dropped: str | None = None
        self._send, self._clock, self._lock = send, clock, asyncio.Lock()
        self._task: asyncio.Task[Any] | None = None

    async def say(self, message: Any) -> None:
        """Send ``message``; returns when the connection took it."""
        async with self._lock:
            self.busy_since = self._clock.monotonic()
            try:
                await self._send(message)
            finally:
                self.busy_since = None
            self.spoke_at = self._clock.monotonic()

    def drop(self, reason: str) -> None:
        """End the connection from our side, also if it takes nothing any more."""
        if self.dropped is None:
            self.dropped = reason
            logger.info("client.dropped", extra={"reason": reason})
            if self._task is not None:
                self._task.cancel()

    async def served(self, *work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` until a part of it ends, or the client is dropped.

        Raises:
            Exception: What the part that ended raised.
        """
        self._task = asyncio.current_task()
        tasks = [asyncio.create_task(each, name="exporter.client") for each in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self.dropped is None or task is None or task.uncancel():
                raise
        finally:
            self._task = None
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class Care:
    """One task for all connections: speaks to the silent, drops who takes nothing or lost access.

    A timer for each connection would cost more than the connection.
    """

    def __init__(self, limits: Limits, guard: Guard, clock: Clock) -> None:
        """Keep to ``limits``; nothing runs before the first connection."""
        self.limits, self.clock = limits, clock
        self._guard = guard
        self._clients: set[Client] = set()
        self._open: Counter[str] = Counter()
        self._task: asyncio.Task[Any] | None = None
        self._pings: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        """How many streams and downloads there are."""
        return self._open.total()

    @contextlib.contextmanager
    def room(self, user: str) -> Generator[None, None, None]:
        """Count a connection within the block.

        Raises:
            WebError: 429, the user has too many; 503, there are too many.
        """
        if self._open[user] >= self.limits.connections_per_user:
            raise WebError(429, "too many connections are open")
        if self.connections >= self.limits.connections:
            raise WebError(503, "too many connections are open")
        self._open[user] += 1
        try:
            yield
        finally:
            self._open[user] -= 1
            if not self._open[user]:
                del self._open[user]

    @contextlib.contextmanager
    def of(self, client: Client) -> Generator[None, None, None]:
        """Look after ``client`` within the block."""
        self._clients.add(client)
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._task = loop.create_task(self._run(), name="exporter.care")
        try:
            yield
        finally:
            self._clients.discard(client)
            if not self._clients and self._task is not None:
                self._task.cancel()
                self._task = None

    def close(self) -> None:
        """End all streams and downloads, for a server that stops."""
        for client in list(self._clients):
            client.drop("stopping")

    async def _run(self) -> None:
        limits = self.limits
        pause = min(limits.ping, limits.patience, limits.download_patience, limits.recheck) / 4
        while True:
            await self.clock.sleep(pause)
            for client in list(self._clients):
                if client in self._clients:
                    await self._look_at(client)

    async def _look_at(self, client: Client) -> None:
        now, limits = self.clock.monotonic(), self.limits
        if client.busy_since is not None and now - client.busy_since > client.patience:
            client.drop("slow")
            return
        if client.user is None:
            return
        if now - client.checked_at > limits.recheck:
            client.checked_at = now
            if not await self._guard.is_still(client.connection, client.user):
                client.drop("signed_out")
                return
        if client.busy_since is None and now - client.spoke_at > limits.ping:
            # not awaited here: one that takes nothing must not hold up the others
            task = asyncio.create_task(_ping(client), name="exporter.ping")
            self._pings.add(task)
            task.add_done_callback(self._pings.discard)


async def until_gone(receive: "Receive") -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _ping(client: Client) -> None:
    with contextlib.suppress(Exception):  # a broken connection is noticed by who serves it
        await client.say(_COMMENT)
