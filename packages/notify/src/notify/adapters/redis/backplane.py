"""A doorbell by publish/subscribe."""

import asyncio
import contextlib
from collections.abc import Callable, Collection
from typing import Any, Self

import msgspec

from ...errors import BackendError
from ...ports import Backplane, Capabilities
from .link import Link, parts_of

_BEAT = 5.0
_MOST = 1000


class RedisBackplane(Backplane):
    """Publishes whose inbox changed on one channel, which every listening process hears."""

    capabilities = Capabilities(shared=True)

    def __init__(self, url: str, *, prefix: str = "notifications", timeout: float = 5.0) -> None:
        """Ring over the server at ``url``; the first call connects.

        Args:
            url: As for the store.
            prefix: What the channel's name begins with.
            timeout: Seconds for connecting and for each answer.

        Raises:
            ConfigurationError: The prefix is not 1 to 100 letters, digits or ``_ . : -``.
        """
        self._link = Link(url, prefix=prefix, timeout=timeout)
        self._channel = self._link.key("bell")

    @classmethod
    def from_url(cls, url: str, *, table: str = "notifications") -> Self:
        """Return a backplane for the URL of a store; see :class:`RedisStore`."""
        return cls(**parts_of(url, prefix=table))

    async def publish(self, users: Collection[str]) -> None:
        told = sorted(users)
        for first in range(0, len(told), _MOST):
            data = msgspec.json.encode(told[first : first + _MOST])
            await self._link.call("publish", self._channel, data)

    async def listen(self, heard: Callable[[Collection[str] | None], None]) -> None:
        pubsub = self._link.client.pubsub()
        loop, asked = asyncio.get_running_loop(), None
        try:
            with self._link.translated:
                await pubsub.subscribe(self._channel)
                while not _is_cancelled():
                    item = await pubsub.get_message(timeout=_BEAT)
                    now = loop.time()
                    if item is not None and item["type"] == "pong":
                        asked = None
                    elif item is not None:
                        _tell(item, heard)
                    elif asked is None:
                        asked = now
                        await pubsub.ping()  # a connection that died in silence is noticed
                    elif now - asked > self._link.timeout:
                        raise BackendError("the Redis backplane hears nothing", retryable=True)
            raise asyncio.CancelledError
        finally:
            with contextlib.suppress(Exception):
                await pubsub.aclose()

    async def aclose(self) -> None:
        await self._link.aclose()

    def detach(self) -> None:
        self._link.detach()


def _is_cancelled() -> bool:
    """Whether the caller was cancelled: redis-py can lose that before Python 3.12."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _tell(item: Any, heard: Callable[[Collection[str] | None], None]) -> None:
    if item["type"] == "subscribe":
        heard(None)  # nobody knows what was rung before
    elif item["type"] == "message":
        try:
            heard(msgspec.json.decode(item["data"], type=list[str]))
        except msgspec.MsgspecError:
            heard(None)  # another release's words
