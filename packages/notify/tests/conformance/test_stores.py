"""Every store passes the same suite."""

from collections.abc import AsyncIterator

import pytest

from notify import NotificationStore
from notify.adapters.memory import MemoryStore
from notify.testing import NotificationStoreSuite


class TestMemoryStore(NotificationStoreSuite):
    @pytest.fixture
    def store(self) -> NotificationStore:
        return MemoryStore()


class TestSQLiteStore(NotificationStoreSuite):
    @pytest.fixture
    async def store(self, sqlite_url: str) -> AsyncIterator[NotificationStore]:
        from notify.adapters.sql import SQLStore

        store = SQLStore.from_url(sqlite_url)
        yield store
        await store.aclose()


class TestRedisStore(NotificationStoreSuite):
    @pytest.fixture
    async def store(self, redis_url: str, redis_prefix: str) -> AsyncIterator[NotificationStore]:
        pytest.importorskip("redis")
        from notify.adapters.redis.store import RedisStore

        store = RedisStore(redis_url, prefix=redis_prefix)
        yield store
        await store.aclose()
