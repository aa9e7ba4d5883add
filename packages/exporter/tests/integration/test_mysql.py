"""The history on a real MariaDB passes the suite, and the service works on it."""

from collections.abc import AsyncIterator

import pytest

pytest.importorskip("asyncmy")
pytest.importorskip("sqlalchemy")

from exporter import ConfigurationError, ExportService, ExportSource
from exporter.adapters.histories.mysql import MySQLHistory
from exporter.ports import HistoryStore
from exporter.registry import history_from_url
from exporter.testing import FakeClock, HistoryStoreSuite, record

pytestmark = pytest.mark.integration


class TestMySQL(HistoryStoreSuite):
    @pytest.fixture
    async def history(self, mysql_url: str) -> AsyncIterator[HistoryStore]:
        history = MySQLHistory(mysql_url)
        await history.setup()
        yield history
        await history.aclose()

    async def test_names_that_look_alike_are_two(self, history: HistoryStore) -> None:
        """Collations take case, accents and spaces at the end for nothing; these are others."""
        first = await history.create(record(user_id="ann", idempotency_key="key"))
        for user, key in (("Ann", "key"), ("ann ", "key"), ("änn", "key"), ("ann", "Key")):
            made = await history.create(record(user_id=user, idempotency_key=key))
            assert made.id != first.id
        again = await history.create(record(user_id="ann", idempotency_key="key"))
        assert again.id == first.id

    async def test_the_longest_names(self, history: HistoryStore) -> None:
        """500 characters of four bytes each, in every name."""
        long = "\U0001f600" * 500
        names = {"user_id": long, "idempotency_key": long, "source_type": long, "source_id": long}
        first = await history.create(record(**names))
        assert (await history.create(record(**names))).id == first.id
        assert (await history.get(first.id)).idempotency_key == long


async def test_missing_tables_name_the_command(mysql_url: str) -> None:
    async with ExportService.from_url("memory://", history=mysql_url) as service:
        with pytest.raises(ConfigurationError, match="exporter schema upgrade"):
            await service.history.get("x")


@pytest.mark.parametrize("scheme", ["mysql", "mariadb"])
async def test_an_export(mysql_url: str, scheme: str) -> None:
    url = mysql_url.replace("mysql://", f"{scheme}://")
    async with ExportService.from_url("memory://", history=url) as service:
        await service.setup()
        await service.setup()
        source = ExportSource("custom", "1", {"rows": [{"a": 1}]})
        jobs = [await service.export(source, "csv", user_id="u") for _ in range(5)]
        for job in jobs:
            assert (await service.wait(job.id, 60)).status == "completed"
        assert len(await service.list_exports("u")) == 5
        assert "exporter_jobs" in service.history.schema_sql()


def test_the_url_of_another(clock: FakeClock) -> None:
    with pytest.raises(ConfigurationError, match="not a SQL history"):
        MySQLHistory("sqlite:///x.db")
    assert isinstance(history_from_url("mysql://h/x", clock=clock), MySQLHistory)
