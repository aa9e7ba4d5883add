"""Worker processes: they are used again, may die, and give their memory back."""

import asyncio
import io
import os
import pickle
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from child_processes import children, kill_all
from exporter import (
    Document,
    ExportFormatDefinition,
    ExportService,
    ExportSource,
    ExportStatus,
    ExportTooLarge,
    Renderer,
    Segment,
    Settings,
)
from exporter.children import HEAD, read_frame, write_frame
from exporter.engine import Order
from exporter.formats import Format
from exporter.running.worker import memory, serve
from exporter.settings import FormatSettings
from odd_formats import Failing, Greedy, Killer, Plain
from small_exports import CSV, ROWS, Gate, ended

WORKER = "exporter.running.worker"


def settings(**jobs: Any) -> Settings:
    memory = {"storage": {"url": "memory://"}, "history": {"url": "memory://"}}
    return Settings.from_mapping({**memory, "jobs": {"executor": "processes", **jobs}})


@pytest.fixture
async def pooled() -> AsyncIterator[ExportService]:
    async with ExportService(settings()) as service:
        yield service
    assert children(WORKER) == []


async def pid_of(service: ExportService, format: str = "plain") -> int:
    job = await ended(service, ROWS, format)
    assert job.status is ExportStatus.COMPLETED, job.error
    return int((await service.download(job.id)).split()[0])


async def test_workers_are_used_again_and_are_not_this_process(pooled: ExportService) -> None:
    pooled.register_format(Plain)
    first = await pid_of(pooled)
    assert first != os.getpid()
    assert children(WORKER) == [first]
    assert await pid_of(pooled) == first
    # an error of the document does not cost the worker
    job = await ended(pooled, ROWS, "srt")
    assert job.error.startswith("InvalidSource: srt shows speech")
    assert await pid_of(pooled) == first


async def test_what_cannot_go_to_a_process_stays_here(pooled: ExportService) -> None:
    class Local(Plain):
        format = "local"

    async def whole(data: dict[str, Any]) -> str:
        return f"{os.getpid()}"

    pooled.register_format(Local)
    pooled.register_format(ExportFormatDefinition("whole", "text/plain", export=whole))
    assert await pid_of(pooled, "local") == os.getpid()
    assert await pid_of(pooled, "whole") == os.getpid()
    held = Document("T", "transcript", [Segment("x")], metadata={"lock": threading.Lock()})
    assert (await ended(pooled, held, "txt")).status is ExportStatus.COMPLETED
    assert children(WORKER) == []


async def test_errors_of_formats(pooled: ExportService) -> None:
    pooled.register_format(Failing)
    job = await ended(pooled, ROWS, "failing")
    assert job.error == "ExportError: NeedsTwo: one and two"


class Again(Gate):
    """Waits only the first time."""

    def __iter__(self):
        yield from list(super().__iter__()) if self.release.is_set() else super().__iter__()


async def test_a_killed_worker_is_replaced_and_the_export_made_again(
    pooled: ExportService,
) -> None:
    gate = Again()
    job = await pooled.export(ExportSource("custom", "1", {"columns": ["a"], "rows": gate}), "csv")
    await gate.wait()
    assert kill_all(WORKER) == 1
    gate.release.set()
    done = await pooled.wait(job.id, 60)
    assert (done.status, done.error, done.records) == ("completed", None, 10_002)
    assert done.warnings == ("the process that rendered the export died; it was rendered again",)
    data = await pooled.download(job.id)
    assert len(data.split()) == 10_002
    assert len([found async for found in pooled.storage.list_keys()]) == 1


async def test_what_cannot_be_read_again_fails(pooled: ExportService) -> None:
    gate = Gate()
    job = await pooled.export(ExportSource("custom", "1", iter(gate)), "csv")
    await gate.wait()
    assert kill_all(WORKER) == 1
    gate.release.set()
    done = await pooled.wait(job.id, 60)
    assert done.error == "ExportError: the process that rendered the export is gone"
    assert [found async for found in pooled.storage.list_keys()] == []
    job = await ended(pooled, ROWS, "csv")
    assert await pooled.download(job.id) == CSV


