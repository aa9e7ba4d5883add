"""Faults of the disk, links planted in the folder, and processes killed in the middle."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter import ExportService, ExportSource, ExportStatus, StorageError
from exporter.adapters.storages.local import LocalStorage
from exporter.testing import written

pytestmark = pytest.mark.chaos


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file() or path.is_symlink())


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root")
    run = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", tmp_path],
        capture_output=True,
        check=False,
    )
    if run.returncode:
        pytest.skip(f"no tmpfs: {run.stderr.decode().strip()}")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


async def test_a_full_disk(small: Path) -> None:
    def rows() -> Iterator[dict[str, str]]:
        for _ in range(100_000):
            yield {"a": "x" * 100}

    open_before = len(list(Path("/proc/self/fd").iterdir()))
    async with ExportService(storage=LocalStorage(small / "e")) as service:
        source = ExportSource("custom", "1", {"rows": [{"a": 1}]})
        kept = await service.wait((await service.export(source, "csv")).id, 60)
        for format in ("csv", "json", "txt"):
            job = await service.export(ExportSource("custom", "1", rows()), format)
            failed = await service.wait(job.id, 60)
            assert failed.status is ExportStatus.FAILED
            assert failed.error is not None
            assert failed.error.startswith("StorageError: ")
            assert "No space left" in failed.error
        assert await service.download(kept.id) == b"a\r\n1\r\n"
        assert [str(path) for path in files(small)] == [kept.file_path]
        again = await service.wait((await service.export(source, "json")).id, 60)
        assert again.status is ExportStatus.COMPLETED
    assert len(list(Path("/proc/self/fd").iterdir())) <= open_before + 1


async def test_faults_of_sync_and_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = LocalStorage(tmp_path / "e")
    await written(storage, "k/f.bin", b"first")
    for name in ("fsync", "rename"):
        real, calls = getattr(os, name), []

        def broken(
            *args: object, real: object = real, calls: list[int] = calls, **kw: object
        ) -> None:
            calls.append(1)
            raise OSError(5, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(os, name, broken)
            with pytest.raises(StorageError, match="Input/output error"):
                await written(storage, "k/f.bin", b"second")
        assert calls
        assert (tmp_path / "e/k/f.bin").read_bytes() == b"first"
        assert len(files(tmp_path)) == 1


async def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    root = tmp_path / "e"
    storage = LocalStorage(root)
    await written(storage, "k/f.bin", b"x")
    (root / "link").symlink_to(outside)
    (root / "k" / "file").symlink_to(outside / "secret")
    (root / "k" / "pipe").touch()
    for key in ("link/new", "link/secret", "k/file"):
        with pytest.raises(StorageError):
            [block async for block in storage.read(key)]
    for key in ("link/new", "link/sub/new"):
        with pytest.raises(StorageError):
            await written(storage, key, b"x")
    with pytest.raises(StorageError):
        await storage.delete("link/secret")
    with pytest.raises(StorageError):
        await storage.head("k/file")
    await written(storage, "k/file", b"mine")  # replaces the link, not what it leads to
    assert (outside / "secret").read_text() == "secret"
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert [found.key async for found in storage.list_keys()] == ["k/f.bin", "k/file", "k/pipe"]
    (root / ".unfinished").rmdir()
    (root / ".unfinished").symlink_to(outside)
    with pytest.raises(StorageError):
        await written(storage, "k/new", b"x")
    assert [path.name for path in outside.iterdir()] == ["secret"]


async def test_a_fifo_is_no_file(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError):
        await storage.head("pipe")


async def test_modes(tmp_path: Path) -> None:
    await written(LocalStorage(tmp_path / "e"), "k/f.bin", b"x")
    assert (tmp_path / "e/k/f.bin").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "e/k").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "e").stat().st_mode & 0o777 == 0o700


CHILD = textwrap.dedent("""
    import asyncio, sys
    from exporter import ExportService, ExportSource, Settings

    def rows():
        n = 0
        while True:
            n += 1
            yield {"a": "x" * 100}
            if n == 3_000:
                print("writing", flush=True)

    async def main():
        url, history = sys.argv[1:3]
        service = ExportService(Settings.from_mapping({
            "storage": {"url": url}, "history": {"url": history}, "jobs": {"lease": 3600},
        }))
        job = await service.export(ExportSource("custom", "1", {"rows": [{"a": 1}]}), "csv")
        await service.wait(job.id)
        print("first", job.id, flush=True)
        job = await service.export(ExportSource("custom", "2", rows()), sys.argv[3])
        print("second", job.id, flush=True)
        await service.wait(job.id)

    asyncio.run(main())
""")


@pytest.mark.parametrize("format", ["csv", "docx"])
def test_a_killed_process_leaves_no_half_file(tmp_path: Path, format: str) -> None:
    pytest.importorskip("sqlalchemy")
    if format == "docx":
        pytest.importorskip("docx")
    url, history = f"file://{tmp_path}/e", f"sqlite:///{tmp_path}/h.db"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, url, history, format], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    first = child.stdout.readline().split()[1]
    second = child.stdout.readline().split()[1]
    assert child.stdout.readline() == "writing\n"
    deadline = time.monotonic() + 120
    while not list((tmp_path / "e/.unfinished").iterdir()) and time.monotonic() < deadline:
        os.sched_yield()
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    before = [path for path in files(tmp_path / "e") if ".unfinished" not in path.parts]
    assert len(before) == 1  # only the first export is visible

    async def later() -> None:
        async with ExportService.from_url(url, history=history) as service:
            assert await service.download(first) == b"a\r\n1\r\n"
            async with asyncio.timeout(60):
                while list((tmp_path / "e/.unfinished").iterdir()):
                    await asyncio.sleep(0.01)
            job = await service.get_job(second)
            assert job is not None
            assert job.status is ExportStatus.PROCESSING  # its lease has not run out yet
            record = await service.history.get(second)
            assert record is not None
            record.lease_until = 1.0
            await service.history.save(record)
            await service.cleanup()
            job = await service.get_job(second)
            assert job is not None
            assert job.error == "ExportError: the process that ran the export is gone"

    asyncio.run(later())
    assert files(tmp_path / "e") == before


def test_a_living_writer_is_not_swept(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    url, history = f"file://{tmp_path}/e", f"sqlite:///{tmp_path}/h.db"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, url, history, "csv"], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    try:
        while child.stdout.readline() != "writing\n":
            assert child.poll() is None
        assert asyncio.run(LocalStorage(tmp_path / "e").sweep()) == 0
        assert len(list((tmp_path / "e/.unfinished").iterdir())) == 1
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert asyncio.run(LocalStorage(tmp_path / "e").sweep()) == 1
