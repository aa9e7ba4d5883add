"""Every backplane passes the suite."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from progress_tracker import rules
from progress_tracker.adapters.memory import MemoryBackplane
from progress_tracker.adapters.polling import PollingBackplane
from progress_tracker.ports import Backplane, ProgressStore
from progress_tracker.testing import BackplaneSuite, record, store_rule


class TestMemoryBackplane(BackplaneSuite):
    @pytest.fixture
    async def backplane(self) -> AsyncIterator[Backplane]:
        async with MemoryBackplane() as backplane:
            yield backplane


class TestPollingBackplane(BackplaneSuite):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[ProgressStore]:
        pytest.importorskip("sqlalchemy")
        from progress_tracker.adapters.sql import SQLStore

        async with SQLStore(f"sqlite:///{tmp_path}/progress.db") as store:
            for id in ("x", "y"):
                await store.create(record(id))
            yield store

    @pytest.fixture
    async def backplane(self, store: ProgressStore) -> AsyncIterator[Backplane]:
        async with PollingBackplane(store, interval=0.01) as backplane:
            yield backplane

    @pytest.fixture
    def change(self, store: ProgressStore) -> Any:
        """Another process writes; nobody tells us."""

        async def write(id: str) -> None:
            await store_rule(store, id, lambda base: rules.advance(base, base.updated_at + 1, 1))

        return write
