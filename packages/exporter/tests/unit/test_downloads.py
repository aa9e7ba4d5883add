"""Finished files are read: whole, in ranges, and broken ones."""

from typing import Any

import pytest

from exporter import (
    ConfigurationError,
    ExportError,
    ExportExpired,
    ExportService,
    InvalidLink,
    StorageError,
)
from small_exports import CSV, ROWS, ended


async def test_ranges_and_broken_files(service: ExportService) -> None:
    job = await ended(service, ROWS, "csv")

    async def part(*byte_range: Any) -> bytes:
        return b"".join([block async for block in service.stream(job.id, byte_range)])

    assert await part(0, 0) == CSV[:1]
    assert await part(2, None) == CSV[2:]
    assert await part(1, 999) == CSV[1:]
    for wrong in ((9, None), (-1, 2), (3, 2)):
        with pytest.raises(ExportError) as caught:
            await part(*wrong)
        assert caught.value.reason == "range"
    [found] = [each async for each in service.storage.list_keys()]
    service.storage._files[found.key] = CSV.upper() + b"x"
    with pytest.raises(StorageError, match="not what was written"):
        await service.download(job.id)
    service.storage._files[found.key] = b"A\r\n1\r\n"
    with pytest.raises(StorageError, match="not what was written"):
        await service.download(job.id)
    await service.storage.delete(found.key)
    with pytest.raises(ExportExpired):
        await service.download(job.id)


async def test_odd_ranges_are_own_errors(service: ExportService) -> None:
    job = await ended(service, ROWS, "csv")
    wrong: tuple[Any, ...] = (
        5, "ab", (1,), (0, 1, 2), (None, None), (1.5, None), (float("nan"), None), ("0", 2),
        (0, float("inf")), (True, None), (0, ""), {0: 1},
    )  # fmt: skip
    for byte_range in wrong:
        with pytest.raises(ConfigurationError, match="byte_range must be"):
            [block async for block in service.stream(job.id, byte_range)]
    for outside in ((0, -5), (10**6000, None)):
        with pytest.raises(ExportError) as caught:
            [block async for block in service.stream(job.id, outside)]
        assert caught.value.reason == "range"
    with pytest.raises(InvalidLink):
        await service.open_link(5)
