"""Loaders and the data that they return, good and bad."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from exporter import (
    Document,
    ExportService,
    ExportSource,
    ExportStatus,
    Segment,
)
from small_exports import ended


@pytest.mark.parametrize("kind", ["dict", "document", "iterable", "async", "table"])
async def test_what_loaders_may_return(service: ExportService, kind: str) -> None:
    segment = {"text": "hello", "start": 1, "end": 2}

    async def stream() -> AsyncIterator[Any]:
        yield segment
        await asyncio.sleep(0)
        yield Segment("there", 2.0, 3.0)

    if kind == "dict":

        @service.source("transcript")
        async def load(id: str) -> Any:
            return {"segments": [segment]}
    elif kind == "document":

        @service.source("transcript")
        def load(id: str) -> Any:
            return Document("T", "transcript", stream(), total=2)
    elif kind == "iterable":

        @service.source("transcript")
        def load(id: str) -> Any:
            return (each for each in [segment])
    elif kind == "async":

        @service.source("transcript")
        async def load(id: str) -> AsyncIterator[Any]:
            async for each in stream():
                yield each
    else:

        @service.source("transcript")
        async def load(id: str) -> Any:
            return stream()

    job = await ended(service, ExportSource("transcript", "x"), "srt")
    assert job.status is ExportStatus.COMPLETED, job.error
    assert b"hello" in await service.download(job.id)


async def test_loaders_that_fail(service: ExportService) -> None:
    @service.source("none")
    async def none(id: str) -> None:
        return None

    @service.source("raises")
    async def raises(id: str) -> dict:
        raise KeyError("secret")

    @service.source("times out")
    async def times_out(id: str) -> dict:
        raise TimeoutError("of the loader")

    @service.source("stream")
    async def stream(id: str):
        yield {"a": 1}
        raise ZeroDivisionError("in the middle")

    errors = {}
    for name in ("none", "raises", "times out", "stream", "unknown"):
        job = await ended(service, ExportSource(name, "1"), "csv")
        assert job.status is ExportStatus.FAILED
        errors[name] = job.error
    assert errors["none"].startswith("ExportNotFound: the loader found no none")
    assert errors["raises"] == "KeyError: 'secret'"
    assert errors["times out"] == "TimeoutError: of the loader"
    assert errors["stream"] == "ZeroDivisionError: in the middle"
    assert "no data and no loader" in errors["unknown"]
    assert [found async for found in service.storage.list_keys()] == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"segments": 5}, "'segments' must be a list"),
        ({"segments": ["x"]}, "record 1 is 'x'; give Segment"),
        ({"segments": [{"text": ["x"]}]}, "segments[0].text must be text"),
        ({"segments": [{"text": "x", "start": "soon"}]}, "segments[0].start must be a number"),
        ({"segments": [{"text": "x", "start": 10**400}]}, "segments[0].start must be a number"),
        (
            {"segments": [{"text": "x"}, {"text": "y", "words": 3}]},
            "segments[1].words must be a list",
        ),
        ({"metadata": 3}, "'metadata' must be a mapping"),
        ({"created_at": "yesterday"}, "'created_at' is not an ISO 8601 date"),
    ],
)
async def test_bad_data_names_the_field(service: ExportService, data: Any, words: str) -> None:
    job = await ended(service, ExportSource("transcript", "1", data), "txt")
    assert job.status is ExportStatus.FAILED
    assert job.error.startswith("InvalidSource: ")
    assert words in job.error


async def test_deep_nesting_is_an_error(service: ExportService) -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for format in ("json", "txt", "csv"):
        job = await ended(service, ExportSource("custom", "1", {"x": deep}), format)
        assert job.status is ExportStatus.FAILED
        assert "nested too deeply" in job.error
    while deep:
        deep = deep[0]
