"""Batches that go on in another instance of the service: a durable history, a folder."""

import asyncio
import hashlib
import io
import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any, Self

import pytest

pytest.importorskip("sqlalchemy")

from exporter import (
    Document,
    ExportError,
    ExportJob,
    ExportOptions,
    ExportService,
    ExportSource,
    ExportStatus,
    Settings,
    StorageError,
    UnknownFormat,
)
from exporter.service.batches import listed
from exporter.testing import FakeClock
from small_exports import ROWS, Gate

NAMES = ("one", "two", "slow", "three")


def settings(folder: Path, **jobs: Any) -> Settings:
    return Settings.from_mapping(
        {
            "storage": {"url": f"file://{folder}/files"},
            "history": {"url": f"sqlite:///{folder}/history.db"},
            "jobs": {"shutdown_timeout": 0, **jobs},
            "cleanup": {"enabled": False},
        }
    )


class Process:
    """Stands for a process: a service of its own, whose loader counts and may wait."""

    def __init__(self, folder: Path, *, waits: bool = False, clock: Any = None, **jobs: Any):
        self.made: Counter[str] = Counter()
        self.gate = Gate()
        self.waits = waits
        self.service = ExportService(settings(folder, **jobs), clock=clock)
        self.service.source("counted")(self.load)

    def load(self, source_id: str) -> dict[str, Any]:
        self.made[source_id] += 1
        waits = self.waits and source_id == "slow"
        return {"columns": ["a"], "rows": self.gate if waits else [[source_id]]}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.gate.release.set()
        await self.service.aclose()


def items(*more: Any) -> list[Any]:
    return [*((ExportSource("counted", name), "csv") for name in NAMES), *more]


async def kept(service: ExportService, job: ExportJob, count: int) -> None:
    """Wait until so many items are kept, and counted."""
    async with asyncio.timeout(60):
        while True:
            notes = await service.history.get_notes(job.id, "item-")
            items = (await service.history.get(job.id)).items
            counted = (await service.get_job(job.id)).progress * items / 100
            if len(notes) >= count and round(counted) >= count:
                return
            await asyncio.sleep(0.002)


async def left(folder: Path, *more: Any, **jobs: Any) -> str:
    """Return a batch that was interrupted in its third item, the others after it unbegun."""
    async with Process(folder, waits=True, **jobs) as process:
        job = await process.service.export_batch(items(*more))
        await process.gate.wait()
        await kept(process.service, job, 2)
    return job.id


async def archive_of(service: ExportService, job: ExportJob) -> tuple[list[Any], zipfile.ZipFile]:
    done = await service.wait(job.id, 60)
    assert done.status is ExportStatus.COMPLETED, done.error
    archive = zipfile.ZipFile(io.BytesIO(await service.download(job.id)))
    manifest = json.loads(archive.read("manifest.json"))["items"]
    for item in manifest:
        if item["status"] == "completed":
            data = archive.read(item["name"])
            assert (len(data), hashlib.sha256(data).hexdigest()) == (item["size"], item["sha256"])
    return manifest, archive


async def keys(service: ExportService) -> list[str]:
    return [file.key async for file in service.storage.list_keys()]


async def test_an_interrupted_batch_goes_on(tmp_path: Path) -> None:
    job_id = await left(tmp_path)
    async with Process(tmp_path) as process:
        before = await process.service.get_job(job_id)
        assert (before.status, before.progress) == (ExportStatus.FAILED, 50.0)
        (job,) = await process.service.recover()
        assert (job.id, job.progress) == (job_id, 50.0)
        manifest, archive = await archive_of(process.service, job)
        assert process.made == {"slow": 1, "three": 1}
        assert [item["source_id"] for item in manifest] == list(NAMES)
        assert archive.read("counted_two.csv") == b"a\r\ntwo\r\n"
        assert await process.service.recover() == []
    async with Process(tmp_path) as process:  # the one before has cleared up when it was closed
        assert await keys(process.service) == [(await process.service.history.get(job_id)).key]
        assert await process.service.history.get_notes(job_id) == {}


async def test_retry_goes_on_too(tmp_path: Path) -> None:
    job_id = await left(tmp_path)
    async with Process(tmp_path) as process:
        await archive_of(process.service, await process.service.retry(job_id))
        assert process.made == {"slow": 1, "three": 1}


async def test_a_batch_that_cleanup_has_marked(tmp_path: Path) -> None:
    job_id = await left(tmp_path)
    later = FakeClock(start=2e9)
    async with Process(tmp_path, clock=later) as process:
        record = await process.service.history.get(job_id)
        record.status, record.reason, record.error = ExportStatus.PROCESSING, None, None
        record.completed_at = record.delete_at = None
        record.lease_until = later.time() - 1
        assert await process.service.history.save(record)
        await process.service.cleanup()
        marked = await process.service.get_job(job_id)
        assert (marked.status, "is gone" in marked.error) == (ExportStatus.FAILED, True)
        (job,) = await process.service.recover()
        await archive_of(process.service, job)
        assert process.made == {"slow": 1, "three": 1}


async def test_data_that_came_with_the_call_is_gone(tmp_path: Path) -> None:
    more = [(ROWS, "csv"), (Document("T\ud800", "transcript", []), "txt")]
    await left(tmp_path, *more)
    async with Process(tmp_path) as process:
        (job,) = await process.service.recover()
        manifest, _ = await archive_of(process.service, job)
        assert [item["status"] for item in manifest] == ["completed"] * 4 + ["failed"] * 2
        assert "its data was given to a process that is gone" in manifest[4]["error"]


