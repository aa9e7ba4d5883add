"""Every backplane passes the same suite."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from notify import Backplane
from notify.adapters.local import MemoryBackplane
from notify.testing import BackplaneSuite, entry


class TestMemoryBackplane(BackplaneSuite):
    @pytest.fixture
    def pair(self) -> Sequence[Backplane]:
        first = MemoryBackplane()
        return first, first.twin()


class TestPollingBackplane(BackplaneSuite):
    @pytest.fixture
    async def pair(self, tmp_path: Path) -> AsyncIterator[Sequence[Backplane]]:
        pytest.importorskip("sqlalchemy")
        from notify.adapters.polling import PollingBackplane

        pair = [PollingBackplane(f"sqlite:///{tmp_path}/n.db") for _ in range(2)]
        yield pair
        for each in pair:
            await each.aclose()

    @pytest.fixture
    async def write(self, tmp_path: Path) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        from notify.adapters.sql import SQLStore

        store = SQLStore(f"sqlite:///{tmp_path}/n.db", synchronous="OFF")

        async def add() -> None:
            await store.add([entry()])

        await add()
        yield add
        await store.aclose()


class TestRedisBackplane(BackplaneSuite):
    @pytest.fixture
    async def pair(self, redis_url: str, redis_prefix: str) -> AsyncIterator[Sequence[Backplane]]:
        pytest.importorskip("redis")
        from notify.adapters.redis.backplane import RedisBackplane

        pair = [RedisBackplane(redis_url, prefix=redis_prefix) for _ in range(2)]
        yield pair
        for each in pair:
            await each.aclose()
