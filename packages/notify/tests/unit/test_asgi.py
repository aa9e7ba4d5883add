"""The web app: REST, server-sent events, the socket, and who may not."""

import asyncio
import contextlib
import json

import pytest

from notify import BackendError, Notification, NotificationService
from notify.adapters.memory import MemoryStore

httpx = pytest.importorskip("httpx")
pytest.importorskip("starlette")

from notify.asgi import create_app  # noqa: E402  needs the extra

PAGE = "https://page.example"


def user_of(connection):
    return connection.headers.get("x-user")


@pytest.fixture
async def service():
    async with NotificationService.from_url("memory://") as made:
        yield made


@pytest.fixture
async def client(service):
    app = create_app(service, authenticate=user_of, allowed_origins=[PAGE])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://app.example", headers={"x-user": "ann"}
    ) as made:
        yield made


def note(title="t", user_id="ann", **more) -> Notification:
    return Notification(title=title, user_id=user_id, **more)


async def test_list_and_change(service, client) -> None:
    first = await service.send(
        note(
            "one",
            action_url="/x",
            action_label="Go",
            category="c",
            metadata={"a": 1},
            channels=["in-app"],
        )
    )
    second = await service.send(note("two", type="error"))
    found = (await client.get("/notifications", params={"limit": 1})).json()
    assert found["unread"] == 2
    assert [each["title"] for each in found["items"]] == ["two"]
    rest = (await client.get("/notifications", params={"cursor": found["nextCursor"]})).json()
    [item] = rest["items"]
    assert rest["nextCursor"] is None
    assert item == {
        "id": first.id, "type": "info", "title": "one", "message": "", "read": False,
        "archived": False,
        "timestamp": item["timestamp"], "userId": "ann", "category": "c", "actionUrl": "/x",
        "actionLabel": "Go", "metadata": {"a": 1}, "channels": ["in-app"], "priority": "normal",
        "seq": 1,
    }  # fmt: skip
    assert item["timestamp"].endswith("Z")
    assert (await client.post(f"/notifications/{first.id}/read")).json() == {"unread": 1}
    assert (await client.get("/notifications/unread-count")).json() == {"unread": 1}
    unread = (await client.get("/notifications", params={"unreadOnly": "true"})).json()
    assert [each["id"] for each in unread["items"]] == [second.id]
    assert (await client.post("/notifications/read-all", json={})).json() == {
        "marked": 1,
        "unread": 0,
    }
    assert (await client.post(f"/notifications/{first.id}/archive")).status_code == 200
    archived = (await client.get("/notifications", params={"archived": "true"})).json()
    assert [each["id"] for each in archived["items"]] == [first.id]
    assert len((await client.get("/notifications?archived=any")).json()["items"]) == 2
    assert (await client.delete(f"/notifications/{second.id}")).status_code == 200
    assert (await client.get(f"/notifications/{second.id}")).status_code == 404
    assert (await client.get(f"/notifications/{first.id}")).json()["archived"] is True


async def test_preferences(client) -> None:
    given = {
        "channels": ["in-app"],
        "categories": {"news": False},
        "quietHours": {"start": "22:00", "end": "07:00"},
    }
    made = (await client.put("/preferences", json=given)).json()
    assert made["quietHours"] == [
        {"start": "22:00", "end": "07:00", "timezone": None, "weekdays": None}
    ]
    assert (await client.get("/preferences")).json() == made
    for bad in ({"channels": ["x"]}, [1], {"quietHours": 5}, {"timezone": "Mars"}, {"nope": 1}):
        assert (await client.put("/preferences", json=bad)).status_code == 400


