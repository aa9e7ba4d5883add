"""Every tier and backplane passes its suite."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tiered_cache import UnsupportedOperationError
from tiered_cache.adapters import foreign_policies
from tiered_cache.adapters.memory import MemoryBackplane, MemoryRemote
from tiered_cache.adapters.policies import BoundedTier, LruTier, S3FifoTier, SieveTier
from tiered_cache.adapters.sqlite import PollingBackplane, SQLiteTier
from tiered_cache.ports import Backplane, LocalTier, RemoteTier
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
    # it learns of reads by sixteens, each in one of four buffers a core, by chance
    reads = 20 * (os.cpu_count() or 1)

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
