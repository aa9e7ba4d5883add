"""Heartbeats that look while something else is on its way to the history."""

import asyncio
from typing import Any

import pytest

from exporter import ExportService, ExportSource, ExportStatus
from exporter._common.clock import settle
from exporter.adapters.histories.memory import MemoryHistory
from exporter.adapters.storages.memory import MemoryStorage
from exporter.ports import HistoryCapabilities
from exporter.testing import FakeClock
from small_exports import Gate


class Slow(MemoryHistory):
    """The beginning of a job is stored when it may ``go_on``; who asks meanwhile hears ``late``."""

    capabilities = HistoryCapabilities(notes=True, shared=True)

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self.storing, self.asked = asyncio.Event(), asyncio.Event()
        self.go_on, self.late = asyncio.Event(), asyncio.Event()

    async def save(self, record: Any) -> bool:
        if record.status is ExportStatus.PROCESSING and not self.storing.is_set():
            self.storing.set()
            await self.go_on.wait()
        return await super().save(record)

    async def get(self, job_id: str) -> Any:
        found = await super().get(job_id)
        if self.storing.is_set() and not self.asked.is_set():
            self.asked.set()
            await self.late.wait()
        return found


@pytest.mark.parametrize("answer", ["while it is stored", "after it was stored"])
async def test_looking_while_the_beginning_is_stored_cancels_nothing(answer: str) -> None:
    """That the history knew nothing of it yet does not mean that somebody has changed it."""
    clock, gate = FakeClock(), Gate()
    history = Slow(clock)
    async with (
        ExportService(storage=MemoryStorage(), history=history, clock=clock) as service,
        asyncio.timeout(60),
    ):
        job = await service.export(ExportSource("custom", "1", gate), "csv")
        await history.storing.wait()
        await clock.advance(1)
        await history.asked.wait()
        if answer == "while it is stored":
            history.late.set()
            await settle()
        history.go_on.set()
        await gate.wait()
        history.late.set()
        await settle()
        gate.release.set()
        assert (await service.wait(job.id)).status is ExportStatus.COMPLETED
