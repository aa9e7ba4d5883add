"""This package, by the call that writes a file."""

import asyncio
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

FORMATS = ("txt", "json", "jsonl", "csv", "tsv", "srt", "vtt", "html", "md", "xlsx", "docx", "pdf")


def contenders() -> dict[str, Callable[[int, Path], None]]:
    """Return what writes that many segments to a path, by ``format/exporter``."""
    return {f"{name}/exporter": _writer(name) for name in FORMATS}


def _writer(name: str) -> Callable[[int, Path], None]:
    def write(count: int, path: Path) -> None:
        from exporter import ExportService, ExportSource, Settings

        service = ExportService(Settings())
        service.export_to(path, ExportSource("transcript", "1", _document(count)), name)

    return write


def _document(count: int) -> Any:
    from exporter import Document, Segment

    from .transcripts import rows

    def segments() -> Iterator[Segment]:
        for row in rows(count):
            yield Segment(row["text"], row["start"], row["end"], row["speaker"])  # type: ignore[arg-type]  # as rows makes them

    return Document("Talk", "transcript", segments())


ARCHIVES = {"txt, the cheapest": ("txt",), "every format in turn": FORMATS}
_TURNS = 5


def archive(kind: str, count: int) -> tuple[float, float]:
    """Return CPU seconds of ``count`` exports of 50 segments, alone and in one ZIP.

    The least of some each, in turn: what is measured takes a third of a second with the cheapest.
    """
    alone, zipped = list[float](), list[float]()
    formats = list(itertools.islice(itertools.cycle(ARCHIVES[kind]), count))
    for _ in range(_TURNS if len(ARCHIVES[kind]) == 1 else 2):
        alone.append(_spent(lambda: _alone(formats)))
        zipped.append(_spent(lambda: asyncio.run(_together(formats))))
    return min(alone), min(zipped)


def _spent(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _alone(formats: Sequence[str]) -> None:
    from exporter import ExportService, ExportSource, Settings

    service = ExportService(Settings())
    with Path(os.devnull).open("wb") as nowhere:
        for n, name in enumerate(formats):
            service.export_to(nowhere, ExportSource("transcript", str(n), _document(50)), name)


def archives() -> dict[str, Callable[[int, Path], None]]:
    """Return what puts that many exports into a ZIP, for its memory, by ``kind/exporter``."""
    return {f"zip of {kind}/exporter": _archiver(kind) for kind in ARCHIVES}


def _archiver(kind: str) -> Callable[[int, Path], None]:
    def write(count: int, path: Path) -> None:
        formats = list(itertools.islice(itertools.cycle(ARCHIVES[kind]), count))
        asyncio.run(_together(formats, path))

    return write


async def _together(formats: Sequence[str], target: Path | None = None) -> None:
    from exporter import ExportService, ExportSource

    with tempfile.TemporaryDirectory() as folder:
        async with ExportService.from_url(f"file://{folder}") as service:
            items = [
                (ExportSource("transcript", str(n), _document(50)), name)
                for n, name in enumerate(formats)
            ]
            job = await service.export_batch(items)
            job = await service.wait(job.id)
            assert job.status == "completed", job.error
            if target is not None:
                os.replace(job.file_path or "", target)  # noqa: PTH105  a moment, in a benchmark


def line_costs(script: str, count: int) -> float:
    """Return CPU microseconds of one more line of ``script`` in a PDF."""
    from exporter.adapters.formats.pdf_styles import Styles

    if script == "plain, by ReportLab":  # by its paragraphs, without our short way
        with mock.patch.object(Styles, "_plain", return_value=None):
            return line_costs("plain", count)

    from exporter import Document, ExportService, ExportSource, Segment, Settings

    from .transcripts import line_of

    service = ExportService(Settings())

    def spent(lines: int) -> float:
        segments = [Segment(_line(n), n * 3.0, n * 3.0 + 2.5) for n in range(lines)]
        source = ExportSource("transcript", "1", Document("T", "transcript", segments))
        with Path(os.devnull).open("wb") as nowhere:
            begun = time.process_time()
            service.export_to(nowhere, source, "pdf")
            return time.process_time() - begun

    def _line(n: int) -> str:
        if script.startswith("one in ten "):
            return line_of(script.removeprefix("one in ten ") if n % 10 == 0 else "plain", n)
        return line_of(script, n)

    spent(50)
    few = count // 10
    return (spent(count) - spent(few)) / (count - few) * 1e6
