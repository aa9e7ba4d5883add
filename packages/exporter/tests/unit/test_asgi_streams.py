"""Streams of events and downloads as connections: what resumes, what is counted, what is ended."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from _common.asgi_lines import Stream
from exporter import ExportService, ExportSource
from exporter.testing import FakeClock
from small_exports import CSV, ROWS, Gate, ended

pytest.importorskip("starlette")
httpx = pytest.importorskip("httpx")

from exporter.asgi import Limits, create_app  # noqa: E402  needs the extra

LIMITS = Limits(
    connections=3, connections_per_user=2, ping=20, patience=10, download_patience=40, recheck=30
)


class Doors:
    """Who may come in, while it is so."""

    def __init__(self) -> None:
        self.closed: set[str] = set()
        self.broken = False

    async def who(self, connection: Any) -> str | None:
        if self.broken:
            raise RuntimeError("the directory does not answer")
        user = connection.headers.get("x-user")
        return None if user in self.closed else user


@pytest.fixture
def doors() -> Doors:
    return Doors()


@pytest.fixture
def app(service: ExportService, doors: Doors) -> Any:
    return create_app(service, authenticate=doors.who, limits=LIMITS)


@pytest.fixture
async def gate(service: ExportService) -> AsyncIterator[Gate]:
    made = Gate()
    yield made
    made.release.set()


async def running(service: ExportService, gate: Gate) -> str:
    job = await service.export(ExportSource("custom", "1", gate), "csv", user_id="anna")
    await gate.wait()
    return job.id


async def moved(clock: FakeClock, seconds: float) -> None:
    """Let time go by in steps, as the keeper of connections sees it."""
    for _ in range(int(seconds / 2.5) + 1):
        await clock.advance(2.5)


async def test_a_stream_resumes_after_the_state_that_is_known(
    app: Any, service: ExportService, gate: Gate
) -> None:
    id = await running(service, gate)
    first = Stream(app, f"/exports/{id}/events")
    event = await first.event()
    assert event is not None
    assert json.loads(event["data"])["status"] == "processing"
    await first.close()
    again = Stream(app, f"/exports/{id}/events", last_event_id=event["id"])
    gate.release.set()
    while (latest := await again.event()) is not None:
        assert latest["id"] != event["id"]
        event = latest
    assert json.loads(event["data"])["status"] == "completed"
    known = Stream(app, f"/exports/{id}/events", last_event_id=event["id"])
    await known.end()
    assert known.status == 204
    by_query = Stream(app, f"/exports/{id}/events", query=f"since={event['id']}")
    await by_query.end()
    assert by_query.status == 204
    unknown = Stream(app, f"/exports/{id}/events", last_event_id="of another world\u00e9")
    assert (await unknown.event() or {})["id"] == event["id"]


async def test_the_newest_state_comes_first_and_the_end_ends_it(
    app: Any, service: ExportService
) -> None:
    job = await ended(service, ROWS, "csv", user_id="anna")
    stream = Stream(app, f"/exports/{job.id}/events")
    event = await stream.event()
    assert event is not None
    assert (event["event"], event["id"]) == ("export", "1.completed.100")
    assert await stream.event() is None
    assert stream.headers["cache-control"] == "no-store"


async def test_one_that_is_deleted(app: Any, service: ExportService, gate: Gate) -> None:
    id = await running(service, gate)
    stream = Stream(app, f"/exports/{id}/events")
    await stream.event()
    await service.history.delete(id)
    event = await stream.event()
    assert event is not None
    assert (event["event"], json.loads(event["data"])) == ("gone", {"id": id})
    assert await stream.event() is None


async def test_a_right_that_is_lost_ends_the_stream(service: ExportService, gate: Gate) -> None:
    allowed = True
    app = create_app(
        service,
        authenticate=lambda connection: connection.headers["x-user"],
        authorize=lambda *_: allowed,
    )
    id = await running(service, gate)
    stream = Stream(app, f"/exports/{id}/events", user="bob")
    await stream.event()
    allowed = False
    gate.release.set()
    assert (await stream.event() or {})["event"] == "gone"
    assert await stream.event() is None


async def test_one_user_cannot_take_all_connections(
    app: Any, service: ExportService, gate: Gate
) -> None:
    id = await running(service, gate)
    held = [Stream(app, f"/exports/{id}/events") for _ in range(2)]
    for each in held:
        await each.event()
    refused = Stream(app, f"/exports/{id}/events")
    await refused.end()
    assert refused.status == 429
    await held[0].close()
    again = Stream(app, f"/exports/{id}/events")
    await again.event()
    assert app.state.care.connections == 2
    for each in (held[1], again):
        await each.close()
    assert app.state.care.connections == 0


async def test_downloads_are_counted_too(app: Any, service: ExportService) -> None:
    job = await ended(service, ROWS, "csv", user_id="anna")
    held = [Stream(app, f"/exports/{job.id}/file") for _ in range(2)]
    for each in held:
        each.flows.clear()
    while app.state.care.connections < 2:
        await asyncio.sleep(0)
    refused = Stream(app, f"/exports/{job.id}/file")
    await refused.end()
    assert refused.status == 429
    for each in held:
        each.flows.set()
        assert await each.part() == CSV
        await each.end()
    assert app.state.care.connections == 0


async def test_all_connections_together(app: Any, service: ExportService, gate: Gate) -> None:
    id = await running(service, gate)
    other = (await ended(service, ROWS, "csv", user_id="bob")).id
    held = [Stream(app, f"/exports/{id}/events") for _ in range(2)]
    for each in held:
        await each.event()
    blocked = Stream(app, f"/exports/{other}/file", user="bob")
    blocked.flows.clear()
    while app.state.care.connections < 3:
        await asyncio.sleep(0)
    refused = Stream(app, f"/exports/{other}/file", user="bob")
    await refused.end()
    assert refused.status == 503
    for each in (*held, blocked):
        each.flows.set()
        await each.close()


async def test_the_silent_are_spoken_to_and_the_slow_dropped(
    app: Any, service: ExportService, gate: Gate, clock: FakeClock
) -> None:
    id = await running(service, gate)
    lively, slow = (Stream(app, f"/exports/{id}/events") for _ in range(2))
    for each in (lively, slow):
        await each.event()
    await moved(clock, 21)
    assert await lively.part() == b": keep-alive\n\n"
    slow.flows.clear()
    await moved(clock, 45)  # the next word is due after 20, and may wait for 10
    async with asyncio.timeout(60):
        while app.state.care.connections > 1:
            await asyncio.sleep(0)
    slow.flows.set()
    await slow.close()
    await lively.close()


async def test_who_signs_out_hears_no_more(
    app: Any, service: ExportService, gate: Gate, clock: FakeClock, doors: Doors
) -> None:
    id = await running(service, gate)
    stream = Stream(app, f"/exports/{id}/events")
    await stream.event()
    doors.broken = True  # what cannot be asked now is asked again
    await moved(clock, 32)
    assert app.state.care.connections == 1
    doors.broken = False
    doors.closed.add("anna")
    await moved(clock, 32)
    await stream.end()
    assert app.state.care.connections == 0


async def test_a_download_that_nobody_takes_is_dropped(
    app: Any, service: ExportService, clock: FakeClock
) -> None:
    job = await ended(service, ROWS, "csv", user_id="anna")
    stream = Stream(app, f"/exports/{job.id}/file")
    stream.flows.clear()
    while not app.state.care.connections:
        await asyncio.sleep(0)
    await moved(clock, 30)
    assert app.state.care.connections == 1  # people pause downloads
    await moved(clock, 15)
    await stream.end()
    assert app.state.care.connections == 0
    assert stream.status == 200


async def test_a_server_that_stops_ends_all(app: Any, service: ExportService, gate: Gate) -> None:
    id = await running(service, gate)
    stream = Stream(app, f"/exports/{id}/events")
    await stream.event()
    app.state.care.close()
    assert await stream.event() is None
    await stream.end()
