"""Every tier and backplane passes its suite."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from _common.proxy import Proxy
from tiered_cache import BackendError, UnsupportedOperationError
from tiered_cache.adapters import foreign_policies
from tiered_cache.adapters.memory import MemoryBackplane, MemoryRemote
from tiered_cache.adapters.policies import BoundedTier, LruTier, S3FifoTier, SieveTier
from tiered_cache.adapters.sqlite import PollingBackplane, SQLiteTier
from tiered_cache.ports import LATEST, Backplane, LocalTier, RemoteTier, Write
from tiered_cache.testing import BackplaneSuite, LocalTierSuite, RemoteTierSuite


class BoundedSuite(LocalTierSuite):
    kind: type[BoundedTier] = LruTier

    @pytest.fixture
    def tier(self) -> LocalTier:
        return self.kind(10)

    def test_bytes_are_bounded(self) -> None:
        tier = self.kind(10, max_bytes=350)
        for n in range(6):
            tier.set(str(n), self.entry(n))
            assert tier.size <= 350
        tier.set("giant", self.entry(size=1000))
        assert tier.get("giant") is None


class TestLruTier(BoundedSuite):
    kind = LruTier


class TestS3FifoTier(BoundedSuite):
    kind = S3FifoTier


class TestSieveTier(BoundedSuite):
    kind = SieveTier


class TestCachetoolsTier(BoundedSuite):
    @pytest.fixture(autouse=True, params=["", "Lru", "Fifo", "Random"])
    def _kind(self, request: pytest.FixtureRequest) -> None:
        pytest.importorskip("cachetools")
        self.kind = getattr(foreign_policies, f"Cachetools{request.param}Tier")
        self.order = request.param

    def test_used_entries_survive(self, tier: LocalTier) -> None:
        if self.order in {"Fifo", "Random"}:
            pytest.skip("the policy does not look at use")
        super().test_used_entries_survive(tier)


class TestTheineTier(LocalTierSuite):
    slack = 200  # it drops what is too much in batches

    @pytest.fixture
    def tier(self) -> LocalTier:
        pytest.importorskip("theine")
        return foreign_policies.TheineTier(10)

    def test_it_has_no_limit_in_bytes(self) -> None:
        with pytest.raises(UnsupportedOperationError, match="max_bytes"):
            foreign_policies.TheineTier(10, 1000)


class TestMemoryRemote(RemoteTierSuite):
    @pytest.fixture
    def tier(self) -> RemoteTier:
        return MemoryRemote()


class TestSQLiteTier(RemoteTierSuite):
    @pytest.fixture
    async def tier(self, tmp_path: Path) -> AsyncIterator[RemoteTier]:
        tier = SQLiteTier(f"sqlite:///{tmp_path}/cache.db")
        yield tier
        await tier.aclose()


class TestMemoryBackplane(BackplaneSuite):
    @pytest.fixture
    async def pair(self) -> AsyncIterator[tuple[Backplane, Backplane]]:
        first = MemoryBackplane()
        second = MemoryBackplane(first.hub)
        yield first, second
        await first.aclose()
        await second.aclose()


class TestPollingBackplane(BackplaneSuite):
    @pytest.fixture
    async def pair(self, tmp_path: Path) -> AsyncIterator[tuple[Backplane, Backplane]]:
        url = f"sqlite:///{tmp_path}/cache.db"
        first, second = (PollingBackplane(url, interval=0.01) for _ in range(2))
        yield first, second
        await first.aclose()
        await second.aclose()


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

    async def test_an_evicted_tag_makes_misses(self, tier: Any) -> None:
        """A version that memcached lost must not make values valid that are older."""
        before = (await tier.read([], ["t"])).versions["t"]
        await tier.bump(["t"])
        await tier._memcached.delete(tier._name("t", "t"))
        after = (await tier.read([], ["t"])).versions["t"]
        assert after.version > before.version
        await tier._memcached.delete(tier._name("t", LATEST))
        await tier._memcached.delete(tier._name("t", "t"))
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
