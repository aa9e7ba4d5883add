"""A command that was given up reaches Redis all the same, later: it may not undo later ones."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

pytest.importorskip("redis")

from _common.server import Server
from tiered_cache import CacheProvider, Settings

pytestmark = [pytest.mark.chaos, pytest.mark.integration, pytest.mark.slow]


class SlowWay:
    """Stands before a server and keeps what clients send while ``goes`` is not set.

    Unlike the proxy that loses bytes, it delivers them afterwards, also where the client has hung
    up meanwhile, as a network does.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.goes = threading.Event()
        self.goes.set()
        self.kept = threading.Semaphore(0)
        """Released for whatever is kept back."""
        self._threads = [threading.Thread(target=self._accept)]
        self._sockets: list[socket.socket] = []
        self._threads[0].start()

    def close(self) -> None:
        self.goes.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._threads[0].join()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for each in self._threads:
            each.join()
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listening.accept()
            except OSError:
                return
            there = socket.create_connection(("127.0.0.1", self._target))
            self._sockets += [here, there]
            for source, sink, up in ((here, there, True), (there, here, False)):
                thread = threading.Thread(target=self._carry, args=(source, sink, up))
                self._threads.append(thread)
                thread.start()

    def _carry(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if up and not self.goes.is_set():
                    self.kept.release()
                    self.goes.wait()
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def make(port: int | None, timeout: float) -> CacheProvider:
    l2 = {"connection_string": f"redis://127.0.0.1:{port}", "timeout": timeout}
    # L1 apart: what L2 has is looked at here
    return CacheProvider(Settings.from_mapping({"l1": {"enabled": False}, "l2": l2}))


@pytest.fixture
def way(own_redis: Server) -> Iterator[SlowWay]:
    assert own_redis.port is not None
    made = SlowWay(own_redis.port)
    yield made
    made.close()


@pytest.fixture
async def other(own_redis: Server) -> AsyncIterator[CacheProvider]:
    async with make(own_redis.port, 5.0) as made:
        yield made


async def given_up(cache: CacheProvider, way: SlowWay, call: Any) -> None:
    """Make a change whose command is kept on its way for longer than the cache waits."""
    way.goes.clear()
    await call()
    assert (await cache.get_stats()).breaker == "open"
    while way.kept.acquire(blocking=False):
        pass


@pytest.mark.parametrize("change", ["delete", "set"])
async def test_a_late_set_does_not_undo_a_later_change(
    way: SlowWay, other: CacheProvider, change: str
) -> None:
    async with make(way.port, 0.2) as cache:
        await cache.set("k", "first")
        await given_up(cache, way, lambda: cache.set("k", "late"))
        if change == "delete":
            assert (await other.delete("k")).confirmed
        else:
            await other.set("k", "newer")
        expected = None if change == "delete" else "newer"
        assert await other.get("k") == expected
        seen = await executed(other)
        way.goes.set()
        while await executed(other) == seen:
            await asyncio.sleep(0.005)
        # the command has come; what the cache replays by itself comes a second later at the
        # earliest, and drops the value where it does not know who was last
        assert await other.get("k") in {expected, None}
        assert await other.get("k") != "late"


async def executed(cache: CacheProvider) -> int:
    """Return how many scripts the server has run for those who store."""
    shared: Any = (await cache.opened()).shared
    found = await shared.remote._redis.info("commandstats")
    counts = (found.get(f"cmdstat_{name}", {}) for name in ("evalsha", "eval"))
    return sum(int(each.get("calls", 0)) for each in counts)
