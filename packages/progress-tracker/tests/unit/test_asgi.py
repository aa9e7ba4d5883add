"""The web application: who may see and do what, and how events resume."""

import json
from typing import Any

import pytest

pytest.importorskip("starlette")
httpx = pytest.importorskip("httpx")

from _common.asgi_lines import Stream  # noqa: E402
from progress_tracker import ConfigurationError, ProgressTracker, sync  # noqa: E402
from progress_tracker.asgi import Limits, create_app  # noqa: E402
from progress_tracker.testing import ChaosStore, settle  # noqa: E402
from progress_tracker.wire import from_json, to_json  # noqa: E402

GOOD = "https://app.example.com"


def who(connection: Any) -> str | None:
    return connection.headers.get("x-user")


def client(app: Any, user: str | None = "anna", **headers: str) -> Any:
    named = {"x-user": user, **headers} if user else headers
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://host", headers=named
    )


@pytest.fixture
async def app(tracker: ProgressTracker) -> Any:
    await tracker.create(id="a", user_id="anna", stages=["s"], metadata={"x_y": 1}, kind="k")
    await tracker.create(id="b", user_id="ben")
    await tracker.create(id="free")
    return create_app(tracker, authenticate=who, allowed_origins=[GOOD])


async def test_reading(app: Any, tracker: ProgressTracker) -> None:
    async with client(app) as web:
        answer = await web.get("/a")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        body = answer.json()
        assert (body["id"], body["userId"], body["metadata"]) == ("a", "anna", {"x_y": 1})
        assert body["createdAt"].endswith("Z")
        assert body["stages"][0]["startedAt"] is None
        assert from_json(body) == await tracker.get("a")
        listed = (await web.get("/?limit=10&kind=k&status=pending")).json()
        assert [each["id"] for each in listed["items"]] == ["a"]
        assert listed["nextCursor"] is None
        for bad in ("/?limit=0", "/?status=lost", "/?cursor=x"):
            assert (await web.get(bad)).status_code == 400
        for text in ("x", "nan", "inf", "1e999", "-inf", ""):
            for bad in (f"/?limit={text}", f"/a?since=1:1&wait={text}"):
                answer = await web.get(bad)
                assert (answer.status_code, f"not '{text}'" in answer.text) == (400, True)


async def test_everything_survives_the_wire(tracker: ProgressTracker) -> None:
    async with tracker.track("p", stages=["s"]) as p:
        p.stage("s", total=4)
        p.log("line")
        async with p.child("c"):
            pass
    await tracker.create(id="f")
    await tracker.fail("f", ValueError("no"))
    for id in ("p", "f"):
        found = await tracker.get(id)
        wire = json.loads(json.dumps(to_json(found)))
        assert from_json({**wire, "fromTheFuture": 1}) == found
    assert to_json(await tracker.get("f"))["error"] == {"message": "no", "type": "ValueError"}


async def test_unknown_and_forbidden_look_the_same(app: Any) -> None:
    async with client(app) as web:
        answers = [
            await web.request(method, path)
            for method, path in (
                ("GET", "/b"), ("GET", "/nobody"), ("GET", "/free"), ("GET", "/b/events"),
                ("GET", "/nobody/events"), ("POST", "/b/cancel"), ("POST", "/nobody/cancel"),
            )
        ]  # fmt: skip
    assert {each.status_code for each in answers} == {404}
    assert len({each.content for each in answers}) == 1
    async with client(app, None) as web:
        for path in ("/", "/a", "/nobody", "/a/events"):
            assert (await web.get(path)).status_code == 401


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (GOOD, 200), ("http://host", 200), (None, 200), ("https://app.example.com.evil.com", 403),
        ("https://APP.example.com", 403), ("https://app.example.com:8443", 403), ("null", 403),
        ("http://evil.com", 403),
    ],
)  # fmt: skip
async def test_origins(app: Any, origin: str | None, status: int) -> None:
    async with client(app, **({"origin": origin} if origin else {})) as web:
        answer = await web.get("/a")
        assert answer.status_code == status
        allowed = answer.headers.get("access-control-allow-origin")
        assert allowed == (GOOD if origin == GOOD else None)
        preflight = await web.options("/a/cancel")
        assert (preflight.status_code == 204) == (origin == GOOD)


async def test_cancelling(app: Any, tracker: ProgressTracker) -> None:
    async with client(app) as web:
        answer = await web.post("/a/cancel")
        assert (answer.status_code, answer.json()["cancelRequested"]) == (202, True)
        await tracker.complete("a")
        assert (await web.post("/a/cancel")).status_code == 409


