"""The history on a real PostgreSQL passes the suite, and the service works on it."""

from collections.abc import AsyncIterator

import pytest

pytest.importorskip("asyncpg")
pytest.importorskip("sqlalchemy")

from exporter import ConfigurationError, ExportService, ExportSource
from exporter.adapters.histories.sql import SQLHistory
from exporter.ports import HistoryStore
from exporter.testing import HistoryStoreSuite

pytestmark = pytest.mark.integration


class TestPostgres(HistoryStoreSuite):
    @pytest.fixture
    async def history(self, postgres_url: str) -> AsyncIterator[HistoryStore]:
        history = SQLHistory(postgres_url)
        await history.setup()
        yield history
        await history.aclose()


async def test_missing_tables_name_the_command(postgres_url: str) -> None:
    async with ExportService.from_url("memory://", history=postgres_url) as service:
        with pytest.raises(ConfigurationError, match="exporter schema upgrade"):
            await service.history.get("x")


async def test_an_export(postgres_url: str) -> None:
    async with ExportService.from_url("memory://", history=postgres_url) as service:
        await service.setup()
        source = ExportSource("custom", "1", {"rows": [{"a": 1}]})
        jobs = [await service.export(source, "csv", user_id="u") for _ in range(5)]
        for job in jobs:
            assert (await service.wait(job.id, 60)).status == "completed"
        assert len(await service.list_exports("u")) == 5
