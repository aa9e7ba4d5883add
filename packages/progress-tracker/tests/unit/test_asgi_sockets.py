"""Sockets, streams and waiting requests: one slot for each operation, limits, shared work."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest

pytest.importorskip("starlette")
httpx = pytest.importorskip("httpx")

from _common.asgi_lines import Line, Stream  # noqa: E402
from progress_tracker import ProgressTracker  # noqa: E402
from progress_tracker.adapters.memory import MemoryStore  # noqa: E402
from progress_tracker.asgi import Limits, client_path, create_app  # noqa: E402
from progress_tracker.testing import ChaosStore, FakeClock, settle  # noqa: E402

SHADOWED = [
    "events", "cancel", "client/1/x.js", "a/events", "a/cancel", "events/events", "ws/progress",
    ".", "..", "../a", "/a", "a/", "//", "/", "a//b", "%2e%2e", "a\\b", "a?b=1&c#d", "é 💥",
]  # fmt: skip


def who(connection: Any) -> str | None:
    return connection.headers.get("x-user")


def made(tracker: ProgressTracker, **limits: Any) -> Any:
    return create_app(tracker, authenticate=who, limits=Limits(**limits))


@pytest.fixture
async def app(tracker: ProgressTracker) -> AsyncIterator[Any]:
    await tracker.create(id="a", user_id="anna")
    app = made(tracker)
    yield app
    await settle()
    assert app.state.care.connections == 0
    assert tracker.get_stats().watchers == 0
    names = {each.get_name() for each in asyncio.all_tasks()}
    assert not {name for name in names if name.startswith(("feed", "progress_tracker.care"))}


async def test_one_operation_to_its_end(app: Any, tracker: ProgressTracker) -> None:
    line = Line(app, "/ws/progress/a", sec_websocket_protocol="bearer.x, progress.v1")
    first = await line.hear()
    assert (first["type"], first["id"], first["progress"]["version"]) == ("progress", "a", 1)
    assert line.accepted["subprotocol"] == "progress.v1"
    await tracker.update("a", 50)
    assert (await line.hear())["progress"]["progress"] == 50
    await tracker.complete("a", {"rows": 3})
    last = await line.hear()
    assert (last["progress"]["status"], last["progress"]["result"]) == ("completed", {"rows": 3})
    await line.end()
    assert line.closed == 1000
    again = Line(app, "/ws/progress/a", query="since=1:3")
    await again.end()
    assert (again.sent, again.closed) == ([], 1000)
    behind = Line(app, "/ws/progress/a", query="since=1.2")
    assert (await behind.hear())["progress"]["version"] == 3
    await behind.end()
    wrong = Line(app, "/ws/progress/a", query="since=x")
    await wrong.end()
    assert (wrong.accepted, wrong.refused) == (None, 400)


@pytest.mark.parametrize("id", SHADOWED)
async def test_an_id_that_is_another_routes_path(
    app: Any, tracker: ProgressTracker, id: str
) -> None:
    """By ``?id=``, in a stream and on both sockets; nothing else is read or cancelled."""
    await tracker.create(id=id, user_id="anna", kind="odd")
    query = urlencode({"id": id})
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://host", headers={"x-user": "anna"}
    ) as web:
        for path in (f"/?{query}", f"/?{query}&since=1:0"):
            body = (await web.get(path)).json()
            assert (body["id"], body["kind"]) == (id, "odd")
        assert (await web.get(f"/?{query}&since=1:1&wait=0")).status_code == 204
        answer = await web.post(f"/cancel?{query}")
        assert (answer.status_code, answer.json()["id"]) == (202, id)
        ben = {"x-user": "ben"}
        assert (await web.get(f"/?{query}", headers=ben)).status_code == 404
        assert (await web.post(f"/cancel?{query}", headers=ben)).status_code == 404
        for wrong in ("", "?id=a&id=b"):
            assert (await web.post(f"/cancel{wrong}")).status_code == 400
    for stream in (
        Stream(app, "/events", query=query),
        Stream(app, "/events", query=query, last_event_id="1:1"),
    ):
        event = await stream.event()
        assert event is not None
        assert (event["id"], json.loads(event["data"])["id"]) == ("1:2", id)
        await stream.close()
    known = Stream(app, "/events", query=query, last_event_id="1:2")
    await known.part()
    await tracker.update(id, 5)
    event = await known.event()
    assert event is not None
    assert event["id"] == "1:3"
    await known.close()
    line = Line(app, f"/ws/progress/{id}")
    assert (await line.hear())["id"] == id
    await line.close()
    line = Line(app, "/ws/progress")
    line.say(type="subscribe", id=id)
    assert (await line.hear())["id"] == id
    await line.close()
    assert not (await tracker.get("a")).cancel_requested


async def test_many_operations_on_one_socket(app: Any, tracker: ProgressTracker) -> None:
    await tracker.create(id="b", user_id="anna")
    line = Line(app, "/ws/progress")
    line.say(type="subscribe", id="a")
    line.say(type="subscribe", id="b", since="1:1")
    line.say(type="ping")
    assert [(await line.hear())["type"] for _ in range(2)] == ["progress", "pong"]
    await tracker.update("b", 5)
    assert (await line.hear())["id"] == "b"
    await tracker.update("a", 5)
    assert (await line.hear())["id"] == "a"
    line.say(type="unsubscribe", id="b")
    line.say(type="unsubscribe", id="unknown")
    line.say(type="ping")
    await line.hear()
    await tracker.update("b", 6)
    await tracker.complete("a")
    last = await line.hear()
    assert (last["id"], last["progress"]["status"]) == ("a", "completed")
    await tracker.restart("a")
    line.say(type="subscribe", id="a", since="1:3")
    assert (await line.hear())["progress"]["epoch"] == 2
    await tracker.delete("a")
    assert (await line.hear())["type"] == "gone"
    assert line.closed is None, "a page may ask for more"
    await line.close()


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", "1", '"x"', "null", '{"type": "publish", "id": "a"}', '{"id": "a"}', "[" * 2000,
        '{"type": "subscribe", "id": 1}', '{"type": "subscribe", "id": "a", "since": 5}',
    ],
)  # fmt: skip
async def test_what_is_not_understood(app: Any, text: str) -> None:
    line = Line(app, "/ws/progress")
    line.say_text(text)
    assert (await line.hear())["type"] == "error"
    line.say(type="subscribe", id="a")
    assert (await line.hear())["type"] == "progress"
    await line.close()


async def test_a_wrong_position(app: Any) -> None:
    line = Line(app, "/ws/progress")
    line.say(type="subscribe", id="a", since="one:two")
    said = await line.hear()
    assert (said["type"], said["id"]) == ("error", "a")
    await line.close()


async def test_a_state_is_encoded_once_and_watched_once(
    app: Any, tracker: ProgressTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [Line(app, "/ws/progress/a") for _ in range(20)]
    lines += [Line(app, "/ws/progress") for _ in range(20)]
    for line in lines[20:]:
        line.say(type="subscribe", id="a")
    for line in lines:
        await line.hear()
    assert tracker.get_stats().watchers == 1
    await tracker.update("a", 7)
    for line in lines:
        await line.hear()
    assert len({id(line.sent[-1]["text"]) for line in lines}) == 1, "the same object for all"
    for line in lines:
        await line.close()


async def test_a_slow_client_gets_the_newest_and_delays_nobody(
    app: Any, tracker: ProgressTracker
) -> None:
    slow, fast = Line(app, "/ws/progress/a"), Line(app, "/ws/progress/a")
    await slow.hear()
    await fast.hear()
    slow.flows.clear()
    for n in range(1, 101):
        await tracker.update("a", n / 2)
        assert (await fast.hear())["progress"]["version"] == n + 1
    assert slow.is_silent
    slow.flows.set()
    # the one that was on its way, then the newest, and nothing of what lay between
    assert (await slow.hear())["progress"]["version"] == 2
    assert (await slow.hear())["progress"]["version"] == 101
    await tracker.complete("a")
    assert (await slow.hear())["progress"]["status"] == "completed"
    await slow.end()
    await fast.end()


async def test_the_end_reaches_a_slow_client_too(app: Any, tracker: ProgressTracker) -> None:
    await tracker.create(id="b", user_id="anna")
    line = Line(app, "/ws/progress")
    for id in "ab":
        line.say(type="subscribe", id=id)
        await line.hear()
    line.flows.clear()
    for id in "ab":
        for n in range(5):
            await tracker.update(id, n)
        await tracker.complete(id)
    await settle()
    line.flows.set()
    ends: list[str] = []
    while len(ends) < 2:
        said = await line.hear()
        ends += [said["id"]] if said["progress"]["status"] == "completed" else []
    assert sorted(ends) == ["a", "b"]
    line.say(type="ping")
    assert (await line.hear())["type"] == "pong", "nothing follows an end"
    await line.close()


@pytest.mark.parametrize("kind", ["socket", "stream"])
async def test_a_client_that_never_reads_is_dropped(
    tracker: ProgressTracker, clock: FakeClock, kind: str
) -> None:
    await tracker.create(id="a", user_id="anna")
    app = made(tracker, patience=20, ping=1000)
    fast = Line(app, "/ws/progress/a")
    await fast.hear()
    stuck: Any
    if kind == "socket":
        stuck = Line(app, "/ws/progress/a")
        await stuck.hear()
    else:
        stuck = Stream(app, "/a/events")
        assert await stuck.event()
    stuck.flows.clear()
    await tracker.update("a", 1)
    await fast.hear()
    assert app.state.care.connections == 2
    await clock.advance(15)
    assert app.state.care.connections == 2, "it has some time"
    await clock.advance(15)
    async with asyncio.timeout(60):
        await asyncio.wait([stuck.task])
    assert app.state.care.connections == 1
    await tracker.update("a", 2)
    assert (await fast.hear())["progress"]["progress"] == 2
    await fast.close()


async def test_limits(tracker: ProgressTracker) -> None:
    for id in "abc":
        await tracker.create(id=id, user_id="anna")
    app = made(tracker, connections_per_user=2, subscriptions=2, message_bytes=300)
    one, two = Line(app, "/ws/progress"), Stream(app, "/a/events")
    await two.event()
    for id in "ab":
        one.say(type="subscribe", id=id)
        assert (await one.hear())["type"] == "progress"
    one.say(type="subscribe", id="c")
    assert (await one.hear())["error"] == "too many subscriptions"
    one.say(type="subscribe", id="a")
    assert (await one.hear())["type"] == "progress", "again is not one more"
    third = Line(app, "/ws/progress")
    await third.end()
    assert third.refused == 429
    for path in ("/b/events", "/b"):
        full = Stream(app, path, query="since=1:0" if path == "/b" else "")
        await full.close()
        assert full.status == 429
    ben = Line(app, "/ws/progress", "ben")
    await settle()
    assert ben.accepted, "another user has room of their own"
    await ben.close()
    one.say_text(json.dumps({"type": "subscribe", "id": "é" * 200}, ensure_ascii=False))
    await one.end()
    assert one.closed == 1009, "bytes count, not characters"
    await two.close()
    many = Stream(app, "/events", query="id=a&id=b&id=c")
    await many.close()
    assert many.status == 400
    whole = made(tracker, connections=1)
    first = Line(whole, "/ws/progress")
    await settle()
    second = Line(whole, "/ws/progress", "ben")
    await second.end()
    assert second.refused == 503
    await first.close()


async def test_silence_is_broken(tracker: ProgressTracker, clock: FakeClock) -> None:
    await tracker.create(id="a", user_id="anna")
    app = made(tracker, ping=25)
    line, stream = Line(app, "/ws/progress/a"), Stream(app, "/a/events")
    await line.hear()
    await stream.event()
    await clock.advance(20)
    assert line.is_silent
    await clock.advance(15)
    assert (await line.hear()) == {"type": "ping"}
    assert await stream.part() == b": keep-alive\n\n"
    await line.close()
    await stream.close()


async def test_a_server_that_stops(app: Any) -> None:
    line, stream = Line(app, "/ws/progress/a"), Stream(app, "/a/events")
    await line.hear()
    await stream.event()
    app.state.care.close()
    await line.end()
    assert line.closed == 1012
    assert await stream.event() is None


async def test_events_of_many(app: Any, tracker: ProgressTracker) -> None:
    await tracker.create(id="b", user_id="anna")
    stream = Stream(app, "/events", query="id=a&id=b&id=nobody&since=&since=1:1")
    first, second = await stream.event(), await stream.event()
    assert first is not None
    assert second is not None
    assert (json.loads(first["data"])["id"], first["id"]) == ("a", "1:1")
    assert (second["event"], json.loads(second["data"])["id"]) == ("gone", "nobody")
    await tracker.complete("b")
    third = await stream.event()
    assert third is not None
    assert json.loads(third["data"])["id"] == "b"
    await tracker.complete("a")
    assert await stream.event()
    assert await stream.event() is None, "all of them have ended"


async def test_waiting_for_news(app: Any, tracker: ProgressTracker) -> None:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://host", headers={"x-user": "anna"}
    ) as web:
        waiting = asyncio.create_task(web.get("/a?since=1:1&wait=30"))
        while not tracker.get_stats().watchers:
            await asyncio.sleep(0)
        await settle()
        assert not waiting.done()
        await tracker.update("a", 30)
        assert (await waiting).json()["progress"] == 30
        assert (await web.get("/a?since=1:1")).json()["version"] == 2
        nothing = await web.get("/a?since=1:2&wait=0")
        assert (nothing.status_code, nothing.content) == (204, b"")
        assert (await web.get("/a?since=1:2&wait=0.01")).status_code == 204
        await tracker.complete("a")
        assert (await web.get("/a?since=1:3&wait=30")).status_code == 204, "no news will come"
        assert (await web.get("/a?since=1:3&wait=x")).status_code == 400
        assert (await web.get("/a?since=x")).status_code == 400


async def test_a_store_that_fails(clock: FakeClock) -> None:
    store = ChaosStore(MemoryStore())
    async with ProgressTracker(store=store, clock=clock) as tracker:
        await tracker.create(id="a", user_id="anna")
        app = made(tracker)
        many = Line(app, "/ws/progress")
        await settle()
        store.faults["down"] = True
        many.say(type="subscribe", id="a")
        assert (await many.hear())["type"] == "unavailable"
        one = Line(app, "/ws/progress/a")
        await one.end()
        assert one.refused == 503
        store.faults["down"] = False
        many.say(type="subscribe", id="a")
        assert (await many.hear())["type"] == "progress"
        await tracker.aclose()
        assert (await many.hear())["type"] == "unavailable"
        await many.close()


async def test_a_wrong_setup_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    line = Line(made(ProgressTracker.from_url("nowhere://secret-host")), "/ws/progress/a")
    await line.end()
    assert line.refused == 503
    assert "secret" not in repr(await line.hear())
    assert "progress.feed_broken" in caplog.messages


async def test_the_browsers_files(app: Any) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://host") as web:
        lasting = await web.get(f"/{client_path('client.js')}")
        assert lasting.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert lasting.headers["content-type"] == "text/javascript; charset=utf-8"
        for version in ("latest", "0123456789abcdef"):
            fresh = await web.get(f"/client/{version}/client.js")
            assert fresh.content == lasting.content
            assert fresh.headers["cache-control"] == "no-cache"
        same = await web.get(
            "/client/latest/client.js", headers={"if-none-match": fresh.headers["etag"]}
        )
        assert (same.status_code, same.content) == (304, b"")
        demo = await web.get("/client/latest/demo.html")
        assert "frame-ancestors 'none'" in demo.headers["content-security-policy"]
        for name in ("nothing.js", "..%2f__init__.py", "__init__.py"):
            assert (await web.get(f"/client/latest/{name}")).status_code in {401, 404}
    with pytest.raises(ValueError, match=r"client\.js"):
        client_path("nothing.js")
