"""The web app's live side: replay, limits, clients that take nothing, and whose inbox it is."""

import asyncio
import contextlib

import pytest

httpx = pytest.importorskip("httpx")
pytest.importorskip("starlette")

from _common.asgi_lines import Line, Stream  # noqa: E402
from notify import Notification, NotificationService  # noqa: E402
from notify.asgi import Limits, client_path, create_app, token_of  # noqa: E402
from notify.testing import FakeClock, settle  # noqa: E402

PATH = "/ws/notifications"


def who(connection):
    return connection.headers.get("x-user")


def note(title="t", user_id="anna", **more) -> Notification:
    return Notification(title=title, user_id=user_id, **more)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def service(clock):
    async with NotificationService.from_url("memory://", clock=clock) as made:
        yield made


@pytest.fixture
async def app(service):
    made = create_app(service, authenticate=who)
    yield made
    await settle()
    assert made.state.care.connections == 0
    assert (await service.get_stats()).watchers == 0
    assert "notify.care" not in {each.get_name() for each in asyncio.all_tasks()}


def web(app, user="anna"):
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://host", headers={"x-user": user}
    )


async def until_watched(service, count: int) -> None:
    async with asyncio.timeout(60):
        while (await service.get_stats()).watchers != count:
            await asyncio.sleep(0.005)


async def until_open(app, count: int) -> None:
    async with asyncio.timeout(60):
        while app.state.care.connections != count:
            await asyncio.sleep(0)
    await settle()  # they find their feed


async def test_changes_are_exactly_what_was_missed(service, app) -> None:
    async with web(app) as client:
        start = (await client.get("/changes")).json()
        assert start == {
            "events": [], "seq": 0, "unread": 0, "hasMore": False, "isReset": False,
            "userId": "anna", "socket": "ws/notifications",
        }  # fmt: skip
        first = await service.send(note("one"))
        await service.send(note("two"))
        await service.mark_as_read(first.id, "anna")
        await service.archive(first.id, "anna")
        await service.send(note("ben's", "ben"))
        found = (await client.get("/changes?since=1&limit=2")).json()
        assert [(e["seq"], e["kind"], e["unread"]) for e in found["events"]] == [
            (2, "created", 2), (3, "read", 1),
        ]  # fmt: skip
        assert (found["seq"], found["unread"], found["hasMore"]) == (3, 1, True)
        rest = (await client.get("/changes?since=3")).json()
        assert [(e["seq"], e["kind"]) for e in rest["events"]] == [(4, "archived")]
        assert not rest["hasMore"]
        assert (await client.get("/changes?since=99")).json()["isReset"]
        listed = (await client.get("/notifications")).json()
        assert (listed["seq"], listed["unread"]) == (4, 1)
        for bad in ("since=-1", "since=x", "limit=0", "wait=x"):
            assert (await client.get(f"/changes?{bad}")).status_code == 400


async def test_changes_wait_for_news(service) -> None:
    app = create_app(service, authenticate=who)
    async with web(app) as client:
        asked = asyncio.create_task(client.get("/changes?since=0&wait=25"))
        await until_watched(service, 1)
        assert app.state.care.connections == 1
        await service.send(note("news"))
        assert [e["seq"] for e in (await asked).json()["events"]] == [1]
        assert app.state.care.connections == 0


async def test_a_socket_replays_and_goes_on(service, app) -> None:
    for n in range(450):  # over more than two pages of the store
        await service.send(note(str(n)))
    line = Line(app, PATH, query="since=0", sec_websocket_protocol="bearer.x, notify.v1")
    places = [(await line.hear())["seq"] for _ in range(450)]
    assert line.accepted["subprotocol"] == "notify.v1"
    await service.mark_all_as_read("anna")
    last = await line.hear()
    assert (last["kind"], last["unread"]) == ("allRead", 0)
    assert [*places, last["seq"]] == list(range(1, 452))
    line.say(type="ping")
    assert await line.hear() == {"type": "pong"}
    for odd in ("{", "[]", '{"type":"subscribe"}', "[" * 4000):
        line.say_text(odd)
    await settle()
    assert line.is_silent
    await line.close()