async def test_nobody_and_others(service, client) -> None:
    mine = await service.send(note(user_id="bob"))
    for method, path in (
        ("GET", f"/notifications/{mine.id}"), ("POST", f"/notifications/{mine.id}/read"),
        ("POST", f"/notifications/{mine.id}/archive"), ("DELETE", f"/notifications/{mine.id}"),
    ):  # fmt: skip
        assert (await client.request(method, path)).status_code == 404
        assert (await client.request(method, path, headers={"x-user": ""})).status_code == 401
    for path in ("/notifications", "/preferences", "/events", "/notifications/unread-count"):
        assert (await client.get(path, headers={"x-user": ""})).status_code == 401
    assert await service.unread_count("bob") == 1


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "https://page.example.evil.example", "https://page.example:8443",
     "http://page.example", "HTTPS://page.example", "https://app.example.evil"],
)  # fmt: skip
async def test_foreign_pages_are_refused(service, client, origin) -> None:
    sent = await service.send(note())
    for method, path in (("GET", "/notifications"), ("POST", f"/notifications/{sent.id}/read")):
        got = await client.request(method, path, headers={"origin": origin})
        assert got.status_code == 403
        assert "access-control-allow-origin" not in got.headers
    got = await client.options("/notifications", headers={"origin": origin})
    assert got.status_code == 403
    assert await service.unread_count("ann") == 1


async def test_allowed_pages_get_cors(client) -> None:
    got = await client.get("/notifications", headers={"origin": PAGE})
    assert got.headers["access-control-allow-origin"] == PAGE
    assert got.headers["vary"] == "origin"
    assert got.headers["x-content-type-options"] == "nosniff"
    got = await client.options("/preferences", headers={"origin": PAGE})
    assert got.status_code == 204
    assert "PUT" in got.headers["access-control-allow-methods"]
    assert (
        await client.get("/notifications", headers={"origin": "http://app.example"})
    ).status_code == 200


async def test_the_settings_origins_count_too() -> None:
    service = NotificationService()
    service.configure({"websocket": {"cors_origins": ["http://localhost:5173"]}})
    app = create_app(service, authenticate=user_of)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://a") as client:
        headers = {"origin": "http://localhost:5173", "x-user": "ann"}
        got = await client.get("/notifications", headers=headers)
        assert got.headers["access-control-allow-origin"] == "http://localhost:5173"
    await service.aclose()


@pytest.mark.parametrize(
    "path",
    ["?limit=0", "?limit=x", "?limit=999", "?cursor=x", "?unreadOnly=maybe", "?since=yesterday",
     "?before=2026-01-01T00:00:00", "?archived=1"],
)  # fmt: skip
async def test_bad_queries(client, path) -> None:
    got = await client.get(f"/notifications{path}")
    assert got.status_code == 400
    assert got.json()["error"]


async def test_bad_bodies(client) -> None:
    for body in (b"{", b"[]", b'{"x":1}', b'{"category":1}', b'{"before":"x"}', b'{"before":5}'):
        assert (await client.post("/notifications/read-all", content=body)).status_code == 400
    assert (await client.post("/notifications/read-all", content=b"x" * 70_000)).status_code == 413
    assert (await client.get("/events", headers={"last-event-id": "x"})).status_code == 400


async def test_a_store_that_is_down_is_503() -> None:
    class Down(MemoryStore):
        async def unread(self, user_id):
            raise BackendError("secret dsn", retryable=True)

    async with NotificationService(store=Down()) as service:
        app = create_app(service, authenticate=user_of)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://a"
        ) as client:
            got = await client.get("/notifications/unread-count", headers={"x-user": "ann"})
    assert got.status_code == 503
    assert "secret" not in got.text


class Connection:
    """A bare ASGI client, for streams that do not end."""

    def __init__(self, app, kind, path, headers, query=b"") -> None:
        self.inbox: asyncio.Queue = asyncio.Queue()
        self.outbox: asyncio.Queue = asyncio.Queue()
        scope = {
            "type": kind, "path": path, "raw_path": path.encode(), "query_string": query,
            "headers": [(k.encode(), v.encode()) for k, v in headers.items()], "scheme": "http",
            "server": ("app.example", 80), "root_path": "", "http_version": "1.1", "method": "GET",
            "client": ("127.0.0.1", 5), "subprotocols": [],
            "asgi": {"version": "3.0", "spec_version": "2.3"},
        }  # fmt: skip
        self.task = asyncio.create_task(app(scope, self.inbox.get, self.outbox.put))

    async def next(self, kind: str) -> dict:
        async with asyncio.timeout(60):
            while True:
                got = await self.outbox.get()
                if got["type"] == kind:
                    return got

    async def end(self, kind: str) -> None:
        await self.inbox.put({"type": kind, "code": 1000})
        async with asyncio.timeout(60):
            with contextlib.suppress(asyncio.CancelledError):
                await self.task


