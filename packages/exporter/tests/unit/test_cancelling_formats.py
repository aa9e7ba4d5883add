"""Any format cancelled, out of time or too large in the middle: no file, no temporary one."""

import asyncio
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter import Document, ExportService, ExportSource, ExportStatus, Segment, Settings
from exporter.registry import FORMATS
from small_exports import ended

NEEDS = {"docx": "docx", "pdf": "reportlab", "xlsx": "xlsxwriter", "parquet": "pyarrow"}


@pytest.fixture(params=sorted(FORMATS.names()))
def format(request: pytest.FixtureRequest) -> str:
    if request.param in NEEDS:
        pytest.importorskip(NEEDS[request.param])
    name: str = request.param
    return name


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Where files are kept, and where libraries put temporary ones."""
    temp = tmp_path / "temp"
    temp.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temp))
    return tmp_path / "e", temp


def endless(reached: threading.Event | None = None) -> Document:
    def segments() -> Iterator[Segment]:
        n = 0
        while True:
            if n == 2000 and reached is not None:
                reached.set()
            # no block of bytes may be told from another: formats compress
            yield Segment(f"{hash((n, 7)):x} says something at length", n * 2.0, n * 2.0 + 1, "Ann")
            n += 1

    return Document("endless", "transcript", segments())


def service_in(folder: Path, **jobs: Any) -> ExportService:
    return ExportService(
        Settings.from_mapping({
            "storage": {"url": f"file://{folder}"}, "history": {"url": "memory://"}, "jobs": jobs,
        })
    )  # fmt: skip


def nothing_left(places: tuple[Path, Path]) -> bool:
    return not [path for folder in places for path in folder.rglob("*") if path.is_file()]


async def thread_ended(job_id: str) -> None:
    async with asyncio.timeout(120):
        while any(thread.name == f"export-{job_id}" for thread in threading.enumerate()):
            await asyncio.sleep(0.01)


async def test_cancel(places: tuple[Path, Path], format: str) -> None:
    reached = threading.Event()
    async with service_in(places[0]) as service:
        job = await service.export(ExportSource("transcript", "1", endless(reached)), format)
        assert await asyncio.to_thread(reached.wait, 120)
        assert await service.cancel(job.id)
        found = await service.wait(job.id, 60)
        assert found.status is ExportStatus.CANCELLED
        await thread_ended(job.id)
        assert nothing_left(places)
    assert nothing_left(places)


async def test_too_large(places: tuple[Path, Path], format: str) -> None:
    async with service_in(places[0], max_size=200_000) as service:
        job = await service.export(ExportSource("transcript", "1", endless()), format)
        job = await service.wait(job.id, 240)
        assert job.status is ExportStatus.FAILED
        assert job.error == "ExportTooLarge: the file is over 200000 bytes"
    assert nothing_left(places)


async def test_out_of_time(places: tuple[Path, Path], format: str) -> None:
    async with service_in(places[0], timeout=0.3) as service:
        job = await ended(service, ExportSource("transcript", "1", endless()), format)
        assert job.status is ExportStatus.FAILED
        assert job.error is not None
        assert "longer than 0.3 seconds" in job.error
        await thread_ended(job.id)  # on a busy machine it is left behind while it loads fonts
    assert nothing_left(places)
