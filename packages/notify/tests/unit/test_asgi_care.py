"""What looks after open connections: patience, pings, room, and who is still signed in."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, ClassVar

import pytest

pytest.importorskip("starlette")

from starlette.requests import Request
from starlette.responses import Response

from notify._common.clock import FakeClock, settle
from notify._common.web_care import Care
from notify._common.web_client import Client, EventStream
from notify._common.web_client_files import ClientFiles
from notify._common.web_guard import WebGuard
from notify.asgi.limits import Limits

LIMITS = Limits(ping=10, patience=20, recheck=60)
PATIENT = 90.0


def request(path: str = "/", **params: str) -> Request:
    return Request({"type": "http", "method": "GET", "path": path, "headers": [],
                    "query_string": b"", "path_params": params})  # fmt: skip


async def everybody(_connection: Any, _user: str) -> bool:
    return True


class Wire:
    """A connection: takes what is sent, until it is told to take nothing more."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.takes = asyncio.Event()
        self.takes.set()

    async def send(self, message: Any) -> None:
        await self.takes.wait()
        self.got.append(message)


@pytest.mark.parametrize(("patience", "dropped"), [(None, "slow"), (PATIENT, None)])
async def test_a_connection_may_have_its_own_patience(
    patience: float | None, dropped: str | None
) -> None:
    """A download to a slow line lives longer than a page that has stopped reading."""
    clock, wire = FakeClock(), Wire()
    care = Care(LIMITS, everybody, clock, patiences=[PATIENT])
    client = Client(None, request(), wire.send, clock, patience=patience)
    wire.takes.clear()
    with care.of(client):
        served = asyncio.create_task(client.served(client.say({"n": 1})))
        await clock.advance(LIMITS.patience + 10)
        assert client.dropped == dropped
        await clock.advance(PATIENT)
        assert client.dropped == "slow"
        await served
    assert not wire.got


@pytest.mark.parametrize("is_stream", [True, False])
async def test_only_a_stream_of_events_is_pinged(is_stream: bool) -> None:
    """A comment in a download, or a raw message on a socket, would spoil it."""
    clock, wire, end = FakeClock(), Wire(), asyncio.Event()
    care = Care(LIMITS, everybody, clock)
    client = Client("ada", request(), wire.send, clock, is_stream=is_stream)

    async def silent() -> None:
        await end.wait()

    with care.of(client):
        served = asyncio.create_task(client.served(silent()))
        await settle()
        await clock.advance(LIMITS.ping * 3)
        end.set()
        await served
    assert bool(wire.got) is is_stream
    assert all(each["body"].startswith(b":") for each in wire.got)


async def test_a_stream_that_finds_no_room_is_refused() -> None:
    """There was room when the handler looked, and none any more when the response began."""
    clock, wire = FakeClock(), Wire()
    care = Care(Limits(connections=1, connections_per_user=1), everybody, clock)

    async def events() -> AsyncGenerator[bytes, None]:
        yield b"data: 1\n\n"

    made = EventStream(care, request(), "ada", events, ConnectionError)
    with care.room("ada"):
        await made({}, asyncio.Event().wait, wire.send)  # type: ignore[arg-type]
    assert wire.got[0] == {"type": "http.response.start", "status": 429, "headers": []}
    assert wire.got[1:] == [{"type": "http.response.body", "body": b"", "more_body": False}]
    assert care.connections == 0


async def test_a_stream_says_first_when_to_come_again() -> None:
    clock, wire = FakeClock(), Wire()
    care = Care(LIMITS, everybody, clock)

    async def events() -> AsyncGenerator[bytes, None]:
        yield b"data: 1\n\n"

    made = EventStream(care, request(), "ada", events, ConnectionError)
    await made({}, asyncio.Event().wait, wire.send)  # type: ignore[arg-type]
    assert [each.get("body") for each in wire.got] == [
        None, b"retry: 1000\n\n", b"data: 1\n\n", b"",
    ]  # fmt: skip


async def test_care_ends_with_the_last_connection() -> None:
    clock = FakeClock()
    care = Care(LIMITS, everybody, clock)
    first, second = (Client("ada", request(), Wire().send, clock) for _ in range(2))
    care.begin(first)
    care.begin(second)
    assert _caring() == 1
    care.end(first)
    await settle()
    assert _caring() == 1
    care.end(second)
    await settle()
    assert _caring() == 0


def _caring() -> int:
    return sum(task.get_name() == "notify.care" for task in asyncio.all_tasks())


class _Guard(WebGuard):
    errors: ClassVar[tuple[type[Exception], ...]] = (ValueError,)
    preflight_headers: ClassVar[dict[str, str]] = {}

    def refused(self, exc: Any) -> Response:
        raise exc


async def test_who_cannot_be_asked_for_stays(caplog: pytest.LogCaptureFixture) -> None:
    """A user database that is down ends no open page; a user who is gone does."""
    answers: list[Any] = [ConnectionError("no database"), None, "eve", "ada"]

    def authenticate(_connection: Any) -> str | None:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    guard = _Guard(authenticate, [])
    assert await guard.is_still(request(), "ada")
    assert [each.message for each in caplog.records] == ["recheck.failed"]
    assert not await guard.is_still(request(), "ada")
    assert not await guard.is_still(request(), "ada")
    assert await guard.is_still(request(), "ada")


async def test_only_pages_bring_a_policy() -> None:
    """Scripts are loaded by pages of other applications, which have policies of their own."""
    files = ClientFiles("notify.asgi")
    for name in files.by_name:
        made = await files.serve(request(name=name, version=files.version))
        assert made.status_code == 200
        assert ("content-security-policy" in made.headers) == name.endswith(".html")
    assert {"demo.html", "client.js"} <= set(files.by_name)
