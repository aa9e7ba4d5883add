"""Every door of the web application, tried by somebody else."""

import gc
import json
import weakref
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("starlette")
httpx = pytest.importorskip("httpx")

from starlette.exceptions import HTTPException, WebSocketException  # noqa: E402

from _common.asgi_lines import Line, Stream  # noqa: E402
from progress_tracker import ProgressTracker  # noqa: E402
from progress_tracker.asgi import create_app, token_of  # noqa: E402
from progress_tracker.testing import FakeClock, settle  # noqa: E402

GOOD = "https://app.example.com"
STRANGE = {"of another": "bens", "of nobody": "free", "unknown": "nobody"}


def who(connection: Any) -> str | None:
    return connection.headers.get("x-user")


@pytest.fixture
async def app(tracker: ProgressTracker) -> Any:
    await tracker.create(id="annas", user_id="anna")
    await tracker.create(id="bens", user_id="ben", metadata={"title": "secret"})
    await tracker.create(id="bens part", parent_id="bens")
    await tracker.create(id="free")
    return create_app(tracker, authenticate=who, allowed_origins=[GOOD])


async def asked(app: Any, method: str, path: str, **options: Any) -> Any:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://host", headers={"x-user": "anna"}
    ) as web:
        answer = await web.request(method, path, **options)
        return answer.status_code, answer.text


async def by_stream(app: Any, path: str, query: str = "") -> Any:
    stream = Stream(app, path, query=query)
    event = await stream.event() if stream.status in {0, 200} else None
    said = None if event is None else (event["event"], json.loads(event["data"]))
    await stream.close()
    return stream.status, said


async def by_socket(app: Any, id: str) -> Any:
    line = Line(app, f"/ws/progress/{id}")
    await line.end()
    return line.accepted, line.refused, await line.hear()


async def by_the_socket_of_many(app: Any, id: str) -> Any:
    line = Line(app, "/ws/progress")
    line.say(type="subscribe", id="annas")
    assert (await line.hear())["progress"]["id"] == "annas"
    line.say(type="subscribe", id=id)
    said = await line.hear()
    line.say(type="ping")
    after = await line.hear()
    await line.close()
    return said.pop("id") == id, said, after


DOORS = {
    "read": lambda app, id: asked(app, "GET", f"/{id}"),
    "wait": lambda app, id: asked(app, "GET", f"/{id}?since=1:1&wait=5"),
    "cancel": lambda app, id: asked(app, "POST", f"/{id}/cancel"),
    "parts": lambda app, id: asked(app, "GET", "/", params={"parentId": id}),
    "events": lambda app, id: asked(app, "GET", f"/{id}/events"),
    "events, resumed": lambda app, id: asked(
        app, "GET", f"/{id}/events", headers={"last-event-id": "1:1"}
    ),
    "events of many": lambda app, id: by_stream(app, "/events", f"id={id}"),
    "socket": by_socket,
    "socket of many": by_the_socket_of_many,
}


@pytest.mark.parametrize("door", DOORS)
async def test_nobody_learns_anything_of_others(app: Any, door: str, tracker: Any) -> None:
    before = {id: await tracker.get(id) for id in ("bens", "free")}
    answers = {}
    for what, id in STRANGE.items():
        found = await DOORS[door](app, id)
        answers[what] = repr(found).replace(id, "ID")
        assert "secret" not in answers[what]
        assert "ben" not in answers[what].replace("ID", "")
    assert len(set(answers.values())) == 1, answers
    assert {id: await tracker.get(id) for id in before} == before
    await settle()
    assert tracker.get_stats().watchers == 0


@pytest.mark.parametrize("door", DOORS)
async def test_the_same_doors_open_for_the_owner(app: Any, door: str, tracker: Any) -> None:
    """Else the test above would pass by refusing everybody."""
    if door == "parts":
        await tracker.create(id="annas part", parent_id="annas")
        assert "annas part" in (await DOORS[door](app, "annas"))[1]
    elif door == "socket":
        line = Line(app, "/ws/progress/annas")
        assert (await line.hear())["progress"]["userId"] == "anna"
        await line.close()
    elif door == "events":
        assert "annas" in repr(await by_stream(app, "/annas/events"))
    elif door == "events, resumed":
        stream = Stream(app, "/annas/events", last_event_id="1:1")
        await settle()
        await tracker.update("annas", 5)
        event = await stream.event()
        assert event is not None
        assert event["id"] == "1:2"
        await stream.close()
    elif door == "wait":
        assert await DOORS[door](app, "annas?since=1:0&x=") == await DOORS["read"](app, "annas")
    else:
        assert "annas" in repr(await DOORS[door](app, "annas"))


async def test_lists_hold_only_ones_own(app: Any) -> None:
    _, text = await asked(app, "GET", "/?userId=ben&user_id=ben&limit=1000")
    assert [each["id"] for each in json.loads(text)["items"]] == ["annas"]


