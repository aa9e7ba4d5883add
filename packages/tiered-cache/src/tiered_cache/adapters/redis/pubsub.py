"""Messages by publish/subscribe."""

import contextlib
from collections.abc import Callable
from typing import Any

from . import messages
from .clients import client_of, close
from .listening import BEAT, Listening


class RedisBackplane(Listening):
    """Publish/subscribe. A ping each half second tells whether we still listen.

    With it goes a look at the number of the last message: one that Redis dropped on its way to us
    is missed within a second, also if no other follows.
    """

    async def _listen_once(self, receiver: messages.Receiver, ready: Callable[[], None]) -> None:
        client = client_of(self._node_url(), timeout=self._timeout)
        pubsub, channel = client.pubsub(), f"{self._prefix}backplane".encode()
        asked: float | None = None
        try:
            begun = beat = self._clock.monotonic()
            await self._subscribe(pubsub)
            while not self._ends():
                now = self._clock.monotonic()
                if now >= beat:
                    beat = now + BEAT
                    self._check_silence(begun)
                    if asked is None:
                        asked = now
                        await pubsub.ping()
                    receiver.expect(await self._last_number())
                    await self._check_more()
                item: Any = await pubsub.get_message(timeout=max(0.01, beat - now))
                if item is None:
                    continue
                if item["type"] == "pong" and asked is not None:
                    # what was sent before we asked has arrived; of later things nobody knows
                    self._heard(asked)
                    asked = None
                elif item["type"] == "subscribe" and bytes(item["channel"]) == channel:
                    receiver.begin(await self._last_number())
                    self._heard(begun)
                    ready()
                elif item["type"] == "message":
                    self._take(item, receiver)
        finally:
            with contextlib.suppress(Exception):
                await pubsub.aclose()
            await close(client)

    async def _subscribe(self, pubsub: Any) -> None:
        await pubsub.subscribe(f"{self._prefix}backplane")

    def _take(self, item: Any, receiver: messages.Receiver) -> None:
        receiver.receive(bytes(item["data"]))

    async def _check_more(self) -> None:
        """Look after what else must be alive; raise if it is not."""
