"""Messages by a table that everybody looks at."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from typing import Any

import msgspec

from ..._common.clock import Clock, SystemClock, new_id
from ..._common.sqlite import CHANGES
from ..._common.urls import without_query
from ...errors import BackendError
from ...ports import Backplane, Message, TagVersion
from .file import File

_EVENT_LIFE = 60.0
_MOST = 1000
_encode = msgspec.msgpack.Encoder().encode


class PollingBackplane(Backplane):
    """Events in the same SQLite file, looked at every ``interval`` seconds.

    A look that finds nothing new is one ``PRAGMA data_version``.
    """

    def __init__(
        self,
        url: str,
        *,
        key_prefix: str = "cache:",
        interval: float = 0.05,
        clock: Clock | None = None,
    ) -> None:
        """Use the file of ``url``; only caches with the same ``key_prefix`` hear each other."""
        self._file, self._interval = File(without_query(url)), interval
        self._prefix = key_prefix
        self._clock = clock or SystemClock()
        self._node = new_id()
        self._task: asyncio.Task[None] | None = None
        self._seq = self._seen = -1
        self._alive = float("-inf")

    async def start(
        self, on_message: Callable[[Message], None], on_gap: Callable[[], None]
    ) -> None:
        if self._task is None or self._task.done():
            self._seq = await self._file.call(_last_event)
            self._alive = self._clock.monotonic()
            self._task = asyncio.create_task(self._poll(on_message, on_gap), name="cache-polling")

    async def _poll(
        self, on_message: Callable[[Message], None], on_gap: Callable[[], None]
    ) -> None:
        while True:
            asked = self._clock.monotonic()
            rows: list[Any] = []
            with contextlib.suppress(BackendError):
                rows = await self._file.call(self._look)
                if asked - self._alive > _EVENT_LIFE / 2:
                    on_gap()  # events that we never saw may be swept already
                for seq, node, body in rows:
                    self._seq = seq
                    if node != self._node:
                        self._receive(body, on_message, on_gap)
                if len(rows) < _MOST:
                    self._alive = asked  # else there is more that was sent before
            await self._clock.sleep(0 if len(rows) == _MOST else self._interval)

    def _receive(
        self, body: bytes, on_message: Callable[[Message], None], on_gap: Callable[[], None]
    ) -> None:
        try:
            found = _body.decode(body)
        except (msgspec.DecodeError, TypeError):
            on_gap()
            return
        if found.prefix == self._prefix:
            tags = {tag: TagVersion(*value) for tag, value in found.tags.items()}
            on_message(Message(found.keys, tags, found.ready))

    def _look(self, link: sqlite3.Connection) -> list[Any]:
        version = link.execute(CHANGES).fetchone()[0]
        if version == self._seen:
            return []
        self._seen = version
        query = "SELECT seq, node, body FROM cache_events WHERE seq > ? ORDER BY seq LIMIT 1000"
        rows = link.execute(query, (self._seq,)).fetchall()
        if len(rows) == _MOST:
            self._seen = -1
        return rows

    async def publish(self, message: Message) -> None:
        now = self._clock.time()
        tags = {tag: (v.version, v.hard) for tag, v in message.tags.items()}
        body = _encode(_Body(self._prefix, list(message.keys), tags, list(message.ready)))

        def work(link: sqlite3.Connection) -> None:
            link.execute(
                "INSERT INTO cache_events (node, at, body) VALUES (?, ?, ?)",
                (self._node, now, body),
            )
            link.execute("DELETE FROM cache_events WHERE at < ?", (now - _EVENT_LIFE,))

        await self._file.transact(work)

    @property
    def last_alive(self) -> float:
        return self._alive

    async def aclose(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._file.aclose()

    def detach(self) -> None:
        task, self._task = self._task, None
        if task is not None and not task.get_loop().is_closed():
            task.get_loop().call_soon_threadsafe(task.cancel)
        self._file.detach()
        self._alive = float("-inf")


def _last_event(link: sqlite3.Connection) -> int:
    row = link.execute("SELECT seq FROM sqlite_sequence WHERE name = 'cache_events'").fetchone()
    return 0 if row is None else int(row[0])


class _Body(msgspec.Struct, array_like=True):
    prefix: str
    keys: list[str]
    tags: dict[str, tuple[int, int]]
    ready: list[str] = []


_body = msgspec.msgpack.Decoder(_Body)