async def test_own_rules(tracker: ProgressTracker) -> None:
    await tracker.create(id="a", user_id="anna")

    async def authorize(user: str, action: str, progress: Any) -> bool:
        return user == "boss" and action == "read"

    async def authenticate(connection: Any) -> str | None:
        return who(connection)

    app = create_app(tracker, authenticate=authenticate, authorize=authorize)
    async with client(app, "boss") as web:
        assert (await web.get("/a")).status_code == 200
        assert (await web.post("/a/cancel")).status_code == 404
    async with client(app) as web:
        assert (await web.get("/a")).status_code == 404
        assert (await web.get("/")).json()["items"] == []


async def test_events(app: Any, tracker: ProgressTracker) -> None:
    stream = Stream(app, "/a/events")
    first = await stream.event()
    assert first is not None
    assert (first["id"], first["event"]) == ("1:1", "progress")
    await tracker.update("a", 50, message="x\nevent: forged\n\ndata: {}")
    second = await stream.event()
    assert second is not None
    assert json.loads(second["data"])["message"] == "x\nevent: forged\n\ndata: {}"
    assert (second["id"], second["event"]) == ("1:2", "progress")
    await stream.close()
    await settle()
    assert tracker.get_stats().watchers == 0
    again = Stream(app, "/a/events", last_event_id="1:2")
    await settle()
    await tracker.complete("a")
    third = await again.event()
    assert third is not None
    assert third["id"] == "1:3"
    assert await again.event() is None
    last = Stream(app, "/a/events", last_event_id="1:3")
    await last.task
    assert last.status == 204
    await again.close()
    await last.close()


async def test_a_deletion_and_a_lost_right_end_a_stream(tracker: ProgressTracker) -> None:
    allowed = {"anna"}
    await tracker.create(id="a", user_id="anna")
    app = create_app(tracker, authenticate=who, authorize=lambda user, _a, _p: user in allowed)
    stream = Stream(app, "/a/events")
    assert await stream.event()
    allowed.clear()
    await tracker.update("a", 5)
    lost = await stream.event()
    assert lost is not None
    assert lost["event"] == "gone", "as if it were deleted"
    assert await stream.event() is None
    allowed.add("anna")
    stream = Stream(app, "/a/events")
    assert await stream.event()
    await tracker.delete("a")
    gone = await stream.event()
    assert gone is not None
    assert gone["event"] == "gone"
    assert await stream.event() is None


async def test_a_store_that_is_down() -> None:
    from progress_tracker.adapters.memory import MemoryStore

    store = ChaosStore(MemoryStore())
    async with ProgressTracker(store=store) as tracker:
        store.faults["down"] = True
        async with client(create_app(tracker, authenticate=who)) as web:
            assert (await web.get("/a")).status_code == 503
        store.faults["down"] = False


async def test_wrong_use_and_a_wrong_setup_differ(
    app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with client(app) as web:
        answer = await web.get("/", params={"cursor": "nonsense"})
        assert (answer.status_code, answer.json()) == (400, {"error": "not a cursor"})
    unknown = ProgressTracker.from_url("nowhere://secret-host")
    async with client(create_app(unknown, authenticate=who)) as web:
        answer = await web.get("/")
        assert answer.status_code == 500
        assert "secret-host" not in answer.text
    assert "progress.misconfigured" in caplog.messages


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"tracker": "memory://"}, "takes a ProgressTracker.*'memory://'"),
        ({"tracker": sync.ProgressTracker.from_url("memory://")}, "asynchronous"),
        ({"authenticate": None}, "authenticate must be a function.*None"),
        ({"authorize": "all"}, "authorize must be a function.*'all'"),
        ({"allowed_origins": GOOD}, r"write \['https://app\.example\.com'\]"),
        ({"allowed_origins": ["*"]}, r"no '\*'; not '\*'"),
        ({"allowed_origins": [f"{GOOD}/"]}, "no path"),
        ({"allowed_origins": [GOOD, None]}, "not None"),
        ({"limits": {"connections": 1}}, "must be Limits"),
    ],
)
def test_wrong_arguments_are_told_at_once(wrong: dict[str, Any], words: str) -> None:
    right = {"tracker": ProgressTracker.from_url("memory://"), "authenticate": who}
    given = {**right, **wrong}
    with pytest.raises(ConfigurationError, match=words):
        create_app(given.pop("tracker"), **given)
    for value in (0, -1, True, float("nan"), "5"):
        with pytest.raises(ConfigurationError, match=r"Limits\(ping=…\) must be over 0"):
            Limits(ping=value)  # type: ignore[arg-type]
