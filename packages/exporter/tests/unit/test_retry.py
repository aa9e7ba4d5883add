"""Failed exports run again."""

import pytest

from exporter import (
    ExportError,
    ExportNotFound,
    ExportService,
    ExportSource,
    ExportStatus,
)
from exporter.adapters.histories.memory import MemoryHistory
from exporter.adapters.storages.memory import MemoryStorage
from exporter.testing import FakeClock
from small_exports import CSV, ended


async def test_retry(service: ExportService) -> None:
    broken = True

    @service.source("flaky")
    async def load(id: str) -> dict:
        if broken:
            raise OSError("no")
        return {"rows": [{"a": 1}]}

    job = await ended(service, ExportSource("flaky", "1"), "csv", user_id="u")
    assert (job.status, job.attempts) == ("failed", 1)
    with pytest.raises(ExportError, match="failed") as caught:
        await service.download(job.id)
    assert caught.value.reason == "failed"
    broken = False
    with pytest.raises(ExportNotFound):
        await service.retry(job.id, user_id="other")
    again = await service.retry(job.id, user_id="u")
    assert (again.id, again.status, again.error) == (job.id, "pending", None)
    done = await service.wait(job.id, 60)
    assert (done.status, done.attempts) == ("completed", 2)
    assert await service.download(job.id) == CSV
    with pytest.raises(ExportError, match="completed") as caught:
        await service.retry(job.id)
    assert caught.value.reason == "not_failed"


async def test_retry_without_the_data(clock: FakeClock) -> None:
    history, storage = MemoryHistory(), MemoryStorage()
    first = ExportService(history=history, storage=storage)
    bad = ExportSource("custom", "1", {"rows": 5})
    job = await ended(first, bad, "csv")
    assert (await first.retry(job.id)).id == job.id  # remembered here
    await first.wait(job.id, 60)
    once = await ended(first, ExportSource("custom", "1", iter([5])), "csv")
    with pytest.raises(ExportError) as caught:
        await first.retry(once.id)
    assert caught.value.reason == "no_source"
    await first.aclose()
    second = ExportService(history=history, storage=storage)
    with pytest.raises(ExportError) as caught:
        await second.retry(job.id)
    assert caught.value.reason == "no_source"

    @second.source("custom")
    async def load(id: str) -> dict:
        return {"rows": [{"a": 1}]}

    await second.retry(job.id)
    assert (await second.wait(job.id, 60)).status is ExportStatus.COMPLETED
    await second.aclose()
