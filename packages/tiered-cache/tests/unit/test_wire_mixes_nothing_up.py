"""Real connections to a server that does anything: nobody gets an answer that is another's."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

pytest.importorskip("redis")

from redis import exceptions

from tiered_cache.adapters.redis.clients import client_of
from tiered_cache.adapters.redis.wire import Wire

PUSH = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$5\r\nother\r\n"
HELLO = b"%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n"


def bulk(data: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(data), data)


async def command(reader: asyncio.StreamReader) -> list[bytes]:
    count = int((await reader.readline())[1:])
    found = []
    for _ in range(count):
        size = int((await reader.readline())[1:])
        found.append((await reader.readexactly(size + 2))[:-2])
    return found


class Hostile:
    """Answers by a command's arguments, in any pieces, with anything before, behind and inside."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self.answers = 0

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError):
            while True:
                await self._answer(await command(reader), writer)
        writer.transport.abort()

    async def aclose(self) -> None:
        await asyncio.sleep(0.01)  # what was accepted last is met by then
        while self._open:
            task, writer = self._open.popitem()
            writer.transport.abort()
            await asyncio.wait([task])
        await asyncio.sleep(0)

    async def _answer(self, asked: list[bytes], writer: asyncio.StreamWriter) -> None:
        if asked[0] != b"MGET":  # how clients introduce themselves
            writer.write(HELLO if asked[0] == b"HELLO" else b"+OK\r\n")
            return
        self.answers += 1
        keys = asked[1:]
        whole = b"*%d\r\n" % len(keys) + b"".join(map(bulk, keys))
        inside = b"*%d\r\n" % len(keys) + b"-ERR inside\r\n" + b"".join(map(bulk, keys[1:]))
        error = b"-ERR refused\r\n"
        parts = self._rng.choice(
            [[whole]] * 6
            + [[PUSH, whole], [whole, PUSH], [error], [error, PUSH], [PUSH, error], [inside]]
            + [[whole[: self._rng.randrange(len(whole))], b""]]
        )
        for data in parts:
            if not data:
                raise OSError("hang up in the middle")
            await self._send(data, writer)

    async def _send(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        at, longest = 0, self._rng.choice([1, 3, 20, 10_000])
        while at < len(data):
            size = self._rng.randrange(longest) + 1
            writer.write(data[at : at + size])
            at += size
            if self._rng.random() < 0.3:
                await asyncio.sleep(0)
            if writer.is_closing():
                raise OSError("the client hung up")
        await writer.drain()


Give = Callable[[int, str], Awaitable[tuple[Hostile, Any]]]


@pytest.fixture
async def give() -> AsyncIterator[Give]:
    """Return what starts a server and gives a client of it."""
    async with contextlib.AsyncExitStack() as ends:

        async def made(seed: int, query: str) -> tuple[Hostile, Any]:
            hostile = Hostile(seed)
            server = await asyncio.start_server(hostile.meet, "127.0.0.1", 0)
            ends.push_async_callback(hostile.aclose)
            ends.callback(server.close)
            port = server.sockets[0].getsockname()[1]
            client = client_of(f"redis://127.0.0.1:{port}?{query}", timeout=5, limited=False)
            ends.push_async_callback(client.aclose)
            return hostile, client

        yield made


@pytest.mark.parametrize("query", ["protocol=2", "protocol=3", "protocol=3&max_connections=3"])
@pytest.mark.parametrize("seed", range(4))
async def test_every_answer_is_ones_own(give: Give, query: str, seed: int) -> None:
    hostile, client = await give(seed, query)
    wire, rng = Wire(client, exceptions), random.Random(seed)
    right = 0

    async def ask(n: int) -> None:
        nonlocal right
        keys = [f"{n}:{i}".encode() for i in range(rng.randrange(1, 5))]
        with contextlib.suppress(exceptions.RedisError, OSError):
            assert await wire.call("MGET", *keys) == keys
            right += 1

    async def work(first: int) -> None:
        for n in range(first, first + 60):
            task = asyncio.ensure_future(ask(n))
            if rng.random() < 0.3:
                for _ in range(rng.randrange(8)):
                    await asyncio.sleep(0)
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    await asyncio.gather(*(work(first) for first in range(0, 600, 100)))
    assert right > 100
    assert hostile.answers >= right
    assert not client.connection_pool._in_use_connections
