"""One user reaches for another's export, by every way in."""

import asyncio
import inspect
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from exporter import (
    ExportFilters,
    ExportNotFound,
    ExportService,
    ExportStatus,
    InvalidLink,
    Settings,
)
from small_exports import CSV, ROWS, Gate, ended


@pytest.fixture
async def service() -> AsyncIterator[ExportService]:
    settings = {
        "storage": {"url": "memory://"},
        "history": {"url": "memory://"},
        "downloads": {"signing_keys": {"k": "k" * 32}},
    }
    async with ExportService(Settings.from_mapping(settings)) as made:
        yield made


async def _drained(stream: Any) -> list[Any]:
    return [each async for each in stream]


REFUSED = {
    "download": lambda s, id: s.download(id, user_id="bob"),
    "link": lambda s, id: s.link(id, user_id="bob"),
    "retry": lambda s, id: s.retry(id, user_id="bob"),
    "storage_link": lambda s, id: s.storage_link(id, user_id="bob"),
    "stream": lambda s, id: _drained(s.stream(id, user_id="bob")),
    "subscribe": lambda s, id: s.subscribe(id, print, user_id="bob"),
    "wait": lambda s, id: s.wait(id, 60, user_id="bob"),
    "watch": lambda s, id: _drained(s.watch(id, user_id="bob")),
}
ANSWERED = {
    "cancel": (lambda s, id: s.cancel(id, user_id="bob"), False),
    "delete": (lambda s, id: s.delete(id, user_id="bob"), False),
    "get_job": (lambda s, id: s.get_job(id, user_id="bob"), None),
    "list_exports": (lambda s, _id: s.list_exports("bob"), []),
}
STARTS = {"export", "export_batch", "open_link"}  # open_link: below


@pytest.mark.parametrize("state", ["finished", "running"])
async def test_as_if_there_were_none(service: ExportService, state: str) -> None:
    gate = Gate()
    if state == "finished":
        job = await ended(service, ROWS, "csv", user_id="ann")
    else:
        from exporter import ExportSource

        job = await service.export(ExportSource("custom", "1", gate), "csv", user_id="ann")
        await gate.wait()
    missing = "0" * 32
    for name, call in REFUSED.items():
        with pytest.raises(ExportNotFound) as foreign:
            await call(service, job.id)
        with pytest.raises(ExportNotFound) as unknown:
            await call(service, missing)
        assert str(foreign.value).replace(job.id, missing) == str(unknown.value), name
    for name, (call, expected) in ANSWERED.items():
        assert await call(service, job.id) == expected, name
    assert list(await service.list_exports(filters=ExportFilters(user_id="bob"))) == []
    gate.release.set()
    mine = await service.wait(job.id, 60, user_id="ann")
    assert mine.status is ExportStatus.COMPLETED
    if state == "finished":
        assert await service.download(job.id, "ann") == CSV


def test_every_way_in_is_tried() -> None:
    """A method that knows users belongs into one of the tables above."""
    knows = {
        name
        for name, method in inspect.getmembers(ExportService, callable)
        if not name.startswith("_") and "user_id" in inspect.signature(method).parameters
    }
    assert knows == REFUSED.keys() | ANSWERED.keys() | STARTS


async def test_the_same_key_of_two_users(service: ExportService) -> None:
    first = await service.export(ROWS, "csv", user_id="ann", idempotency_key="k")
    other = await service.export(ROWS, "csv", user_id="bob", idempotency_key="k")
    assert first.id != other.id


async def test_links_are_for_whom_they_were_made(service: ExportService) -> None:
    job = await ended(service, ROWS, "csv", user_id="ann")
    other = await ended(service, ROWS, "csv", user_id="bob")
    bound, theirs = (
        await service.link(job.id, user_id="ann"),
        await service.link(other.id, user_id="bob"),
    )
    for user in ("bob", "", None, "ANN", "ann ", "ann\0", "\ud800"):
        with pytest.raises(InvalidLink):
            await service.open_link(bound, user)
    assert (await service.open_link(bound, "ann")).id == job.id
    # parts of two good tokens make no third
    for cut in range(1, len(bound)):
        for mixed in (bound[:cut] + theirs[cut:], theirs[:cut] + bound[cut:]):
            if mixed not in {bound, theirs}:  # they begin alike
                with pytest.raises(InvalidLink):
                    await service.open_link(mixed, "ann")


async def test_a_link_of_one_use_for_two_processes(tmp_path: Path) -> None:
    """Two services on one database stand for two processes: one of them gets the file."""
    pytest.importorskip("sqlalchemy")
    settings = Settings.from_mapping({
        "storage": {"url": f"file://{tmp_path}/e"},
        "history": {"url": f"sqlite:///{tmp_path}/h.db"},
        "downloads": {"signing_keys": {"k": "k" * 32}},
    })  # fmt: skip
    async with ExportService(settings) as one, ExportService(settings) as two:
        job = await ended(one, ROWS, "csv", user_id="ann")
        for _ in range(20):
            token = await one.link(job.id, single_use=True)
            tries = [each.open_link(token) for each in (one, two, one, two)]
            found = await asyncio.gather(*tries, return_exceptions=True)
            assert sorted(type(each).__name__ for each in found) == [
                "ExportJob", "InvalidLink", "InvalidLink", "InvalidLink",
            ]  # fmt: skip
