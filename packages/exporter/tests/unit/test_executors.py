"""Where exports are rendered makes no difference: threads, processes, workers of a job queue."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from exporter import (
    Executor,
    ExportError,
    ExportFormat,
    ExportService,
    ExportSource,
    ExportStatus,
    InvalidSource,
    Settings,
)
from exporter.adapters.histories.memory import MemoryHistory
from exporter.adapters.storages.memory import MemoryStorage

TALK = {
    "title": "T",
    "segments": [{"start": n, "end": n + 1, "text": f"line {n} <b>"} for n in range(300)],
}


class Gated(Sequence[dict[str, int]]):
    """A thousand rows; the second half comes when it is let go."""

    def __init__(self) -> None:
        self.reached, self.release = threading.Event(), threading.Event()

    def __len__(self) -> int:
        return 1000

    def __getitem__(self, index: Any) -> Any:
        if index >= 1000:
            raise IndexError
        return {"a": index}

    def __iter__(self) -> Iterator[dict[str, int]]:
        for number in range(1000):
            if number == 500:
                self.reached.set()
                self.release.wait(120)
            yield {"a": number}

    async def wait(self) -> None:
        async with asyncio.timeout(60):
            while not self.reached.is_set():
                await asyncio.sleep(0.001)


class MemoryQueue(Executor):
    """A job queue of one process, with one worker."""

    def __init__(self) -> None:
        self.waiting: asyncio.Queue[str] = asyncio.Queue()
        self.cancelled: list[str] = []

    async def submit(self, job_id: str) -> None:
        await self.waiting.put(job_id)

    async def cancel(self, job_id: str) -> None:
        self.cancelled.append(job_id)

    async def work(self, service: ExportService) -> None:
        while True:
            await service.run(await self.waiting.get())


@contextlib.asynccontextmanager
async def serving(kind: str, **jobs: Any) -> AsyncIterator[tuple[ExportService, Gated]]:
    """Yield a service whose exports run by ``kind``, and the rows of its source ``gated``."""
    mode = "processes" if kind == "processes" else "threads"
    settings = Settings.from_mapping({"jobs": {"executor": mode, "lease": 2, **jobs}})
    parts = {"storage": MemoryStorage(), "history": MemoryHistory()}
    queue, gate = MemoryQueue(), Gated()
    executor = queue if kind == "queue" else None
    asking = ExportService(settings, executor=executor, **parts)
    working = ExportService(settings, **parts) if kind == "queue" else asking
    for service in {asking, working}:
        service.source("talk")(lambda _: TALK)
        service.source("gated")(lambda _: {"columns": ["a"], "rows": gate})
        service.source("broken")(broken)
        service.source("streamed")(streamed)
    worker = asyncio.create_task(queue.work(working))
    try:
        yield asking, gate
    finally:
        gate.release.set()
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        await working.aclose()
        await asking.aclose()


async def broken(_: str) -> Any:
    yield {"text": "one"}
    raise KeyError("the source broke")


async def streamed(_: str) -> Any:
    for number in range(500):
        yield {"text": f"line {number}", "start": number}


@pytest.fixture(params=["threads", "processes", "queue"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


async def run(service: ExportService, source: str, format: str, **options: Any) -> Any:
    job = await service.export(ExportSource(source, "1"), format, **options)
    return await service.wait(job.id, 60)


async def test_the_same_bytes(kind: str, tmp_path: Path) -> None:
    here = ExportService()
    for format in ("txt", "json", "csv", "srt", "html"):
        async with serving(kind) as (service, _):
            job = await run(service, "talk", format)
            assert (job.status, job.error, job.records) == ("completed", None, 300)
            data = await service.download(job.id)
        source = ExportSource("talk", "1", TALK)
        made = here.export_to(tmp_path / "x", source, format, include_metadata=False)
        bare = {"include_metadata": False}
        async with serving(kind) as (service, _):
            plain = await run(service, "talk", format, **bare)
            assert plain.sha256 == made.sha256
        assert len(data) >= made.size


async def test_asynchronous_records(kind: str) -> None:
    async with serving(kind) as (service, _):
        job = await run(service, "streamed", "jsonl", include_metadata=False)
        assert job.records == 501  # and the head of the table
        assert (await service.download(job.id)).count(b"line") == 500


async def test_what_goes_wrong_is_told(kind: str) -> None:
    async with serving(kind, max_size=2000) as (service, gate):
        gate.release.set()
        job = await run(service, "broken", "txt")
        assert (job.status, job.error) == ("failed", "KeyError: 'the source broke'")
        job = await run(service, "talk", "txt")
        assert job.error == "ExportTooLarge: the file is over 2000 bytes"
        job = await run(service, "gated", "srt")
        assert job.error.startswith("InvalidSource: srt shows speech")
        assert [found async for found in service.storage.list_keys()] == []


async def test_progress_and_cancel_reach_in(kind: str) -> None:
    async with serving(kind) as (service, gate):
        job = await service.export(ExportSource("gated", "1"), "csv")
        await gate.wait()
        seen = 0.0
        async for each in service.watch(job.id):
            seen = each.progress
            if seen >= 40:
                break
        assert await service.cancel(job.id)
        assert 40 <= seen <= 60
        assert (await service.wait(job.id)).status is ExportStatus.CANCELLED
        gate.release.set()
        async with asyncio.timeout(60):
            while [found async for found in service.storage.list_keys()]:
                await asyncio.sleep(0.01)


async def test_the_deadline_reaches_in(kind: str) -> None:
    async with serving(kind, timeout=0.3) as (service, _):
        job = await run(service, "gated", "csv")
        assert job.error == "ExportError: the export took longer than 0.3 seconds"
        assert [found async for found in service.storage.list_keys()] == []


async def test_batches(kind: str) -> None:
    async with serving(kind) as (service, _):
        items = [
            (ExportSource("talk", "1"), "txt"),
            (ExportSource("broken", "1"), ExportFormat.TXT),
        ]
        job = await service.wait((await service.export_batch(items)).id, 60)
        assert job.warnings == ("1 of 2 items failed; see manifest.json",)


class TestQueue:
    """What the outside queue asks of the service."""

    async def test_only_what_can_travel(self) -> None:
        async with serving("queue") as (service, _):
            for source in (ExportSource("talk", "1", TALK), ExportSource("nobody", "1")):
                with pytest.raises(InvalidSource, match="only the id of an export goes"):
                    await service.export(source, "txt")
            assert await service.list_exports() == []

    async def test_a_queue_that_is_down(self) -> None:
        class Down(MemoryQueue):
            async def submit(self, job_id: str) -> None:
                raise ConnectionError("no broker")

        async with ExportService.from_url("memory://", executor=Down()) as service:
            service.source("talk")(lambda _: TALK)
            with pytest.raises(ConnectionError):
                await service.export(ExportSource("talk", "1"), "txt")
            (job,) = await service.list_exports()
            error = "ExportError: it could not be queued: ConnectionError: no broker"
            assert (job.status, job.error) == ("failed", error)

    async def test_delivered_twice(self) -> None:
        async with serving("queue") as (service, gate):
            job = await service.export(ExportSource("gated", "1"), "csv")
            await gate.wait()
            with pytest.raises(ExportError, match="another worker runs") as caught:
                await service.run(job.id)
            assert caught.value.reason == "busy"
            gate.release.set()
            done = await service.wait(job.id, 60)
            again = await service.run(job.id)
            assert (done.status, again.status, again.attempts) == ("completed", "completed", 1)

    async def test_cancelled_before_it_is_delivered(self) -> None:
        queue = MemoryQueue()
        async with ExportService.from_url("memory://", executor=queue) as service:
            service.source("talk")(lambda _: TALK)
            job = await service.export(ExportSource("talk", "1"), "txt")
            assert await service.cancel(job.id)
            assert queue.cancelled == [job.id]
            assert (await service.run(job.id)).status == "cancelled"
            # and again: through the queue
            await service.retry(job.id)
            assert queue.waiting.qsize() == 2
            assert (await service.run(job.id)).status == "completed"

    async def test_a_worker_that_stops_leaves_it_to_the_next(self) -> None:
        queue, gate = MemoryQueue(), Gated()
        async with ExportService.from_url("memory://", executor=queue) as service:
            service.source("gated")(lambda _: {"columns": ["a"], "rows": gate})
            job = await service.export(ExportSource("gated", "1"), "csv")
            worker = asyncio.create_task(service.run(job.id))
            await gate.wait()
            worker.cancel()
            with pytest.raises(asyncio.CancelledError):
                await worker
            assert (await service.get_job(job.id)).status is ExportStatus.PENDING
            gate.release.set()
            async with asyncio.timeout(60):
                while (await service.get_stats()).active:
                    await asyncio.sleep(0.001)
            done = await service.run(job.id)
            assert (done.status, done.attempts, done.records) == ("completed", 2, 1001)
            assert len([found async for found in service.storage.list_keys()]) == 1

    @pytest.mark.parametrize("cleaned", [False, True])
    async def test_what_a_dead_worker_left_is_begun_again(self, cleaned: bool) -> None:
        async with serving("queue") as (service, _):
            job = await service.export(ExportSource("talk", "1"), "txt")
            await service.wait(job.id, 60)
            record = await service.history.get(job.id)
            record.status, record.completed_at = ExportStatus.PROCESSING, None
            record.lease_until, record.key = service.clock.time() - 1, "left/behind.txt"
            with service.storage.open_writer("left/behind.txt", "text/plain") as writer:
                writer.write(b"half")
                writer.commit()
            assert await service.history.save(record)
            if cleaned:
                await service.cleanup()
                assert (await service.get_job(job.id)).status is ExportStatus.FAILED
            done = await service.run(job.id)
            assert (done.error, done.completed_at is None) == (None, False)
            assert (done.status, done.attempts) == ("completed", 2)
            assert await service.storage.head("left/behind.txt") is None
