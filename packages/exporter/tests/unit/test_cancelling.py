"""Cancelling, here and by another process; heartbeats and processes taken for dead."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from exporter import (
    BackendError,
    Executor,
    ExportCancelled,
    ExportError,
    ExportJob,
    ExportService,
    ExportSource,
    ExportStatus,
    Settings,
)
from exporter._common.clock import settle
from exporter.adapters.histories.memory import MemoryHistory
from exporter.adapters.storages.memory import MemoryStorage
from exporter.testing import FakeClock, record
from small_exports import ROWS, Gate, ended


async def test_cancel_while_waiting_and_running() -> None:
    settings = Settings.from_mapping(
        {"storage": {"url": "memory://"}, "history": {"url": "memory://"}, "jobs": {"workers": 1}}
    )
    gate = Gate()
    async with ExportService(settings) as service:
        runs = await service.export(ExportSource("custom", "1", gate), "csv")
        waits = await service.export(ROWS, "csv")
        await gate.wait()
        for job in (runs, waits):
            assert await service.cancel(job.id)
            assert not await service.cancel(job.id)
        for job in (runs, waits):  # at once: what runs waits for the gate, and longer than we do
            assert (await service.wait(job.id, 60)).status is ExportStatus.CANCELLED
            with pytest.raises(ExportCancelled):
                await service.download(job.id)
        gate.release.set()
        assert (await ended(service, ROWS, "csv")).status is ExportStatus.COMPLETED
        assert len([found async for found in service.storage.list_keys()]) == 1
        assert (await service.get_stats()).cancelled == 2


async def test_cancel_by_another_process() -> None:
    history, storage, gate = MemoryHistory(), MemoryStorage(), Gate()
    settings = Settings.from_mapping({"jobs": {"lease": 1}})
    clock = FakeClock()
    here = ExportService(settings, storage=storage, history=history, clock=clock)
    there = ExportService(settings, storage=storage, history=history, clock=clock)
    job = await here.export(ExportSource("custom", "1", gate), "csv")
    await gate.wait()
    assert await there.cancel(job.id)
    await clock.advance(1)  # the next heartbeat
    gate.release.set()
    async with asyncio.timeout(60):
        while (await here.get_stats()).active:
            await asyncio.sleep(0.001)
    assert (await here.wait(job.id, 60)).status is ExportStatus.CANCELLED
    assert [found async for found in storage.list_keys()] == []
    await here.aclose()
    await there.aclose()


async def test_a_silent_process_is_taken_for_dead() -> None:
    history, storage, clock, gate = MemoryHistory(), MemoryStorage(), FakeClock(), Gate()
    frozen = ExportService(storage=storage, history=history, clock=clock)
    job = await frozen.export(ExportSource("custom", "1", gate), "csv")
    await gate.wait()
    clock.shift(31)  # its heartbeat did not wake
    async with ExportService(storage=storage, history=history, clock=clock) as other:
        await other.cleanup()
        found = await other.get_job(job.id)
        assert found is not None
        assert (found.status, found.error) == (
            "failed",
            "ExportError: the process that ran the export is gone",
        )
        gate.release.set()
        async with asyncio.timeout(60):
            while (await frozen.get_stats()).active:
                await asyncio.sleep(0.001)
        assert (await other.get_job(job.id)).status is ExportStatus.FAILED
        assert [each async for each in storage.list_keys()] == []
    await frozen.aclose()


@pytest.mark.parametrize("ask", ["wait", "watch", "get_job", "list", "download", "retry", "export"])
async def test_nobody_waits_for_the_dead(ask: str) -> None:
    """Whoever asks for a job whose lease is over ends it: cleanup comes every few minutes only."""
    history, storage, clock, gate = MemoryHistory(), MemoryStorage(), FakeClock(), Gate()
    frozen = ExportService(storage=storage, history=history, clock=clock)
    source = ExportSource("custom", "1", gate)
    job = await frozen.export(source, "csv", user_id="ann", idempotency_key="k")
    await gate.wait()
    async with ExportService(storage=storage, history=history, clock=clock) as other:
        assert (await other.get_job(job.id)).status is ExportStatus.PROCESSING
        await settle()  # the first cleanup is over
        seen = [each.status async for each in watching(other, job.id)] if ask == "watch" else []
        clock.shift(29)
        assert (await other.get_job(job.id)).status is ExportStatus.PROCESSING
        clock.shift(2)
        if ask == "wait":
            assert (await other.wait(job.id, 60)).error.endswith("is gone")
        elif ask == "watch":
            assert seen == ["processing"]
            seen = [each.status async for each in watching(other, job.id)]
            assert seen == ["failed"]
        elif ask == "list":
            assert list(await other.list_exports("ann", "processing")) == []
            (shown,) = await other.list_exports("ann")
            assert shown.status is ExportStatus.FAILED
        elif ask == "download":
            with pytest.raises(ExportError, match="is gone"):
                await other.download(job.id)
        elif ask == "export":
            again = await other.export(source, "csv", user_id="ann", idempotency_key="k")
            assert (again.id, again.status) == (job.id, "failed")
        elif ask == "retry":
            with pytest.raises(ExportError, match=r"its data|is gone"):
                await other.retry(job.id)
        assert (await other.get_job(job.id)).status is ExportStatus.FAILED
        gate.release.set()
    await frozen.aclose()
    assert (await history.get(job.id)).status is ExportStatus.FAILED
    assert [each async for each in storage.list_keys()] == []


async def watching(service: ExportService, job_id: str) -> AsyncIterator[ExportJob]:
    """Yield what is to be seen at once."""
    async with aclosing(service.watch(job_id)) as feed:
        yield await anext(feed)


async def test_no_cleanup_where_it_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned: list[str] = []

    async def cleanup(_self: ExportService) -> int:
        cleaned.append("cleaned")
        return 0

    monkeypatch.setattr(ExportService, "cleanup", cleanup)
    for enabled in (False, True):
        settings = Settings.from_mapping(
            {"storage": {"url": "memory://"}, "cleanup": {"enabled": enabled}}
        )
        async with ExportService(settings) as service:
            for _ in range(3):
                await service.list_exports()
                await settle()
            assert len(cleaned) == int(enabled)


async def test_what_a_queue_delivers_again_is_not_ended() -> None:
    history, storage, clock = MemoryHistory(), MemoryStorage(), FakeClock()

    class Queue(Executor):
        async def submit(self, job_id: str) -> None:
            pass

        async def cancel(self, job_id: str) -> None:
            pass

    web = ExportService(storage=storage, history=history, clock=clock, executor=Queue())
    gate = Gate()
    worker = ExportService(storage=storage, history=history, clock=clock)
    for service in (web, worker):
        service.source("rows")(lambda _id: gate)
    async with web, worker:
        job = await web.export(ExportSource("rows", "1"), "csv")
        running = asyncio.create_task(worker.run(job.id))
        await gate.wait()
        clock.shift(31)  # the worker is silent
        assert (await web.get_job(job.id)).status is ExportStatus.PROCESSING
        gate.release.set()
        assert (await running).status is ExportStatus.COMPLETED
        assert (await web.wait(job.id, 60)).status is ExportStatus.COMPLETED


async def test_heartbeat_keeps_a_long_export_alive() -> None:
    history, clock, gate = MemoryHistory(), FakeClock(), Gate()
    settings = Settings.from_mapping({"storage": {"url": "memory://"}, "jobs": {"lease": 9}})
    async with ExportService(settings, history=history, clock=clock) as service:
        job = await service.export(ExportSource("custom", "1", gate), "csv")
        await gate.wait()
        for _ in range(10):
            await clock.advance(3)
            assert await history.due(clock.time(), 10) == []
        gate.release.set()
        assert (await service.wait(job.id, 60)).status is ExportStatus.COMPLETED


@pytest.mark.parametrize("stop", ["cancel", "close"])
async def test_a_stop_while_the_start_is_stored(stop: str) -> None:
    stored, go_on, loaded = asyncio.Event(), asyncio.Event(), []

    class Slow(MemoryHistory):
        async def save(self, record: Any) -> bool:
            saved = await super().save(record)
            if record.status is ExportStatus.PROCESSING:
                stored.set()
                await go_on.wait()
            return saved

    service = ExportService(storage=MemoryStorage(), history=Slow())

    @service.source("t")
    def load(id: str) -> dict:
        loaded.append(id)
        return {"rows": []}

    job = await service.export(ExportSource("t", "1"), "csv")
    await stored.wait()
    if stop == "cancel":
        assert await service.cancel(job.id)
    else:
        for run in service._parts.runner.runs.values():
            run.control.stop(ExportError("closed", reason="interrupted"))
    go_on.set()
    done = await service.wait(job.id, 60)
    while service._parts.runner.runs:
        await asyncio.sleep(0.001)
    assert done.status is (ExportStatus.CANCELLED if stop == "cancel" else ExportStatus.FAILED)
    assert loaded == []
    await service.aclose()


async def test_a_heartbeat_survives_a_history_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    class Flaky(MemoryHistory):
        failures = 0

        async def get(self, job_id: str) -> Any:
            if self.failures:
                self.failures -= 1
                raise BackendError("down", retryable=True)
            return await super().get(job_id)

    history, clock, gate = Flaky(), FakeClock(), Gate()
    settings = Settings.from_mapping({"storage": {"url": "memory://"}, "jobs": {"lease": 9}})
    async with ExportService(settings, history=history, clock=clock) as service:
        job = await service.export(ExportSource("custom", "1", gate), "csv")
        await gate.wait()
        history.failures = 1
        for _ in range(10):
            await clock.advance(3)
            assert await history.due(clock.time(), 10) == []
        assert not history.failures
        gate.release.set()
        assert (await service.wait(job.id, 60)).status is ExportStatus.COMPLETED
    assert [each.message for each in caplog.records].count("heartbeat.failed") == 1


async def test_a_batch_whose_loader_hangs_is_cancelled(service: ExportService) -> None:
    reached, ended_ = asyncio.Event(), asyncio.Event()

    @service.source("hangs")
    async def load(id: str) -> None:
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended_.set()

    job = await service.export_batch([(ExportSource("hangs", "1"), "csv")])
    await reached.wait()
    assert await service.cancel(job.id)
    async with asyncio.timeout(60):
        await ended_.wait()
    assert (await service.wait(job.id, 60)).status is ExportStatus.CANCELLED


async def test_cleanup_leaves_what_another_process_has_just_taken(clock: FakeClock) -> None:
    class Raced(MemoryHistory):
        async def due(self, now: float, limit: int) -> list[Any]:
            found = await super().due(now, limit)
            for each in found:
                newest = await self.get(each.id)
                newest.lease_until = now + 100
                assert await self.save(newest)
            return found

    history = Raced(clock=clock)
    async with ExportService(storage=MemoryStorage(), history=history, clock=clock) as service:
        await history.create(record(status=ExportStatus.PROCESSING, lease_until=clock.time() - 1))
        assert await service.cleanup() == 0
        (job,) = await service.list_exports()
        assert job.status is ExportStatus.PROCESSING
