"""Looks after all open connections: how many there are, and what each of them needs at times."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Generator
from typing import Any

from .._common.clock import Clock
from .._common.web import WebError
from .clients import Client
from .frames import Message, text
from .guarding import Guard
from .limits import Limits

logger = logging.getLogger(__name__)
_PING = text({"type": "ping"})
_COMMENT: Message = {
    "type": "http.response.body", "body": b": keep-alive\n\n", "more_body": True,
}  # fmt: skip


class Care:
    """One task for all connections: pings the silent, drops who takes nothing or lost their user.

    A timer for each connection would cost more than the connection.
    """

    def __init__(self, limits: Limits, guard: Guard, clock: Clock) -> None:
        """Keep to ``limits``; nothing runs before the first connection."""
        self.limits, self.clock = limits, clock
        self._guard = guard
        self._clients: dict[Client, bool] = {}
        self._open: Counter[str] = Counter()
        self._total = 0
        self._task: asyncio.Task[Any] | None = None

    @property
    def connections(self) -> int:
        """How many sockets, streams and waiting requests there are."""
        return self._total

    def come(self, user: str) -> None:
        """Count a connection; :meth:`go` must follow.

        Raises:
            WebError: 429, the user has too many; 503, there are too many.
        """
        if self._open[user] >= self.limits.connections_per_user:
            raise WebError(429, "too many connections are open")
        if self._total >= self.limits.connections:
            raise WebError(503, "too many connections are open")
        self._open[user] += 1
        self._total += 1

    def go(self, user: str) -> None:
        """Count a connection no more."""
        self._open[user] -= 1
        self._total -= 1
        if not self._open[user]:
            del self._open[user]

    @contextlib.contextmanager
    def room(self, user: str) -> Generator[None, None, None]:
        """Count a connection within the block; raises as :meth:`come`."""
        self.come(user)
        try:
            yield
        finally:
            self.go(user)

    def begin(self, client: Client, *, is_stream: bool) -> None:
        """Look after ``client``; :meth:`end` must follow."""
        # no context manager: it would cost each connection 0.7 KiB for as long as it is open
        self._clients[client] = is_stream
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._task = loop.create_task(self._run(), name="progress.care")

    def end(self, client: Client) -> None:
        """Look after ``client`` no more."""
        del self._clients[client]
        if not self._clients and self._task is not None:
            self._task.cancel()
            self._task = None

    def close(self) -> None:
        """End all sockets and streams, for a server that stops."""
        for client in list(self._clients):
            client.drop("stopping")

    async def _run(self) -> None:
        limits = self.limits
        pause = min(limits.ping, limits.patience, limits.recheck) / 4
        while True:
            await self.clock.sleep(pause)
            for client, is_stream in list(self._clients.items()):
                if client in self._clients:
                    await self._look_at(client, is_stream=is_stream)

    async def _look_at(self, client: Client, *, is_stream: bool) -> None:
        now, limits = self.clock.monotonic(), self.limits
        if client.busy_since is not None and now - client.busy_since > limits.patience:
            client.drop("slow")
            return
        if now - client.checked_at > limits.recheck:
            client.checked_at = now
            if not await self._guard.is_still(client.connection, client.user):
                client.drop("signed_out")
                return
        if now - client.spoke_at > limits.ping:
            client.ping(_COMMENT if is_stream else _PING)
