"""The dashboard's stream: complete, resumable, bounded."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from jobqueue import BackendError, JobQueue, JobQueueError
from jobqueue.testing import FakeClock

pytest.importorskip("httpx")
pytest.importorskip("starlette")

import httpx
from starlette.responses import StreamingResponse

from jobqueue._common.web import WebError
from jobqueue.asgi import create_app, live
from jobqueue.asgi.live import Live
from jobqueue.asgi.sending import impatient


def tasks() -> set[str]:
    return {each.get_name() for each in asyncio.all_tasks()}


@asynccontextmanager
async def reading(
    app: Any, since: str | None = None, user: str = "ada"
) -> AsyncIterator[AsyncGenerator[dict[str, Any], None]]:
    """Connect to the stream by ASGI itself, since httpx reads answers as a whole."""
    chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
    gone = asyncio.Event()
    headers = [(b"x-user", user.encode())]
    headers += [(b"last-event-id", since.encode())] if since else []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 200, message
        elif message["body"]:
            await chunks.put(message["body"])
        if message["type"] == "http.response.body" and not message.get("more_body"):
            await chunks.put(None)

    async def receive() -> Any:
        await gone.wait()
        return {"type": "http.disconnect"}

    scope = {
        "type": "http", "method": "GET", "path": "/api/events", "raw_path": b"/api/events",
        "query_string": b"", "headers": headers, "root_path": "", "scheme": "http",
        "server": ("x", 80), "asgi": {"spec_version": "2.3"},
    }  # fmt: skip
    task = asyncio.create_task(app(scope, receive, send))

    async def events() -> AsyncGenerator[dict[str, Any], None]:
        while (chunk := await chunks.get()) is not None:
            lines = [line.split(": ", 1) for line in chunk.decode().strip().splitlines()]
            fields = {name: value for name, value in lines if name}
            if "data" in fields:
                yield {**fields, "data": json.loads(fields["data"])}

    try:
        async with asyncio.timeout(60):
            yield events()
    finally:
        gone.set()
        await task


def dashboard(queue: JobQueue, **options: Any) -> Any:
    options.setdefault("authenticate", lambda connection: connection.headers.get("x-user"))
    return create_app(queue, **options)


async def test_the_overview_then_what_is_new(queue: JobQueue, clock: FakeClock) -> None:
    app = dashboard(queue)
    async with reading(app) as events:
        first = await anext(events)
        assert first["event"] == "overview"
        assert first["data"]["total"]["pending"] == 0
        await queue.enqueue("x")
        await clock.advance(2)
        app.state.live.hurry()
        second = await anext(events)
        assert second["event"] == "news"
        assert second["data"]["total"]["pending"] == 1
        assert [point["backlog"] for point in second["data"]["points"]] == [1]
        assert "jobqueue-dashboard" in tasks()
    assert "jobqueue-dashboard" not in tasks()


async def test_a_reader_goes_on_where_it_left(queue: JobQueue, clock: FakeClock) -> None:
    app = dashboard(queue)
    async with reading(app) as other:
        await anext(other)
        async with reading(app) as events:
            mark = (await anext(events))["id"]
        for _ in range(3):
            await clock.advance(2)
            app.state.live.hurry()
            await anext(other)
        async with reading(app, mark) as events:
            again = await anext(events)
            assert (again["event"], len(again["data"]["points"])) == ("news", 3)
        for strange in ("", "x", "0123456789ab:1", f"{mark}x", "\u0663:\u0663".encode().hex()):
            async with reading(app, strange) as events:
                assert (await anext(events))["event"] == "overview", strange


async def test_after_a_restart_the_whole_overview_comes(queue: JobQueue) -> None:
    async with reading(dashboard(queue)) as events:
        mark = (await anext(events))["id"]
    async with reading(dashboard(queue), mark) as events:
        assert (await anext(events))["event"] == "overview"


async def test_a_broker_that_fails_is_told_and_looked_at_again(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = dashboard(queue)
    await queue.opened()
    whole = queue.broker.stats
    errors: list[Exception] = [BackendError("secret host"), RuntimeError("odd")]

    async def fails(name: str | None) -> Any:
        if errors:
            raise errors.pop(0)
        return await whole(name)

    monkeypatch.setattr(queue.broker, "stats", fails)
    async with reading(app) as events:
        first = await anext(events)
        assert (first["event"], "secret" in str(first)) == ("trouble", False)
        assert "id" not in first
        app.state.live.hurry()
        assert "log of the server" in (await anext(events))["data"]["error"]
        app.state.live.hurry()
        assert (await anext(events))["event"] == "overview"


async def test_what_a_user_may_do_is_in_their_stream(queue: JobQueue) -> None:
    app = dashboard(queue, authorize=lambda user, action, _: action == "overview" or user == "eve")
    async with reading(app) as ada, reading(app, user="eve") as eve:
        assert (await anext(ada))["data"]["queues"][0]["actions"] == []
        assert (await anext(eve))["data"]["queues"][0]["actions"] == ["pause", "retry_failed"]


async def test_revoked_access_closes_the_stream(queue: JobQueue, clock: FakeClock) -> None:
    allowed = {"ada", "eve"}
    app = dashboard(
        queue,
        authenticate=lambda connection: (
            found if (found := connection.headers["x-user"]) in allowed else None
        ),
    )
    async with reading(app) as ada, reading(app, user="eve") as eve:
        await anext(ada)
        await anext(eve)
        allowed.discard("eve")
        await clock.advance(31)
        app.state.live.hurry()
        await anext(ada)
        assert await anext(eve, None) is None


async def test_too_many_pages_are_refused(queue: JobQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_MOST_PER_USER", 2)
    monkeypatch.setattr(live, "_MOST_WATCHERS", 3)
    made = Live(queue)
    async with made.watched("ada"), made.watched("ada"):
        with pytest.raises(WebError):
            made.check_room("ada")
        async with made.watched("eve"):
            with pytest.raises(WebError):
                made.check_room("bob")
        made.check_room("bob")
    made.check_room("ada")
    app = dashboard(queue)
    monkeypatch.setattr(live, "_MOST_WATCHERS", 0)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://x.test"
    ) as http:
        answer = await http.get("/api/events", headers={"x-user": "ada"})
    assert answer.status_code == 503


async def test_closing_ends_all_streams(queue: JobQueue) -> None:
    app = dashboard(queue)
    async with reading(app) as events:
        await anext(events)
        app.state.live.close()
        assert await anext(events, None) is None
    with pytest.raises(JobQueueError):
        await app.state.live.first()


async def test_queues_beyond_a_hundred_are_counted_only(queue: JobQueue) -> None:
    await queue.enqueue_many([("x", {})])
    for n in range(105):
        await queue.pause(f"q{n:03}")
    async with reading(dashboard(queue)) as events:
        data = (await anext(events))["data"]
    assert (len(data["queues"]), data["queuesLeftOut"]) == (100, 6)


@pytest.mark.parametrize("spec", ["2.3", "2.4"])
async def test_a_reader_that_takes_nothing_is_dropped(spec: str) -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"x"
        finally:
            closed.set()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()  # a full socket

    scope = {"type": "http", "asgi": {"spec_version": spec}}
    response = impatient(StreamingResponse(endless()), 0.05)
    async with asyncio.timeout(60):
        await response(scope, asyncio.Event().wait, send)  # type: ignore[arg-type]
        await closed.wait()


async def test_other_errors_of_a_stream_get_out() -> None:
    async def broken() -> AsyncGenerator[bytes, None]:
        yield b"x"
        raise ValueError

    async def send(message: Any) -> None: ...

    scope = {"type": "http", "asgi": {"spec_version": "2.4"}}
    with pytest.raises((ValueError, ExceptionGroup)):  # a group in Starlette before 0.38
        await impatient(StreamingResponse(broken()))(scope, asyncio.Event().wait, send)  # type: ignore[arg-type]
