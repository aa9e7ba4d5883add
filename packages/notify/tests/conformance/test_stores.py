"""Every store passes the same suite."""

from collections.abc import AsyncIterator
from pathlib import Path

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
    async def store(self, tmp_path: Path) -> AsyncIterator[NotificationStore]:
        pytest.importorskip("sqlalchemy")
        from notify.adapters.sql import SQLStore

        store = SQLStore.from_url(f"sqlite:///{tmp_path}/n.db?synchronous=OFF", table="inbox")
        yield store
        await store.aclose()
