"""Redis passes the suites."""

from collections.abc import AsyncIterator

import pytest

from _common.server import Server
from progress_tracker.ports import Backplane, ProgressStore
from progress_tracker.testing import BackplaneSuite, ProgressStoreSuite

redis = pytest.importorskip("redis")
pytestmark = pytest.mark.integration

from progress_tracker.adapters.redis.backplane import RedisBackplane  # noqa: E402  may be absent
from progress_tracker.adapters.redis.store import RedisStore  # noqa: E402


class TestRedisStore(ProgressStoreSuite):
    @pytest.fixture
    async def store(self, redis_server: Server, redis_prefix: str) -> AsyncIterator[ProgressStore]:
        async with RedisStore(redis_server.url, prefix=redis_prefix) as store:
            yield store


class TestRedisBackplane(BackplaneSuite):
    @pytest.fixture
    async def backplane(self, redis_server: Server, redis_prefix: str) -> AsyncIterator[Backplane]:
        async with RedisBackplane(redis_server.url, prefix=redis_prefix) as backplane:
            yield backplane
