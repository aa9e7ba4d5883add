"""Every history passes the suite."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter.adapters.histories.memory import MemoryHistory
from exporter.ports import HistoryStore
from exporter.testing import FakeClock, HistoryStoreSuite


class TestMemory(HistoryStoreSuite):
    @pytest.fixture
    def history(self, clock: FakeClock) -> HistoryStore:
        return MemoryHistory(clock=clock)


class TestSQLite(HistoryStoreSuite):
    @pytest.fixture
    async def history(self, tmp_path: Path) -> AsyncIterator[HistoryStore]:
        pytest.importorskip("sqlalchemy")
        from exporter.adapters.histories.sql import SQLHistory

        history = SQLHistory(f"sqlite:///{tmp_path}/history.db")
        yield history
        await history.aclose()
