"""memcached passes the suite, and loses items without anything old being served."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from _common.proxy import Proxy
from tiered_cache import BackendError
from tiered_cache.ports import LATEST, RemoteTier, TagVersion, Write
from tiered_cache.testing import FakeClock, RemoteTierSuite

Evict = Callable[..., Awaitable[None]]


def client_of(url: str) -> Any:
    import aiomcache

    server = urlsplit(url)
    return aiomcache.Client(server.hostname or "", server.port or 0, pool_size=1)


@pytest.mark.integration
class TestMemcachedTier(RemoteTierSuite):
    tells_new_tags = False  # it may evict any version

    @pytest.fixture
    async def tier(self, memcached_url: str, redis_prefix: str) -> AsyncIterator[RemoteTier]:
        pytest.importorskip("aiomcache")
        from tiered_cache.adapters.memcached import MemcachedTier

        tier = MemcachedTier(memcached_url, key_prefix=redis_prefix)
        yield tier
        await tier.aclose()

    @pytest.fixture
    async def evict(self, memcached_url: str) -> AsyncIterator[Evict]:
        """Give a way to lose items."""
        pytest.importorskip("aiomcache")
        client = client_of(memcached_url)

        async def lose(*names: bytes) -> None:
            for name in names:
                assert await client.delete(name)

        yield lose
        await client.close()

    @pytest.fixture
    async def write_raw(self, memcached_url: str) -> AsyncIterator[Evict]:
        """Give a way to store what is none of ours."""
        pytest.importorskip("aiomcache")
        client = client_of(memcached_url)
        yield client.set
        await client.close()

    async def test_an_evicted_tag_makes_misses(self, tier: Any, evict: Evict) -> None:
        """A version that memcached lost must not make values valid that are older."""
        before = (await tier.read([], ["t"])).versions["t"]
        await tier.bump(["t"])
        await evict(tier._name("t", "t"))
        after = (await tier.read([], ["t"])).versions["t"]
        assert after.version > before.version
        await evict(tier._name("t", LATEST), tier._name("t", "t"))
        assert (await tier.read([], ["t"])).versions["t"].version > after.version

    async def test_too_large_a_value_is_refused(self, tier: RemoteTier) -> None:
        with pytest.raises(BackendError):
            await tier.write([Write("k", b"x" * 2_000_000, 60)])
        assert await self.value(tier, "k") is None

    async def test_an_answer_goes_to_nobody_else(
        self, memcached_url: str, redis_prefix: str
    ) -> None:
        """Who gives a command up leaves its answer behind; the next command must not read it."""
        pytest.importorskip("aiomcache")
        from tiered_cache.adapters.memcached import MemcachedTier

        with Proxy(int(memcached_url.rpartition(":")[2])) as proxy:
            tier = MemcachedTier(f"memcached://127.0.0.1:{proxy.port}", key_prefix=redis_prefix)
            await tier.write([Write(key, key.encode(), 60) for key in "abcdef"])
            proxy.delay = 0.3
            for key in "abcd":  # as many as there are connections
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await tier.read([key], [])
            proxy.delay = 0.0
            for key in "fedcba":
                assert dict((await tier.read([key], [])).values) == {key: key.encode()}
            await tier.aclose()

    @pytest.mark.parametrize("last_words", [b"", b"STOR"])
    async def test_a_server_that_ends_within_an_answer(self, last_words: bytes) -> None:
        """Nothing else would run any more, and no time limit end, if that were waited for."""
        pytest.importorskip("aiomcache")
        from tiered_cache.adapters.memcached import MemcachedTier

        served: list[Any] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            served.append(asyncio.current_task())
            while line := await reader.readline():
                writer.write(b"END\r\n" if line.startswith(b"gets") else last_words)
                if line.startswith(b"add"):
                    break
            writer.close()
            await writer.wait_closed()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            tier = MemcachedTier(f"memcached://127.0.0.1:{port}")
            with pytest.raises(BackendError, match="the server ended the connection"):
                await tier.write([Write("k", b"v", 60)])
            await tier.aclose()
            await asyncio.gather(*served)

    async def test_a_lost_fence_stops_a_fill(self, tier: Any, evict: Evict) -> None:
        """Nobody knows whether the key was deleted since: that is not stored."""
        fence = (await tier.read(["k"], [])).fences["k"]
        await tier.delete(["k"])
        await evict(tier._value("k"))
        assert list(await tier.write([Write("k", b"old", 60, fence)])) == [False]
        again = (await tier.read(["k"], [])).fences["k"]
        assert again != fence
        assert list(await tier.write([Write("k", b"old", 60, fence)])) == [False]
        assert list(await tier.write([Write("k", b"new", 60, again)])) == [True]

    async def test_a_hard_bump_that_a_soft_one_overtakes(self, tier: Any) -> None:
        """What was invalidated for good stays so, whoever writes first."""
        old = (await tier.read([], ["t"])).versions["t"]
        versions = tier._versions
        async with tier._connections.held() as held:
            mine = await versions.reserve(held, 1)
            soft = (await tier.bump(["t"], soft=True))["t"]
            made = (await versions.lift(held, {"t": mine}, soft=False))["t"]
        assert made == TagVersion(soft.version, mine)
        assert mine > old.version
        assert (await tier.read([], ["t"])).versions["t"] == made

    async def test_a_server_that_begins_anew_behind(
        self, memcached_url: str, redis_prefix: str, evict: Evict
    ) -> None:
        """It was emptied, and whose clock is behind began its versions: others know higher ones."""
        from tiered_cache.adapters.memcached import MemcachedTier

        clock = FakeClock()
        ahead: Any = MemcachedTier(memcached_url, key_prefix=redis_prefix)
        behind = MemcachedTier(memcached_url, key_prefix=redis_prefix, clock=clock)
        before = (await ahead.bump(["t"]))["t"]
        await evict(ahead._name("t", LATEST), ahead._name("t", "t"))
        assert (await behind.bump(["t"]))["t"] < before
        found = (await ahead.read([], ["t", LATEST])).versions
        assert found["t"] > before
        assert found[LATEST] >= found["t"]
        assert (await behind.read([], ["t"])).versions["t"] == found["t"]
        assert (await behind.bump(["t"]))["t"] > found["t"]
        await ahead.aclose()
        await behind.aclose()

    async def test_what_is_no_version(self, tier: Any, write_raw: Evict) -> None:
        await write_raw(tier._name("t", "t"), b"<html>")
        with pytest.raises(BackendError, match="no version of ours"):
            await tier.read([], ["t"])
        assert (await tier.read(["k"], [])).values == {}

    @pytest.mark.parametrize("data", [b"", b"foreign", b"\0" * 40])
    async def test_foreign_bytes_are_a_miss(self, tier: Any, write_raw: Evict, data: bytes) -> None:
        await write_raw(tier._value("k"), data)
        found = await tier.read(["k"], [])
        assert found.values == {}
        assert list(await tier.write([Write("k", b"v", 60, found.fences["k"])])) == [True]
        assert await self.value(tier, "k") == b"v"