async def test_a_long_message_ends_the_socket(service, app) -> None:
    line = Line(app, PATH)
    await until_watched(service, 1)
    line.say_text("x" * 5000)
    await line.end()
    assert line.closed == 1009


async def test_who_takes_nothing_is_dropped_and_holds_up_nobody(service, clock, app) -> None:
    deaf = [Line(app, PATH, query="since=0") for _ in range(3)]
    stream = Stream(app, "/events", query="since=0")
    await until_open(app, 4)
    for each in (*deaf, stream):
        each.flows.clear()
    reader = Line(app, PATH, query="since=0")
    for n in range(500):
        await service.send(note(str(n)))
        assert (await reader.hear())["seq"] == n + 1
    # nothing is kept for those who take nothing: they would read on from the store
    assert all(not each.sent for each in deaf)
    async with asyncio.timeout(60):
        while app.state.care.connections > 1:
            await clock.advance(5)
    for each in deaf:
        each.flows.set()  # the server's last word goes out
        await each.end()
    stream.flows.set()
    await stream.close()
    assert reader.closed is None
    await reader.close()


async def test_a_silent_stream_is_spoken_to(service, clock, app) -> None:
    stream = Stream(app, "/events")
    assert await stream.part() == b"retry: 1000\n\n"
    await until_watched(service, 1)
    await clock.advance(30)
    assert await stream.part() == b": keep-alive\n\n"
    await service.send(note())
    assert (await stream.event())["id"] == "1"
    await stream.close()


async def test_connections_of_one_user_are_limited(service) -> None:
    limits = Limits(connections_per_user=2, connections=3)
    app = create_app(service, authenticate=who, limits=limits)
    lines = [Line(app, PATH), Line(app, PATH)]
    await until_open(app, 2)
    third = Line(app, PATH)
    await third.end()
    assert (third.refused, third.accepted) == (429, None)
    async with web(app) as client:
        assert (await client.get("/events")).status_code == 429
        assert (await client.get("/changes?since=0&wait=5")).status_code == 429
        assert (await client.get("/notifications")).status_code == 200
    lines.append(Line(app, PATH, user="ben"))
    await until_open(app, 3)
    fourth = Line(app, PATH, user="cleo")
    await fourth.end()
    assert fourth.refused == 503
    await lines[0].close()
    again = Line(app, PATH)
    await until_open(app, 3)
    for each in (*lines[1:], again):
        await each.close()


async def test_who_signs_out_is_dropped(service, clock) -> None:
    signed_in = {"anna", "ben"}

    def known(connection):
        user = connection.headers.get("x-user")
        return user if user in signed_in else None

    app = create_app(service, authenticate=known)
    anna, ben = Line(app, PATH), Line(app, PATH, user="ben")
    await until_watched(service, 2)
    signed_in.discard("anna")
    async with asyncio.timeout(60):
        while anna.closed is None:
            await clock.advance(5)
            await asyncio.sleep(0)
    assert anna.closed == 4401
    assert ben.closed is None
    await ben.close()


async def test_a_server_that_stops_ends_all(service, app) -> None:
    line, stream = Line(app, PATH), Stream(app, "/events")
    await until_watched(service, 2)
    app.state.care.close()
    await line.end()
    assert line.closed == 1012
    assert await stream.event() is None
    await stream.close()


# every route with another's notification, and whether nobody may know that it is there
ROUTES = [
    ("GET", "/notifications", 200), ("GET", "/notifications/unread-count", 200),
    ("POST", "/notifications/read-all", 200), ("POST", "/notifications/{id}/read", 404),
    ("POST", "/notifications/{id}/archive", 404), ("GET", "/notifications/{id}", 404),
    ("DELETE", "/notifications/{id}", 404), ("GET", "/preferences", 200),
    ("PUT", "/preferences", 200), ("GET", "/changes", 200), ("GET", "/events", 200),
    ("GET", "/preview", 404), ("GET", "/preview/{channel}/{template:path}", 404),
]  # fmt: skip


