"""The usage samples of the users' specification run as they are written."""

import json

import pytest

from exporter import (
    ExportFormat,
    ExportOptions,
    ExportSource,
    ExportStatus,
    export_service,
)

formatted_data = "formatted"


async def export_transcript(transcript_id: str, format: str):
    job = await export_service.export(
        source=ExportSource(type="transcript", id=transcript_id),
        format=ExportFormat(format),
        options=ExportOptions(
            filename=f"transcript_{transcript_id}",
            include_metadata=True
        )
    )  # fmt: skip
    return job.id


# Custom export format handler
@export_service.register_format
class CustomExporter:
    format = "custom"
    content_type = "text/plain"

    async def export(self, data: dict) -> str:
        # Custom export logic
        return formatted_data


@export_service.source("transcript")
async def load_transcript(transcript_id: str) -> dict:
    return {"title": f"Talk {transcript_id}", "segments": [{"start": 0, "end": 2, "text": "Hello"}]}


@pytest.mark.parametrize("format", ["txt", "json", "srt", "csv"])
async def test_samples_run_as_written(format: str) -> None:
    export_service.configure("memory://")
    try:
        job_id = await export_transcript("42", format)
        job = await export_service.wait(job_id, timeout=10)
        assert job.status is ExportStatus.COMPLETED
        assert job.filename == f"transcript_42.{format}"
        data = await export_service.download(job_id)
        assert b"Hello" in data
        if format == "json":
            assert json.loads(data)["segments"] == [{"start": 0.0, "end": 2.0, "text": "Hello"}]
    finally:
        await export_service.aclose()


async def test_the_custom_format_of_the_sample() -> None:
    assert CustomExporter.__name__ == "CustomExporter"
    export_service.configure("memory://")
    try:
        job = await export_service.export(ExportSource("custom", "1", {"a": 1}), "custom")
        assert (await export_service.wait(job.id, 60)).content_type == "text/plain"
        assert await export_service.download(job.id) == b"formatted"
    finally:
        await export_service.aclose()
