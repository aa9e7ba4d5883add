"""Many exports in one ZIP."""

import asyncio
import hashlib
import io
import json
import shutil
import subprocess
import tempfile
import zipfile
from datetime import UTC, datetime

import pytest

from exporter import (
    ConfigurationError,
    ExportOptions,
    ExportService,
    ExportSource,
    ExportStatus,
    InvalidSource,
    Settings,
    UnsupportedOperationError,
)
from exporter.recipes.archive import Archive
from exporter.recipes.drafts import Drafts
from exporter.running import threads
from exporter.sink import Control, Sink
from small_exports import CSV, ROWS, Gate


async def test_batch(service: ExportService) -> None:
    seen = []
    items = [
        (ROWS, "csv"),
        (ROWS, "csv"),
        (ExportSource("nothing", "x"), "json"),
        (ExportSource("custom", "2", {"a": "b"}), "json", ExportOptions(filename="manifest.json")),
        (ExportSource("summary", "2", {"text": "b"}), "srt"),
    ]
    job = await service.export_batch(items, on_progress=lambda *n: seen.append(n), user_id="u")
    done = await service.wait(job.id, 60)
    assert done.status is ExportStatus.COMPLETED, done.error
    assert (done.format, done.filename, done.records) == ("zip", "exports.zip", 5)
    assert done.warnings == ("2 of 5 items failed; see manifest.json",)
    assert seen == [(n, 5) for n in range(1, 6)]
    archive = zipfile.ZipFile(io.BytesIO(await service.download(job.id)))
    assert archive.testzip() is None
    assert archive.namelist() == [
        "custom_1.csv",
        "custom_1 (2).csv",
        "manifest (2).json",
        "manifest.json",
    ]
    manifest = json.loads(archive.read("manifest.json"))
    states = [item["status"] for item in manifest["items"]]
    assert states == ["completed", "completed", "failed", "completed", "failed"]
    assert archive.read("custom_1.csv") == CSV
    assert manifest["items"][0]["sha256"] == hashlib.sha256(CSV).hexdigest()
    with pytest.raises(UnsupportedOperationError):
        await service.export_batch(items, "tar")
    with pytest.raises(InvalidSource):
        await service.export_batch(items, filename="../x.zip")
    with pytest.raises(ConfigurationError):
        await service.export_batch([(ROWS, "csv")] * 10_001)


def test_files_in_memory_and_on_the_disk_are_archived_alike() -> None:
    """Names of every kind, empty files, what is packed already; read by another program too."""
    names = ["a.txt", "\u65e5\u672c.txt", "e.csv", "p.pdf", "b (2).json"]
    contents = [b"text " * 500, "\u65e5".encode() * 99, b"", bytes(range(256)), b"{}"]
    for whole in (True, False):
        out = io.BytesIO()
        sink = Sink(out.write, Control())
        archive = Archive(sink, datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC))
        for name, data in zip(names, contents, strict=True):
            if whole:
                archive.add_whole(name, data)
            else:
                archive.add(name, len(data), [data[:7], data[7:]])
        archive.close()
        sink.finish()
        found = zipfile.ZipFile(out)
        assert found.testzip() is None
        assert found.namelist() == names
        assert [found.read(name) for name in names] == contents
        assert {each.date_time for each in found.infolist()} == {(2026, 1, 2, 3, 4, 6)}
        assert [each.compress_type for each in found.infolist()] == [8, 8, 8, 0, 8]
        assert {each.external_attr >> 16 for each in found.infolist()} == {0o600}
        if shutil.which("unzip"):
            assert run_unzip(out.getvalue(), "a.txt") == contents[0]


def run_unzip(data: bytes, name: str) -> bytes:
    with tempfile.NamedTemporaryFile(suffix=".zip") as file:
        file.write(data)
        file.flush()
        return subprocess.run(
            ["unzip", "-p", file.name, name], capture_output=True, check=True
        ).stdout


def test_small_files_go_to_the_disk_together() -> None:
    drafts, control = Drafts(), Control()
    contents = [
        bytes([n]) * (size * 1000) for n, size in enumerate((1, 100, 100, 100, 400, 1, 0, 2))
    ]
    blobs = []
    for data in contents:
        drafts.begin(control)
        for at in range(0, len(data), 70_000):
            drafts.write(data[at : at + 70_000])
        blobs.append(drafts.finish())
        drafts.store(blobs[-1])
        assert drafts.size == sum(blob.size for blob in blobs)
    assert [blob.data is None for blob in blobs] == [True, True, True, False, True] + [False] * 3
    assert [b"".join(blob.blocks()) for blob in blobs] == contents
    drafts.clear()
    assert drafts.size == 0