def test_the_table_has_every_route(service) -> None:
    app = create_app(service, authenticate=who)
    open_to_all = {"/client/{version}/{name}", "/{rest:path}", "/events/{provider}"}
    found = {
        (method, route.path)
        for route in app.routes
        for method in getattr(route, "methods", None) or {"socket"}
        if route.path not in open_to_all and method != "HEAD"
    }
    assert found == {(method, path) for method, path, _ in ROUTES} | {("socket", PATH)}


@pytest.mark.parametrize(("method", "path", "status"), ROUTES)
async def test_nothing_of_another_user(service, app, method, path, status) -> None:
    sent = await service.send(note("secret-of-ben", "ben"))
    await service.set_preferences("ben", {"channels": ["in-app"], "categories": {"bens": False}})
    filled = path.replace("{id}", sent.id).replace("{template:path}", "x")
    if path == "/events":
        stream = Stream(app, path, query="since=0")
        assert await stream.part() == b"retry: 1000\n\n"
        await service.send(note("mine"))
        assert "mine" in (await stream.event())["data"]
        await stream.close()
    else:
        async with web(app) as client:
            body = {"json": {}} if method in {"POST", "PUT"} else {}
            if method == "PUT":
                body = {"json": {"channels": ["in-app"]}}
            got = await client.request(method, filled, **body)
            assert got.status_code == status
            for word in ("secret-of-ben", "bens", sent.id):
                assert word not in got.text
    assert await service.unread_count("ben") == 1
    kept = await service.get(sent.id, "ben")
    assert (kept.read, kept.archived) == (False, False)
    assert (await service.get_preferences("ben")).categories


@pytest.mark.parametrize(("method", "path", "status"), ROUTES)
async def test_nobody_gets_in(service, app, method, path, status) -> None:
    filled = path.replace("{template:path}", "x")
    async with web(app, "") as client:
        assert (await client.request(method, filled)).status_code == 401
        if method != "GET":
            # what a page of another site can send by a form
            headers = {"x-user": "anna", "content-type": "text/plain"}
            got = await client.request(method, filled, headers=headers, content="{}")
            assert got.status_code == 415
            headers = {"x-user": "anna", "sec-fetch-site": "cross-site"}
            assert (await client.request(method, filled, headers=headers)).status_code == 403


async def test_the_socket_is_ones_own(service, app) -> None:
    await service.send(note("bens", "ben"))
    line = Line(app, PATH, query="since=0&user_id=ben&userId=ben")
    await until_watched(service, 1)
    await service.send(note("annas"))
    assert (await line.hear())["notification"]["title"] == "annas"
    await line.close()
    for refused in (
        Line(app, PATH, user=None), Line(app, PATH, origin="https://evil.example"),
        Line(app, PATH, origin="null"), Line(app, PATH, query="since=x"),
    ):  # fmt: skip
        await refused.end()
        assert refused.accepted is None


async def test_tokens() -> None:
    class Bare:
        def __init__(self, **headers):
            self.headers = {key.replace("_", "-"): value for key, value in headers.items()}

    assert token_of(Bare(authorization="Bearer  t0")) == "t0"
    assert token_of(Bare(authorization="Basic t0")) is None
    protocols = Bare(sec_websocket_protocol="notify.v1, bearer.w6TDtg")
    assert token_of(protocols) == "äö"
    for bad in ("bearer.%", "bearer._w", ""):
        assert token_of(Bare(sec_websocket_protocol=bad)) is None


async def test_the_files_of_the_page(app) -> None:
    async with web(app, "") as client:
        lasting = await client.get("/" + client_path("client.js"))
        assert lasting.headers["cache-control"].endswith("immutable")
        assert lasting.headers["content-type"].startswith("text/javascript")
        latest = await client.get("/client/latest/client.js")
        assert latest.headers["cache-control"] == "no-cache"
        tag = {"if-none-match": latest.headers["etag"]}
        assert (await client.get("/client/latest/client.js", headers=tag)).status_code == 304
        demo = await client.get("/client/latest/demo.html")
        assert "frame-ancestors 'none'" in demo.headers["content-security-policy"]
        for path in ("nothing.js", "..%2Ffiles.py", "__init__.py"):
            got = await client.get(f"/client/latest/{path}")
            assert got.status_code in {404, 405}, path
    with contextlib.suppress(ValueError):
        client_path("nothing.js")
        pytest.fail("there is no such file")
