"""The SQL store on a real PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from progress_tracker import ConfigurationError, ProgressTracker
from progress_tracker.ports import ProgressStore
from progress_tracker.testing import ProgressStoreSuite

pytestmark = pytest.mark.integration


class TestPostgresStore(ProgressStoreSuite):
    @pytest.fixture
    async def store(self, postgres_url: str) -> AsyncIterator[ProgressStore]:
        pytest.importorskip("asyncpg")
        from progress_tracker.adapters.sql import SQLStore

        async with SQLStore(postgres_url) as store:
            await store.setup()
            yield store


async def test_a_server_without_tables_names_the_command(postgres_url: str) -> None:
    pytest.importorskip("asyncpg")
    async with ProgressTracker.from_url(postgres_url) as tracker:
        with pytest.raises(ConfigurationError, match="progress-tracker schema upgrade"):
            await tracker.create(id="x")
        await tracker.setup()
        await tracker.create(id="x")
        async with tracker.track(parent_id="x") as part:
            part.update(50)
        assert (await tracker.get("x")).progress == 100