async def test_batch_is_cancelled_and_limited(service: ExportService) -> None:
    gate = Gate()
    job = await service.export_batch([(ExportSource("custom", "1", gate), "csv"), (ROWS, "csv")])
    await gate.wait()
    assert await service.cancel(job.id)
    gate.release.set()
    assert (await service.wait(job.id, 60)).status is ExportStatus.CANCELLED
    settings = {
        "storage": {"url": "memory://"},
        "history": {"url": "memory://"},
        "jobs": {"max_size": 200},
    }
    async with ExportService(Settings.from_mapping(settings)) as small:
        job = await small.wait((await small.export_batch([(ROWS, "csv")] * 9)).id, 60)
        assert job.error == "ExportTooLarge: the file is over 200 bytes"
        assert [found async for found in small.storage.list_keys()] == []


async def test_bad_items_are_own_errors(service: ExportService) -> None:
    for items in (5, None, "ab", b"ab", {"a": 1}):
        with pytest.raises(ConfigurationError, match="items must be a list"):
            await service.export_batch(items)
    for item in (5, "ab", (), (ROWS,), (ROWS, "csv", None, 1), None):
        with pytest.raises(ConfigurationError, match="an item of a batch"):
            await service.export_batch([item])
    for options in ("x", 5, {}, ExportOptions(include_metadata="yes")):
        with pytest.raises(ConfigurationError, match=r"options must|include_metadata must"):
            await service.export_batch([(ROWS, "csv", options)])
    with pytest.raises(InvalidSource):
        await service.export_batch([("csv", ROWS)])
    with pytest.raises(ConfigurationError, match="on_progress"):
        await service.export_batch([(ROWS, "csv")], on_progress=5)


async def test_progress_that_hangs_does_not_hold_the_job(
    service: ExportService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "GRACE", 600.0)  # the thread ends, and is not left behind
    reached = asyncio.Event()

    async def hangs(done: int, total: int) -> None:
        reached.set()
        await asyncio.Event().wait()

    job = await service.export_batch([(ROWS, "csv")], on_progress=hangs)
    await reached.wait()
    assert await service.cancel(job.id)
    assert (await service.wait(job.id, 60)).status is ExportStatus.CANCELLED
    async with asyncio.timeout(60):
        while (await service.get_stats()).active:
            await asyncio.sleep(0.001)


async def test_a_batch_resumes_by_item(service: ExportService) -> None:
    calls: list[str] = []
    gate = Gate()

    @service.source("counted")
    def load(source_id: str) -> dict:
        calls.append(source_id)
        if source_id == "bad" and calls.count("bad") == 1:
            raise KeyError("not yet")
        return {"columns": ["a"], "rows": gate if source_id == "slow" else [[source_id]]}

    names = ["one", "bad", "two", "slow", "three"]
    job = await service.export_batch([(ExportSource("counted", name), "csv") for name in names])
    await gate.wait()
    assert await service.cancel(job.id)
    gate.release.set()
    assert (await service.wait(job.id, 60)).status is ExportStatus.CANCELLED
    while (await service.get_stats()).active:
        await asyncio.sleep(0.001)
    await service.retry(job.id)
    done = await service.wait(job.id, 60)
    assert (done.status, done.warnings) == (ExportStatus.COMPLETED, ())
    assert [calls.count(name) for name in names] == [1, 2, 1, 2, 1]
    archive = zipfile.ZipFile(io.BytesIO(await service.download(job.id)))
    manifest = json.loads(archive.read("manifest.json"))["items"]
    assert [item["source_id"] for item in manifest] == names
    for item in manifest:
        data = archive.read(item["name"])
        assert (len(data), hashlib.sha256(data).hexdigest()) == (item["size"], item["sha256"])
    # nothing is held any more
    again = await service.wait((await service.export_batch([(ROWS, "csv")])).id, 60)
    assert again.status is ExportStatus.COMPLETED


async def test_what_is_kept_of_a_batch_is_bounded(
    service: ExportService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.recipes.batch._MOST_KEPT", 10)
    items = [(ExportSource("custom", str(n), {"rows": [{"a": n}] * n}), "csv") for n in range(1, 9)]
    done = await service.wait((await service.export_batch(items)).id, 60)
    archive = zipfile.ZipFile(io.BytesIO(await service.download(done.id)))
    for number, info in enumerate(archive.infolist()[:-1], 1):
        assert archive.read(info) == b"a\r\n" + f"{number}\r\n".encode() * number