HEADERS = {"host": "app.example", "x-user": "ann"}


async def test_events_replay_from_the_last_id(service) -> None:
    app = create_app(service, authenticate=user_of)
    for n in range(3):
        await service.send(note(str(n)))
    stream = Connection(app, "http", "/events", {**HEADERS, "last-event-id": "1"})
    text = b""
    while text.count(b"data:") < 2:
        text += (await stream.next("http.response.body"))["body"]
    await service.send(note("live\nevent: forged"[:4]))
    while text.count(b"data:") < 3:
        text += (await stream.next("http.response.body"))["body"]
    events = [part for part in text.decode().split("\n\n") if "data:" in part]
    assert [part.splitlines()[0] for part in events] == ["id: 2", "id: 3", "id: 4"]
    data = json.loads(events[-1].splitlines()[-1].removeprefix("data: "))
    assert (data["kind"], data["unread"], data["notification"]["title"]) == ("created", 4, "live")
    await stream.end("http.disconnect")
    assert (await service.get_stats()).watchers == 0


async def test_the_socket(service) -> None:
    app = create_app(service, authenticate=user_of, allowed_origins=[PAGE])
    await service.send(note("old"))
    headers = {**HEADERS, "origin": PAGE}
    socket = Connection(app, "websocket", "/ws/notifications", headers, b"since=0")
    await socket.inbox.put({"type": "websocket.connect"})
    await socket.next("websocket.accept")
    assert json.loads((await socket.next("websocket.send"))["text"])["seq"] == 1
    await socket.inbox.put({"type": "websocket.receive", "text": "anything"})
    await service.mark_all_as_read("ann")
    got = json.loads((await socket.next("websocket.send"))["text"])
    assert (got["kind"], got["unread"]) == ("allRead", 0)
    await socket.end("websocket.disconnect")
    assert (await service.get_stats()).watchers == 0


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"host": "app.example"}, b""),
        ({**HEADERS, "origin": "https://evil.example"}, b""),
        ({**HEADERS, "origin": "null"}, b""),
        (HEADERS, b"since=x"),
    ],
)
async def test_the_socket_refuses_before_accept(service, headers, query) -> None:
    app = create_app(service, authenticate=user_of, allowed_origins=[PAGE])
    socket = Connection(app, "websocket", "/ws/notifications", headers, query)
    await socket.inbox.put({"type": "websocket.connect"})
    async with asyncio.timeout(60):
        assert (await socket.outbox.get())["type"] == "websocket.close"
    await socket.task


async def test_the_sockets_path_and_switch() -> None:
    for websocket, path, there in (
        ({"path": "/live"}, "/live", True),
        ({"path": "/live"}, "/ws/notifications", False),
        ({"enabled": False}, "/ws/notifications", False),
    ):
        service = NotificationService()
        service.configure({"websocket": websocket})
        app = create_app(service, authenticate=user_of)
        socket = Connection(app, "websocket", path, HEADERS)
        await socket.inbox.put({"type": "websocket.connect"})
        async with asyncio.timeout(60):
            first = (await socket.outbox.get())["type"]
        assert (first == "websocket.accept") == there, websocket
        await socket.end("websocket.disconnect")
        await service.aclose()


async def test_closing_the_service_ends_sockets(service) -> None:
    app = create_app(service, authenticate=user_of)
    socket = Connection(app, "websocket", "/ws/notifications", HEADERS)
    await socket.inbox.put({"type": "websocket.connect"})
    await socket.next("websocket.accept")
    while not (await service.get_stats()).watchers:
        await asyncio.sleep(0.005)
    await service.aclose()
    assert (await socket.next("websocket.close"))["code"] == 1001
    async with asyncio.timeout(60):
        await socket.task
