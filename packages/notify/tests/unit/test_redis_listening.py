"""Listening on Redis through a library that loses a cancellation, as redis-py can before 3.12."""

import asyncio
from typing import Any

import pytest

pytest.importorskip("redis")

from notify.adapters.redis.backplane import RedisBackplane


class Deaf:
    """A subscription that takes the first cancellation for the end of its wait."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.looks = 0
        self.closed = False

    async def subscribe(self, _: str) -> None:
        """Be subscribed."""

    async def ping(self) -> None:
        """Be alive."""

    async def get_message(self, **_: Any) -> None:
        self.looks += 1
        self.asked.set()
        if self.looks > 1:
            raise AssertionError("it went on listening")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    async def aclose(self) -> None:
        self.closed = True


async def test_a_lost_cancellation_ends_listening(monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = Deaf()
    backplane = RedisBackplane("redis://127.0.0.1:1")
    monkeypatch.setattr(type(backplane._link), "client", Client(deaf))
    task = asyncio.create_task(backplane.listen(lambda _: None))
    async with asyncio.timeout(60):
        await deaf.asked.wait()
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()
    assert deaf.closed


class Client:
    """The client of redis-py, of which only subscriptions are asked."""

    def __init__(self, deaf: Deaf) -> None:
        self._deaf = deaf

    def pubsub(self) -> Deaf:
        return self._deaf