async def test_a_document_that_kills_is_tried_twice_only(pooled: ExportService) -> None:
    pooled.register_format(Killer)
    job = await ended(pooled, ROWS, "killer")
    assert job.error == "ExportError: the process that rendered the export is gone"
    items = [(ROWS, "csv"), (ROWS, "killer"), (ROWS, "csv")]
    batch = await pooled.wait((await pooled.export_batch(items)).id, 120)
    assert (batch.status, batch.warnings) == (
        "completed",
        ("1 of 3 items failed; see manifest.json",),
    )
    assert [found.size > 0 async for found in pooled.storage.list_keys()] == [True]


async def test_the_memory_of_the_parent_is_not_counted(pooled: ExportService) -> None:
    pooled.register_format(Plain)
    held = b"x" * (400 << 20)
    assert await pid_of(pooled) == await pid_of(pooled)
    assert len(held) > pooled.settings.jobs.worker_memory


async def test_memory_comes_back() -> None:
    async with ExportService(settings()) as service:
        service.register_format(Greedy)
        service.register_format(Plain)
        small = await pid_of(service)
        assert await pid_of(service, "greedy") == small
        assert children(WORKER) == []
        assert await pid_of(service) != small


async def test_cancelling_ends_the_worker(pooled: ExportService) -> None:
    gate = Gate()
    job = await pooled.export(ExportSource("custom", "1", gate), "csv")
    await gate.wait()
    assert len(children(WORKER)) == 1
    assert await pooled.cancel(job.id)
    gate.release.set()
    async with asyncio.timeout(60):
        while (await pooled.get_stats()).active or children(WORKER):
            await asyncio.sleep(0.001)
    assert (await ended(pooled, ROWS, "csv")).status is ExportStatus.COMPLETED


async def test_many_at_once() -> None:
    async with ExportService(settings(workers=3)) as service:
        jobs = [await service.export(ROWS, "csv") for _ in range(12)]
        for job in jobs:
            assert (await service.wait(job.id, 60)).status is ExportStatus.COMPLETED
        assert 1 <= len(children(WORKER)) <= 3
    assert children(WORKER) == []


def served(order: Order, document: Document, records: list[Any]) -> tuple[bytes, Any]:
    """Return the bytes and the answer of a worker, here."""
    source, out = io.BytesIO(), io.BytesIO()
    write_frame(source, b"O", pickle.dumps((order, document)))
    for start in range(0, len(records), 2):
        write_frame(source, b"R", pickle.dumps(records[start : start + 2]))
    write_frame(source, b"Z", b"")
    source.seek(0)
    serve(source, out)
    assert source.read() == b""  # it is ready for the next one
    out.seek(0)
    data = b""
    while True:
        kind, body = read_frame(out)
        if kind == b"A":
            return data, pickle.loads(body)
        data += body


def order_of(renderer: type[Renderer], max_size: int | None = None) -> Order:
    known = Format(renderer.format, "text/plain", "txt", renderer=renderer)
    return Order(known, FormatSettings(), datetime(2026, 1, 1, tzinfo=UTC), max_size)


def test_what_a_worker_does() -> None:
    talk = Document("T", "transcript")
    records = [Segment(f"s{n}", float(n), float("nan")) for n in range(5)]
    data, (made, error, warnings, size) = served(order_of(Plain), talk, records)
    assert data == f"{os.getpid()}\n".encode() + b"x\n" * 5
    assert (made.size, made.records, error) == (len(data), 5, None)
    assert warnings == {"times that are no numbers were left out": 5}
    assert 10 << 20 < size == memory()
    data, (made, error, _, _) = served(order_of(Plain, 3), talk, records)
    assert (data, made, type(error)) == (b"", None, ExportTooLarge)
    data, (made, error, _, _) = served(order_of(Failing), talk, records)
    assert (made, str(error), error.reason) == (None, "NeedsTwo: one and two", "failed")
    with pytest.raises(EOFError):
        serve(io.BytesIO(b"O\0\0"), io.BytesIO())
    with pytest.raises(EOFError):
        serve(io.BytesIO(HEAD.pack(b"O", 9) + b"short"), io.BytesIO())