async def test_who_lacks_a_loader_leaves_it_alone(tmp_path: Path) -> None:
    job_id = await left(tmp_path)
    async with ExportService(settings(tmp_path)) as other:
        assert await other.recover() == []
        with pytest.raises(ExportError, match="needs a loader for 'counted'") as caught:
            await other.retry(job_id)
        assert caught.value.reason == "no_source"
        assert (await other.get_job(job_id)).status is ExportStatus.FAILED
    async with Process(tmp_path) as process:
        (job,) = await process.service.recover()
        await archive_of(process.service, job)


async def test_who_lacks_a_format_leaves_it_alone(tmp_path: Path) -> None:
    class Shout:
        format, content_type = "shout", "text/plain"

        def export(self, data: dict) -> str:
            return "!"

    async with Process(tmp_path, waits=True) as process:
        process.service.register_format(Shout)
        job = await process.service.export_batch(items((ExportSource("counted", "x"), "shout")))
        await process.gate.wait()
    async with Process(tmp_path) as process:
        assert await process.service.recover() == []
        with pytest.raises(UnknownFormat):
            await process.service.retry(job.id)
        process.service.register_format(Shout)
        (job,) = await process.service.recover()
        _, archive = await archive_of(process.service, job)
        assert archive.read("counted_x.shout") == b"!"


async def test_options_of_items_are_kept(tmp_path: Path) -> None:
    options = ExportOptions(include_metadata=False, filename="näme")
    job_id = await left(tmp_path, (ExportSource("counted", "x"), "csv", options))
    async with Process(tmp_path) as process:
        (job,) = await process.service.recover()
        assert job.id == job_id
        _, archive = await archive_of(process.service, job)
        assert archive.read("näme.csv") == b"x\r\n"


@pytest.mark.parametrize("harm", ["gone", "cut", "changed"])
async def test_a_kept_item_that_is_not_whole_is_made_again(tmp_path: Path, harm: str) -> None:
    job_id = await left(tmp_path)
    (*_, first) = sorted(
        path for path in (tmp_path / "files").rglob("*") if path.is_file() and "-items" in str(path)
    )[:1]
    data = first.read_bytes()
    if harm == "gone":
        first.unlink()
    else:
        first.write_bytes(data[:-1] if harm == "cut" else data[:-3] + b"X\r\n")
    async with Process(tmp_path) as process:
        (job,) = await process.service.recover()
        assert job.id == job_id
        manifest, _ = await archive_of(process.service, job)
        assert {item["status"] for item in manifest} == {"completed"}
        assert sum(process.made[name] for name in ("one", "two")) >= 1


async def test_items_that_cannot_be_kept_cost_only_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with Process(tmp_path) as process:
        real = process.service.storage.open_writer

        def full(key: str, content_type: str) -> Any:
            if "-items/" in key:
                raise StorageError("disk full")
            return real(key, content_type)

        monkeypatch.setattr(process.service.storage, "open_writer", full)
        job = await process.service.export_batch(items())
        manifest, _ = await archive_of(process.service, job)
        assert [item["status"] for item in manifest] == ["completed"] * 4
        done = await process.service.get_job(job.id)
        assert done.warnings == ("finished items could not be kept for other processes",)
        assert "batch.not_kept" in caplog.text


async def test_a_short_fault_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Process(tmp_path, waits=True) as process:
        real, faults = process.service.storage.open_writer, [1, 1]

        def flaky(key: str, content_type: str) -> Any:
            if "-items/" in key and faults:
                faults.pop()
                raise StorageError("busy", retryable=True)
            return real(key, content_type)

        monkeypatch.setattr(process.service.storage, "open_writer", flaky)
        job = await process.service.export_batch(items())
        await process.gate.wait()
        await kept(process.service, job, 2)
        process.gate.release.set()
        await archive_of(process.service, job)
        assert (await process.service.get_job(job.id)).warnings == ()


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    async with Process(tmp_path, waits=True, resumable_batches=False) as process:
        job = await process.service.export_batch(items())
        await process.gate.wait()
        assert await process.service.history.get_notes(job.id) == {}
        assert await keys(process.service) == []
    async with Process(tmp_path) as process:
        assert await process.service.recover() == []
        with pytest.raises(ExportError, match="the items of export"):
            await process.service.retry(job.id)


async def test_deleting_takes_the_items_along(tmp_path: Path) -> None:
    job_id = await left(tmp_path)
    async with ExportService(settings(tmp_path)) as other:
        assert {key.partition("/")[0] for key in await keys(other)} == {f"{job_id}-items"}
        assert await other.delete(job_id)
        assert await keys(other) == []


async def test_a_living_process_keeps_its_batch(tmp_path: Path) -> None:
    async with Process(tmp_path, waits=True) as process, Process(tmp_path) as other:
        job = await process.service.export_batch(items())
        await process.gate.wait()
        assert await other.service.recover() == []
        assert await process.service.recover() == []
        process.gate.release.set()
        await archive_of(process.service, job)
        assert other.made == {}


async def test_much_is_kept_at_once_and_counted_in_order(tmp_path: Path) -> None:
    seen: list[int] = []
    async with Process(tmp_path) as process:
        many = [(ExportSource("counted", str(n)), "csv") for n in range(700)]
        job = await process.service.export_batch(many, on_progress=lambda n, _: seen.append(n))
        await archive_of(process.service, job)
    assert seen == list(range(1, 701))


async def test_the_list_of_many_items_is_in_several_notes(service: ExportService) -> None:
    found: list[dict[str, str]] = []

    async def catch(record: Any, recipe: Any, items: Any) -> None:
        found.append(items())

    service._start = catch
    await service.export_batch([(ExportSource("t", "ü" * 400), "csv")] * 300)
    (notes,) = found
    assert len(notes) > 10
    assert all(len(text) <= 60_000 and text.isascii() for text in notes.values())
    assert sum(len(json.loads(notes[name])) for name in sorted(notes)) == 300
    assert listed([]) == {}
