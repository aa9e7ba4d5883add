"""Formats that users register."""

import asyncio
import threading
from typing import Any

import pytest

from exporter import (
    ConfigurationError,
    Document,
    ExportFormatDefinition,
    ExportService,
    Segment,
    Settings,
)
from exporter.ports import Renderer
from exporter.running import threads
from small_exports import ROWS, ended


async def test_custom_formats(service: ExportService) -> None:
    @service.register_format
    class Upper(Renderer):
        format = "upper"
        content_type = "text/plain"
        extension = "up"

        def begin(self, document: Document) -> None:
            self.put(document.title.upper())

        def write(self, record: Any) -> None:
            self.put(record.text.upper())

        def end(self) -> None:
            self.put("!")

    assert isinstance(Upper, type)
    service.register_format(
        ExportFormatDefinition(
            "bytes",
            "application/octet-stream",
            export=lambda data: b"\x00" + repr(data["metadata"]["title"]).encode(),
        )
    )
    document = Document("Talk", "transcript", [Segment("hello")])
    job = await ended(service, document, "upper")
    assert (job.filename, job.content_type) == ("transcript_Talk.up", "text/plain")
    assert await service.download(job.id) == b"TALKHELLO!"
    job = await ended(service, document, "bytes")
    assert await service.download(job.id) == b"\x00'Talk'"
    assert {"upper", "bytes"} <= set(service.list_formats())


async def test_custom_formats_that_fail(
    service: ExportService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "GRACE", 0.1)
    hanging = threading.Event()

    def register(name: str, export: Any) -> None:
        service.register_format(ExportFormatDefinition(name, "text/plain", export=export))

    async def hangs(data: dict) -> str:
        await asyncio.sleep(3600)
        return ""

    register("raises", lambda data: 1 / 0)
    register("wrong", lambda data: 5)
    register("hangs", hangs)
    register("blocks", lambda data: hanging.wait(120) or "")
    assert (await ended(service, ROWS, "raises")).error == "ZeroDivisionError: division by zero"
    assert "returned int, not str or bytes" in (await ended(service, ROWS, "wrong")).error
    settings = {
        "storage": {"url": "memory://"},
        "history": {"url": "memory://"},
        "jobs": {"timeout": 0.05},
    }
    async with ExportService(Settings.from_mapping(settings)) as impatient:
        impatient._formats = service._formats
        for name in ("hangs", "blocks"):
            job = await ended(impatient, ROWS, name)
            assert job.error == "ExportError: the export took longer than 0.05 seconds"
    hanging.set()
    for wrong in (
        object,
        5,
        ExportFormatDefinition("x", "text/plain"),
        Renderer,
        ExportFormatDefinition("Bad Name", "text/plain", export=str),
        ExportFormatDefinition("x", "text/plain\r\nx: y", export=str),
        ExportFormatDefinition("x", "text/plain", "../x", export=str),
    ):
        with pytest.raises(ConfigurationError):
            service.register_format(wrong)