@pytest.mark.parametrize(
    ("origin", "enters"),
    [
        (GOOD, True), ("http://host", True), (None, True), (f"{GOOD}.evil.com", False),
        ("https://APP.example.com", False), (f"{GOOD}:8443", False), ("null", False),
        ("http://host.evil.com", False), ("https://evil.com/http://host", False), ("", False),
        ("http://[", False), ("httpx://host", False), ("//host", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/ws/progress", "/ws/progress/annas"])
async def test_origins_of_sockets(app: Any, path: str, origin: str | None, enters: bool) -> None:
    line = Line(app, path, **({} if origin is None else {"origin": origin}))
    await settle()
    assert (line.accepted is not None) == enters
    assert line.refused == (None if enters else 403)
    await line.close()


async def test_a_socket_needs_a_user(app: Any) -> None:
    for path in ("/ws/progress", "/ws/progress/annas", "/ws/progress/nobody"):
        line = Line(app, path, None)
        await line.end()
        assert (line.accepted, line.refused) == (None, 401)


@pytest.mark.parametrize("path", ["/ws/progress", "/ws/progress/annas"])
async def test_what_authenticate_may_raise(tracker: ProgressTracker, path: str) -> None:
    """Starlette's own words for no; anything else is a fault, and the server's to tell."""
    raised: list[Exception] = [
        HTTPException(418, "tea only"), WebSocketException(4000), RuntimeError("broken"),
    ]  # fmt: skip

    def authenticate(_: Any) -> str | None:
        raise raised[0]

    await tracker.create(id="annas", user_id="anna")
    app = create_app(tracker, authenticate=authenticate)
    line = Line(app, path)
    await line.end()
    assert (line.accepted, line.refused, await line.hear()) == (None, 418, {"error": "tea only"})
    raised.pop(0)
    line = Line(app, path)
    await line.end()
    assert (line.accepted, line.refused, line.closed) == (None, None, 4000)
    raised.pop(0)
    line = Line(app, path)
    with pytest.raises(RuntimeError, match="broken"):
        await line.task
    assert line.accepted is None
    assert app.state.care.connections == 0


async def test_what_let_a_socket_in_is_not_kept(tracker: ProgressTracker, clock: FakeClock) -> None:
    """Thousands of sockets would keep thousands of parsed headers and queries; asked anew later."""
    known: list[weakref.ref[Any]] = []

    def authenticate(connection: Any) -> str | None:
        assert connection.headers["x-user"]
        known.append(weakref.ref(connection))
        return who(connection)

    await tracker.create(id="annas", user_id="anna")
    app = create_app(tracker, authenticate=authenticate)
    lines = [Line(app, path) for path in ("/ws/progress", "/ws/progress/annas")]
    await lines[1].hear()
    gc.collect()
    assert [each() for each in known] == [None, None]
    await clock.advance(90)
    assert len(known) == 4, "authenticated anew"
    for line in lines:
        await line.close()
    elsewhere = Line(app, "/ws/elsewhere")
    await elsewhere.end()
    assert (elsewhere.accepted, elsewhere.closed) == (None, 1000)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 202),
        ({"content-type": "application/json"}, 202),
        ({"sec-fetch-site": "same-origin", "origin": "http://host"}, 202),
        ({"sec-fetch-site": "cross-site", "origin": GOOD}, 202),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://evil.com"}, 403),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "text/plain; charset=utf-8"}, 415),
        ({"content-type": "multipart/form-data; boundary=x"}, 415),
    ],
)
async def test_a_page_of_another_site_cancels_nothing(
    app: Any, tracker: ProgressTracker, headers: dict[str, str], status: int
) -> None:
    found, _ = await asked(app, "POST", "/annas/cancel", headers=headers)
    assert found == status
    assert (await tracker.get("annas")).cancel_requested == (status == 202)


async def test_a_session_that_ends_ends_its_sockets(clock: FakeClock) -> None:
    signed_in = {"anna", "ben"}

    async def authenticate(connection: Any) -> str | None:
        user = who(connection)
        return user if user in signed_in else None

    async with ProgressTracker.from_url("memory://", clock=clock) as tracker:
        for user in signed_in:
            await tracker.create(id=user, user_id=user)
        app = create_app(tracker, authenticate=authenticate)
        anna, ben = Line(app, "/ws/progress/anna"), Line(app, "/ws/progress", "ben")
        stream = Stream(app, "/anna/events")
        await anna.hear()
        assert await stream.event()
        signed_in.discard("anna")
        await clock.advance(90)
        await anna.end()
        assert anna.closed == 4401
        assert await stream.event() is None
        assert ben.closed is None
        await ben.close()


async def test_a_right_that_is_lost_ends_a_subscription(clock: FakeClock) -> None:
    allowed, calls = {"anna", "ben"}, []

    async def authorize(user: str, action: str, progress: Any) -> bool:
        calls.append(user)
        return user in allowed

    async with ProgressTracker.from_url("memory://", clock=clock) as tracker:
        await tracker.create(id="a")
        app = create_app(tracker, authenticate=who, authorize=authorize)
        lines = {user: Line(app, "/ws/progress/a", user) for user in ("anna", "ben")}
        for line in lines.values():
            assert (await line.hear())["type"] == "progress"
        calls.clear()
        for n in range(1, 5):
            await tracker.update("a", n)
            for line in lines.values():
                assert (await line.hear())["progress"]["progress"] == n
        assert sorted(calls) == ["anna", "ben"], "a coroutine function is not asked each time"
        allowed.discard("anna")
        await clock.advance(5)
        await tracker.update("a", 50)
        assert (await lines["anna"].hear())["type"] == "gone"
        assert (await lines["ben"].hear())["progress"]["progress"] == 50
        await lines["anna"].end()
        assert lines["anna"].closed == 1000
        await lines["ben"].close()


def test_tokens() -> None:
    def brought(**headers: str) -> str | None:
        found = {name.replace("_", "-"): value for name, value in headers.items()}
        return token_of(SimpleNamespace(headers=found))  # type: ignore[arg-type]  # enough for it

    assert brought(authorization="Bearer a.b") == "a.b"
    assert brought(authorization="bearer  a.b ") == "a.b"
    assert brought(authorization="Basic x") is None
    assert brought(sec_websocket_protocol="progress.v1, bearer.w6Q") == "ä"
    assert brought(sec_websocket_protocol="bearer.!!, progress.v1") is None
    assert brought(sec_websocket_protocol="bearer._w") is None
    assert brought() is None
