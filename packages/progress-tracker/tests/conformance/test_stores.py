"""Every store passes the suite."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from progress_tracker.adapters.memory import MemoryStore
from progress_tracker.ports import ProgressStore
from progress_tracker.storing.read_cache import CachedStore
from progress_tracker.testing import FakeClock, ProgressStoreSuite


class TestMemoryStore(ProgressStoreSuite):
    @pytest.fixture
    def store(self) -> ProgressStore:
        return MemoryStore()


class TestSQLStore(ProgressStoreSuite):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[ProgressStore]:
        pytest.importorskip("sqlalchemy")
        from progress_tracker.adapters.sql import SQLStore

        async with SQLStore(f"sqlite:///{tmp_path}/progress.db") as store:
            yield store


class TestCachedStore(ProgressStoreSuite):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[ProgressStore]:
        pytest.importorskip("sqlalchemy")
        from progress_tracker.adapters.sql import SQLStore

        inner = SQLStore(f"sqlite:///{tmp_path}/progress.db", table="other")
        async with CachedStore(inner, ttl=60, clock=FakeClock()) as store:
            store.listening(now=True)
            yield store
