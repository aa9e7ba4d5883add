"""Keys beyond those of the users' specification: each has its effect, and its range."""

from pathlib import Path

import pytest

from exporter import ConfigurationError, Executor, ExportService, ExportSource, Settings
from exporter.adapters.histories.memory import MemoryHistory
from exporter.adapters.storages.memory import MemoryStorage
from exporter.testing import FakeClock
from small_exports import ROWS


def test_parquet_keys(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    keys = {"row_group": 1, "types": {"a": "number"}}
    settings = Settings.from_mapping({"formats": {"parquet": keys}})
    ExportService(settings).export_to(tmp_path / "x.parquet", ROWS)
    table = parquet.ParquetFile(tmp_path / "x.parquet")
    assert str(table.schema_arrow.field("a").type) == "double"
    with pytest.raises(ConfigurationError, match="row_group"):
        Settings.from_mapping({"formats": {"parquet": {"row_group": 0}}})
    with pytest.raises(ConfigurationError, match="types"):
        Settings.from_mapping({"formats": {"parquet": {"types": {"a": "decimal"}}}})


@pytest.mark.parametrize(
    "keys",
    [
        {"jobs": {"executor": "fibers"}},
        {"jobs": {"worker_memory": 0}},
        {"jobs": {"queue_timeout": 0}},
        {"templates": {"timeout": 0}},
        {"templates": {"memory": 1}},
        {"templates": {"max_data": 0}},
    ],
)
def test_values_that_cannot_be(keys: dict) -> None:
    [(section, values)] = keys.items()
    with pytest.raises(ConfigurationError, match=rf"\$\.{section}\.{next(iter(values))}"):
        Settings.from_mapping(keys)


async def test_queue_timeout() -> None:
    class Silent(Executor):
        async def submit(self, job_id: str) -> None:
            pass

        async def cancel(self, job_id: str) -> None:
            pass

    clock = FakeClock()
    settings = Settings.from_mapping({"jobs": {"queue_timeout": 500}})
    parts = {"storage": MemoryStorage(), "history": MemoryHistory(clock=clock)}
    async with ExportService(settings, executor=Silent(), clock=clock, **parts) as service:
        service.source("talk")(lambda _: {})
        job = await service.export(ExportSource("talk", "1"), "txt")
        await clock.advance(499)
        await service.cleanup()
        assert (await service.get_job(job.id)).status == "pending"
        await clock.advance(2)
        await service.cleanup()
        assert (await service.get_job(job.id)).status == "failed"
