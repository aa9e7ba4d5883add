"""Client-side caching: Redis itself tells of every changed value, whoever changed it.

For keys that other programs write or delete, which send no messages. Our own changes come back,
too: a value that this process stores is read once more from L2 before L1 serves it again.
https://redis.io/docs/latest/develop/reference/client-side-caching/
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ...ports import Message
from . import messages
from .clients import client_of, close
from .listening import BEAT
from .pubsub import RedisBackplane

_CHANNEL = "__redis__:invalidate"


class TrackingBackplane(RedisBackplane):
    """Publish/subscribe as :class:`RedisBackplane`, and broadcasts of changed keys beside it.

    With RESP3 (``?protocol=3``) changes are pushed on a connection of their own; with RESP2 they
    are redirected to the connection that subscribes. Not for clusters.
    """

    def __init__(self, url: str, **named: Any) -> None:
        """Use the server of ``url``; see :class:`Listening`."""
        super().__init__(url, **named)
        query = parse_qs(urlsplit(self._url).query)
        self._resp3 = query.get("protocol") == ["3"]
        self._plain = (
            self._url if "protocol" in query else f"{self._url}{_glue(self._url)}protocol=2"
        )
        self._more: Any = None
        self._changed: Callable[[list[bytes] | None], None] = lambda _: None

    async def start(
        self, on_message: Callable[[Message], None], on_gap: Callable[[], None]
    ) -> None:
        start = len(f"{self._prefix}v:")

        def changed(names: list[bytes] | None) -> None:
            if names is None:  # FLUSHALL or FLUSHDB
                on_gap()
                return
            texts = [bytes(name).decode(errors="replace") for name in names]
            keys = [text[start:] for text in texts if text.startswith(f"{self._prefix}v:")]
            on_message(Message(keys, forget_versions=f"{self._prefix}tags" in texts))

        self._changed = changed
        await super().start(on_message, on_gap)

    def _node_url(self) -> str:
        return self._plain

    async def _subscribe(self, pubsub: Any) -> None:
        await self._end_tracking()
        if self._resp3:
            self._more = _Pushes(self._plain, self._timeout, self._changed)
            await self._more.begin(self._prefixes())
        else:
            await pubsub.execute_command("CLIENT", "ID")
            number = await pubsub.parse_response(block=True)
            self._more = _Redirection(self._plain, self._timeout)
            await self._more.begin(int(number), self._prefixes())
            await pubsub.subscribe(_CHANNEL)
        await super()._subscribe(pubsub)

    def _prefixes(self) -> list[str]:
        return ["PREFIX", f"{self._prefix}v:", "PREFIX", f"{self._prefix}tags"]

    def _take(self, item: Any, receiver: messages.Receiver) -> None:
        if bytes(item["channel"]).decode() == _CHANNEL:
            self._changed(item["data"] or None)
        else:
            super()._take(item, receiver)

    async def _check_more(self) -> None:
        if self._more is not None:
            await self._more.check()

    async def _end_tracking(self) -> None:
        more, self._more = self._more, None
        if more is not None:
            await more.aclose()

    async def aclose(self) -> None:
        await super().aclose()
        await self._end_tracking()

    def detach(self) -> None:
        super().detach()
        self._more = None


def _glue(url: str) -> str:
    return "&" if "?" in url else "?"


class _Redirection:
    """RESP2: a connection that tracks and sends what it learns to another one."""

    def __init__(self, url: str, timeout: float) -> None:
        self._owner = client_of(url, timeout=timeout)
        self._client: Any = self._owner.client()

    async def begin(self, target: int, prefixes: list[str]) -> None:
        await self._client.execute_command(
            "CLIENT", "TRACKING", "ON", "REDIRECT", target, "BCAST", *prefixes
        )

    async def check(self) -> None:
        # the client connects again by itself, and then tracks nothing
        found: Any = await self._client.execute_command("CLIENT", "TRACKINGINFO")
        flags = found[1] if isinstance(found, list) else next(iter(found.values()))
        if b"bcast" not in flags or b"broken_redirect" in flags:
            raise ConnectionError("tracking ended")

    async def aclose(self) -> None:
        for each in (self._client, self._owner):
            await close(each)


class _Pushes:
    """RESP3: a connection to which the server pushes what changed."""

    def __init__(
        self, url: str, timeout: float, changed: Callable[[list[bytes] | None], None]
    ) -> None:
        self._owner = client_of(url, timeout=timeout)
        self._connection: Any = self._owner.connection_pool.make_connection()
        self._changed, self._timeout = changed, timeout
        self._task: asyncio.Task[None] | None = None

    async def begin(self, prefixes: list[str]) -> None:
        await self._connection.connect()
        parser = self._connection._parser  # noqa: SLF001  no other way to be told of pushes
        # name and kind have changed with redis-py 5.1
        if hasattr(parser, "set_invalidation_push_handler"):
            parser.set_invalidation_push_handler(self._pushed)
        else:
            parser.set_push_handler(self._take)
        await self._connection.send_command("CLIENT", "TRACKING", "ON", "BCAST", *prefixes)
        await self._connection.read_response()
        self._task = asyncio.create_task(self._read(), name="cache-tracking")

    async def _pushed(self, response: Any) -> None:
        self._take(response)

    def _take(self, response: Any) -> None:
        if bytes(response[0]) == b"invalidate":
            self._changed(response[1])

    async def _read(self) -> None:
        task = asyncio.current_task()
        # redis-py can lose a cancellation before Python 3.12
        while task is None or not task.cancelling():
            await self._connection.read_response(timeout=BEAT, push_request=True)

    async def check(self) -> None:
        if self._task is not None and self._task.done():
            raise ConnectionError("tracking ended") from self._task.exception()
        await self._connection.send_command("PING")

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=1.0)
        with contextlib.suppress(Exception):  # it may be broken
            await self._connection.disconnect()
        await close(self._owner)
